"""What stops the event loop, or goes on behind its back. Spec: platform 8.4."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.handlers import Handler
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
FILE_METHODS = frozenset({"read_text", "read_bytes", "write_text", "write_bytes"})
THREADS = frozenset(
    {"asyncio.to_thread", "anyio.to_thread.run_sync", "starlette.concurrency.run_in_threadpool"}
)


def is_blocking(name: str) -> bool:
    """Return whether a call of that name blocks."""
    return any(name == one or (one.endswith(".") and name.startswith(one)) for one in BLOCKING)


class BlockingCall(Rule):
    """LIV003."""

    id = "LIV003"
    severity = Severity.WARNING
    title = "a call that blocks the event loop"
    why = "While it waits nobody is served: no other call, no publish, no ping."
    how = "use the async way, move it into a plain function under @live(thread=True), or await asyncio.to_thread(...)"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at the calls in async functions, and in plain ones that run in the loop."""
        in_threads = {handler.node for handler in project.handlers if _in_thread(handler)}
        in_loop = {handler.node for handler in project.handlers} - in_threads
        for source in project.code:
            if source.kind == "code" and not source.module.startswith("live."):
                continue
            for call in source.nodes(ast.Call):
                function = source.function(call)
                if function is None or function in in_threads or _in_lambda(source, call):
                    continue
                runs = (
                    isinstance(function, ast.AsyncFunctionDef)
                    or function in in_loop
                    or source.kind == "hooks"
                )
                if runs and (what := _blocks(source, call)):
                    yield self.at(source, call, f"{what} blocks the event loop in {function.name}")


def _in_thread(handler: Handler) -> bool:
    decorator = handler.decorator("")
    value = decorator.option("thread") if decorator else None
    return isinstance(value, ast.Constant) and value.value is True


def _in_lambda(source: Source, node: ast.AST) -> bool:
    """Return whether a call is made later, by whoever is handed a lambda."""
    for above in source.parents(node):
        if isinstance(above, ast.Lambda):
            return True
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
    return False


def _blocks(source: Source, call: ast.Call) -> str | None:
    name = source.name(call.func)
    if name is not None and is_blocking(name):
        return source.segment(call.func)
    if not isinstance(call.func, ast.Attribute) or isinstance(source.parent(call), ast.Await):
        return None
    opened = source.name(call.func.value) or ""
    if call.func.attr in {"read", "write", "readlines", "readline", "writelines"} and opened in {
        "builtins.open()",
        "io.open()",
    }:
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
                if isinstance(source.parent(call), ast.Expr) or _is_unread(source, call):
                    yield self.at(
                        source, call, f"{source.segment(call.func)}(...) makes a task that nobody keeps"
                    )


def _is_unread(source: Source, call: ast.Call) -> bool:
    """Return whether a task is given a name of the function that nobody reads."""
    parent, function = source.parent(call), source.function(call)
    if not isinstance(parent, ast.Assign) or function is None or len(parent.targets) != 1:
        return False
    target = parent.targets[0]
    if not isinstance(target, ast.Name):
        return False
    return not any(
        isinstance(node, ast.Name) and node.id == target.id and isinstance(node.ctx, ast.Load)
        for node in source.own(function)
    )


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
        """Look at `while True` in live functions."""
        for handler in project.handlers:
            for node in handler.nodes:
                if not isinstance(node, ast.While) or not _is_always(node.test):
                    continue
                inner = [one for statement in node.body for one in ast.walk(statement)]
                waits = any(isinstance(one, ast.Await | ast.AsyncFor | ast.AsyncWith) for one in inner)
                ends = any(isinstance(one, ast.Break | ast.Return | ast.Raise) for one in inner)
                looks = any(isinstance(one, ast.Attribute) and one.attr == "signal" for one in inner)
                if not waits and not ends:
                    message = f"a loop in {handler.node.name} never awaits: nobody else is served"
                    yield self.at(handler.source, node, message)
                elif handler.kind in {"upload", "stream"} and not ends and not looks:
                    message = f"a loop in {handler.node.name} goes on when the client has left"
                    yield self.at(handler.source, node, message)


def _is_always(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) and bool(test.value)
