"""What stops the event loop, or goes on behind its back. Spec: platform 8.4."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.reach import in_lambda
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.scopes import FunctionNode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project
    from realtime_cli.rules.source import Source

__all__ = ["BlockingCall", "EndlessLoop", "LostTask"]

#: Calls that wait for a disk, a network or a process, by name; a trailing dot takes whatever begins so.
BLOCKING = (
    "time.sleep",
    "requests.",
    "urllib.request.",
    "urllib3.",
    "http.client.",
    "httpx.get",
    "httpx.post",
    "httpx.put",
    "httpx.patch",
    "httpx.delete",
    "httpx.head",
    "httpx.request",
    "httpx.stream",
    "httpx.Client().",
    "subprocess.run",
    "subprocess.call",
    "subprocess.check_call",
    "subprocess.check_output",
    "os.system",
    "os.popen",
    "socket.create_connection",
    "sqlite3.",
    "psycopg2.",
    "psycopg.connect",
    "pymysql.",
    "MySQLdb.",
    "pymongo.",
    "redis.Redis().",
    "redis.StrictRedis().",
    "smtplib.",
    "ftplib.",
    "shutil.copy",
    "shutil.copyfile",
    "shutil.copytree",
    "shutil.rmtree",
    "builtins.input",
)
#: What reads or writes a whole file, whatever opened it.
OPENED = frozenset({"builtins.open()", "io.open()"})
ON_FILES = frozenset(
    {f"{module}.{name}" for module in ("json", "pickle", "marshal") for name in ("load", "dump")}
    | {"tomllib.load", "yaml.safe_load", "yaml.load", "shutil.copyfileobj"}
)
FILE_METHODS = frozenset({"read_text", "read_bytes", "write_text", "write_bytes"})


#: Classes that connect as they are made; others, and exceptions, wait for nothing before a method is called.
_CONNECTING = frozenset(
    {"sqlite3.Connection", "smtplib.SMTP", "smtplib.SMTP_SSL", "ftplib.FTP", "ftplib.FTP_TLS"}
)
_WHOLE = frozenset(name for name in BLOCKING if not name.endswith("."))
_BEGINNINGS = tuple(name for name in BLOCKING if name.endswith("."))


def is_blocking(name: str) -> bool:
    """Return whether a call of that name blocks."""
    if name.rpartition(".")[2][:1].isupper() and name not in _CONNECTING:
        return False
    return name in _WHOLE or name.startswith(_BEGINNINGS)


class BlockingCall(Rule):
    """LIV003."""

    id = "LIV003"
    severity = Severity.WARNING
    title = "a call that blocks the event loop"
    why = "While it waits nobody is served: no other call, no publish, no ping."
    how = "use the async way, move it into a plain function under @live(thread=True), or await asyncio.to_thread(...)"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at the calls in functions that run in the loop, wherever they are defined."""
        for source in project.code:
            for call in source.nodes(ast.Call):
                function = source.function(call)
                if function is None or function not in project.in_loop or in_lambda(source, call):
                    continue
                if what := _blocks(source, call):
                    yield self.at(source, call, f"{what} blocks the event loop in {function.name}")


def _blocks(source: Source, call: ast.Call) -> str | None:
    name = source.name(call.func)
    if name is not None and is_blocking(name):
        return source.segment(call.func)
    if not isinstance(call.func, ast.Attribute) or isinstance(source.parent(call), ast.Await):
        return None
    opened = source.name(call.func.value) or ""
    if call.func.attr in {"read", "write", "readlines", "readline", "writelines"} and opened in OPENED:
        return source.segment(call.func)
    if name in ON_FILES and any(source.name(one) in OPENED for one in call.args):
        return source.segment(call.func)
    if call.func.attr in FILE_METHODS:
        return source.segment(call.func)
    return None


class LostTask(Rule):
    """LIV022."""

    id = "LIV022"
    severity = Severity.WARNING
    title = "a task that nobody keeps"
    why = "The event loop holds tasks weakly: one that nobody keeps may vanish in the middle, and its error is lost."
    how = "keep it in a set until it is done, or use asyncio.TaskGroup"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for tasks that are made and thrown away."""
        for source in project.code:
            for call in source.calls_of(
                "asyncio.create_task",
                "asyncio.ensure_future",
                "asyncio.get_running_loop().create_task",
                "asyncio.get_event_loop().create_task",
            ):
                if _is_thrown_away(source, call):
                    what = source.segment(call.func)
                    yield self.at(source, call, f"{what}(...) makes a task that nobody keeps")


def _is_thrown_away(source: Source, node: ast.expr) -> bool:
    """Return whether a task goes nowhere: as a statement, as an object of a call, or into a name that nobody reads."""
    parent, function = source.parent(node), source.function(node)
    match parent:
        case ast.Expr():
            return True
        case ast.BoolOp() | ast.IfExp():
            return _is_thrown_away(source, parent)
        case ast.Attribute(attr="add_done_callback"):
            return True
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return function is not None and not any(
                isinstance(one, ast.Name) and one.id == name and isinstance(one.ctx, ast.Load)
                for one in source.own(function)
            )
        case _:
            return False


class EndlessLoop(Rule):
    """LIV023."""

    id = "LIV023"
    severity = Severity.WARNING
    title = "a loop that nothing ends"
    why = (
        "Without an await it stops the event loop; and where it does not look at ctx.signal, it goes on for clients "
        "that left."
    )
    how = "await something in it, and end it when ctx.signal.aborted, or read async for chunk in ctx.stream"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at endless loops in live functions and what they call."""
        for flow in project.flows:
            if flow.handler is None:
                continue
            source, name = flow.source, flow.node.name
            is_own = flow.node is flow.handler.node
            for node in source.own(flow.node):
                if not isinstance(node, ast.While | ast.For) or not _is_endless(project, source, node):
                    continue
                inner = list(_run_by(node))
                waits = any(
                    isinstance(one, ast.Await | ast.AsyncFor | ast.AsyncWith | ast.Yield) for one in inner
                )
                ends = any(isinstance(one, ast.Return | ast.Raise) for one in inner) or _breaks(node.body)
                looks = any(
                    isinstance(one, ast.Attribute) and one.attr in {"signal", "stream"} for one in inner
                )
                if not waits and not ends:
                    yield self.at(source, node, f"a loop in {name} never awaits: nobody else is served")
                elif is_own and flow.handler.kind in {"upload", "stream"} and not ends and not looks:
                    yield self.at(source, node, f"a loop in {name} goes on when the client has left")


def _is_endless(project: Project, source: Source, node: ast.While | ast.For) -> bool:
    if isinstance(node, ast.For):
        return source.name(node.iter) in {"itertools.count()", "itertools.cycle()"}
    _, test = project.value(source, node.test)
    return isinstance(test, ast.Constant) and bool(test.value)


def _run_by(node: ast.While | ast.For) -> Iterator[ast.AST]:
    """Yield what runs in a loop: without the bodies of functions that are defined in it."""
    stack: list[ast.AST] = list(node.body)
    while stack:
        one = stack.pop()
        if not isinstance(one, FunctionNode | ast.Lambda | ast.ClassDef):
            yield one
            stack.extend(ast.iter_child_nodes(one))


def _breaks(body: list[ast.stmt]) -> bool:
    """Return whether a break in a loop's body ends that loop, and not one within it."""
    stack: list[ast.AST] = list(body)
    while stack:
        one = stack.pop()
        if isinstance(one, ast.Break):
            return True
        if isinstance(one, ast.For | ast.AsyncFor | ast.While):
            stack.extend(one.orelse)
        elif not isinstance(one, FunctionNode | ast.Lambda | ast.ClassDef | ast.expr):
            stack.extend(ast.iter_child_nodes(one))
    return False
