"""Calls that give a client's input more power than it should have. Spec: platform 8.2."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Edit, Finding, Severity, Span
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.words import holds_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project
    from realtime_cli.rules.source import Source
    from realtime_cli.rules.taint import Flow

__all__ = ["BuiltSql", "CodeFromInput", "LeakyCompare", "UnescapedMarkup"]

EXECUTES = (
    "pickle.loads",
    "pickle.load",
    "cPickle.loads",
    "dill.loads",
    "cloudpickle.loads",
    "joblib.load",
    "pickle.Unpickler().load",
    "_pickle.loads",
    "dill.load",
    "cloudpickle.load",
    "marshal.loads",
    "marshal.load",
    "shelve.open",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "yaml.load_all",
    "yaml.unsafe_load_all",
    "yaml.full_load_all",
    "builtins.eval",
    "builtins.exec",
    "builtins.compile",
    "builtins.__import__",
    "jsonpickle.decode",
)
#: What hands its first argument to a shell, where it holds commands of whoever wrote it.
SHELLS = (
    "os.system",
    "os.popen",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell",
)
#: What does so with `shell=True`.
WITH_SHELL = (
    "subprocess.run",
    "subprocess.Popen",
    "subprocess.call",
    "subprocess.check_call",
    "subprocess.check_output",
)
NO_SHELL = "give the program a list of arguments, such as asyncio.create_subprocess_exec(program, name)"
SQL = re.compile(
    r"\b(select\s.+\bfrom|insert\s+into|update\s.+\bset|delete\s+from|drop\s+table)\b",
    re.IGNORECASE | re.DOTALL,
)
RUNS_SQL = frozenset(
    {
        "execute",
        "executemany",
        "executescript",
        "fetch",
        "fetchrow",
        "fetchval",
        "fetchall",
        "fetch_all",
        "fetch_one",
        "query",
        "raw",
    }
)
MAX_STEPS = 12  # names that are followed from one to the next
MAX_PARTS = 200  # of one query


class CodeFromInput(Rule):
    """SEC029."""

    id = "SEC029"
    severity = Severity.ERROR
    title = "a client's input is run as code"
    why = "Whoever can send it owns the server: these calls do whatever the bytes say."
    how = "decode JSON, such as by msgspec.json.decode, into a type of your own"

    def check(self, project: Project) -> Iterator[Finding]:
        """Follow input into what runs it."""
        for flow in project.flows:
            for node in flow.source.own(flow.node):
                if not isinstance(node, ast.Call):
                    continue
                called = flow.source.segment(node.func)
                command = _command(flow.source, node)
                if command is not None:
                    if flow.is_sent(command, harmful=True):
                        message = f"{called} gives what a client sent to a shell"
                        yield self.at(flow.source, node, message, NO_SHELL)
                elif _runs(flow.source, node) and any(flow.is_sent(value) for value in _given(node)):
                    yield self.at(flow.source, node, f"{called} runs what a client sent")


def _command(source: Source, call: ast.Call) -> ast.expr | None:
    """Return what a call gives to a shell, None when it asks none."""
    name = source.name(call.func) or ""
    if name in WITH_SHELL:
        options = {one.arg: one.value for one in call.keywords}
        shell = options.get("shell")
        if shell is None or (isinstance(shell, ast.Constant) and not shell.value):
            return None
    elif name not in SHELLS:
        return None
    return next(iter([*call.args, *(one.value for one in call.keywords if one.arg in {"args", "cmd"})]), None)


def _given(call: ast.Call) -> list[ast.expr]:
    """Return the arguments of a call, and those of the call that made its object: `Unpickler(file).load()`."""
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Call):
        given += _given(call.func.value)
    return given


def _runs(source: Source, call: ast.Call) -> bool:
    return source.name(call.func) in EXECUTES and not _is_safe_yaml(source, call)


def _is_safe_yaml(source: Source, call: ast.Call) -> bool:
    loaders = [k.value for k in call.keywords if k.arg == "Loader"] + call.args[1:2]
    return any((source.name(one) or "").endswith(("SafeLoader", "BaseLoader")) for one in loaders)


class LeakyCompare(Rule):
    """SEC030."""

    id = "SEC030"
    severity = Severity.WARNING
    title = "a secret compared with =="
    why = "It ends at the first letter that differs: by the time it takes, the secret can be guessed letter by letter."
    how = "use hmac.compare_digest"
    fixes = True

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at comparisons of what is named like a secret with something that is no constant."""
        for source in project.code:
            for node in source.nodes(ast.Compare):
                if len(node.ops) != 1 or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
                    continue
                left, right = node.left, node.comparators[0]
                sides = (left, right)
                if any(_is_plain(project, source, one) for one in sides):
                    continue
                if not any(_is_secret(one) for one in sides):
                    continue
                text = source.segment(node)[:60]
                yield self.at(
                    source,
                    node,
                    f"{text} tells by its time how much is right",
                    edits=self._edits(source, node),
                )

    def _edits(self, source: Source, node: ast.Compare) -> tuple[Edit, ...]:
        left, right = source.segment(node.left), source.segment(node.comparators[0])
        if not left or not right or "\n" in left + right or source.tree is None or source.in_text(node):
            return ()
        if any(isinstance(one, ast.Starred | ast.NamedExpr) for one in (node.left, node.comparators[0])):
            return ()
        call = f"hmac.compare_digest({left}, {right})"
        text = f"not {call}" if isinstance(node.ops[0], ast.NotEq) else call
        edits = [Edit(source.path, source.span(node), text)]
        known = source.scope(node).find("hmac")
        if known is not None and source.look_up("hmac", source.scope(node)) != "hmac":
            return ()
        if known is None:
            at = _after_future(source.tree)
            edits.append(Edit(source.path, Span(at, 1, at, 1), "import hmac\n"))
        return tuple(edits)


def _after_future(tree: ast.Module) -> int:
    """Return the line of the first statement behind the docstring and `from __future__`."""
    for statement in tree.body:
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        is_future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        if not is_text and not is_future:
            decorators = getattr(statement, "decorator_list", [])
            return decorators[0].lineno if decorators else statement.lineno
    return 1


def _is_secret(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return holds_secret(name)
        case ast.Subscript(slice=ast.Constant(value=str() as name)):
            return holds_secret(name)
        case ast.Call(func=ast.Attribute(attr="get" | "pop"), args=[ast.Constant(value=str() as name), *_]):
            return holds_secret(name)
        case ast.Call(func=ast.Attribute(attr="hexdigest" | "digest")):
            return True
        case ast.Call(
            func=ast.Attribute(value=value, attr="strip" | "encode" | "decode" | "lower" | "removeprefix")
        ):
            return _is_secret(value)
        case ast.NamedExpr(target=target):
            return _is_secret(target)
        case ast.Await(value=value):
            return _is_secret(value)
        case _:
            return False


def _is_plain(project: Project, source: Source, node: ast.expr) -> bool:
    """Return whether a side is no secret: text that stands in the code, a number, a length or a class."""
    if isinstance(node, ast.Constant):
        return True
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"len", "type", "int"}
    ):
        return True
    return not _is_secret(node) and isinstance(project.value(source, node)[1], ast.Constant)


class BuiltSql(Rule):
    """SEC032."""

    id = "SEC032"
    severity = Severity.WARNING
    title = "SQL that is put together from input"
    why = "A value with a quote in it ends the text and goes on as SQL: it reads or destroys every table."
    how = 'pass values as parameters: "... where id = $1", id'

    def check(self, project: Project) -> Iterator[Finding]:
        """Follow input into the text of a query."""
        for flow in project.flows:
            for node in flow.source.own(flow.node):
                text = _query(flow.source, node)
                if text is not None and self._is_built(project, flow, text, MAX_STEPS):
                    yield self.at(flow.source, text, "a query is put together from what a client sent")

    def _is_built(self, project: Project, flow: Flow, text: ast.expr, steps: int) -> bool:
        if isinstance(text, ast.Name) and steps:
            return any(self._is_built(project, flow, value, steps - 1) for value in _assigned(flow, text.id))
        if not flow.is_sent(text, harmful=True) or isinstance(text, ast.Constant) or _is_listed(flow, text):
            return False
        return bool(SQL.search(_fixed_text(project, flow, text, steps)))


def _is_listed(flow: Flow, text: ast.expr) -> bool:
    """Return whether each parameter in a text was looked for in a list of what may come, which it is left by if not."""
    listed: set[str] = set()
    for node in flow.source.own(flow.node):
        if isinstance(node, ast.If) and node.lineno < getattr(text, "lineno", 0):
            match node.test, node.body[-1]:
                case (
                    ast.Compare(left=ast.Name() as name, ops=[ast.NotIn()], comparators=[values]),
                    ast.Raise() | ast.Return(),
                ) if not flow.is_sent(values):
                    listed |= flow.origins_of(name)
    wanted = flow.origins_of(text)
    return bool(wanted) and wanted <= listed


def _assigned(flow: Flow, name: str) -> Iterator[ast.expr]:
    """Yield what a function assigns to a name, or adds to it."""
    for node in flow.source.own(flow.node):
        if isinstance(node, ast.Assign):
            if any(isinstance(target, ast.Name) and target.id == name for target in node.targets):
                yield node.value
            continue
        if not isinstance(node, ast.AnnAssign | ast.NamedExpr | ast.AugAssign) or node.value is None:
            continue
        if isinstance(node.target, ast.Name) and node.target.id == name:
            adds = isinstance(node, ast.AugAssign)
            yield ast.BinOp(node.target, ast.Add(), node.value) if adds else node.value


def _query(source: Source, node: ast.AST) -> ast.expr | None:
    if (
        not isinstance(node, ast.Call)
        or not isinstance(node.func, ast.Attribute)
        or node.func.attr not in RUNS_SQL
    ):
        return None
    given = [*node.args, *(one.value for one in node.keywords if one.arg in {"query", "sql", "statement"})]
    if not given:
        return None
    first = given[0]
    if isinstance(first, ast.Call) and first.args and not isinstance(first.func, ast.Attribute):
        return first.args[0]  # text("...") of SQLAlchemy
    is_text = isinstance(first, ast.Call) and (source.name(first.func) or "").endswith((".text", ".SQL"))
    return first.args[0] if is_text and isinstance(first, ast.Call) and first.args else first


def _fixed_text(project: Project, flow: Flow, node: ast.expr, steps: int) -> str:
    """Return the text of a query that stands in the source: of a formatted string, a sum, `%` or `.format`."""
    parts: list[str] = []
    stack: list[ast.expr] = [node]
    while stack and len(parts) < MAX_PARTS:
        match stack.pop():
            case ast.JoinedStr(values=values):
                stack += reversed(values)
            case ast.FormattedValue(value=value):
                stack.append(value)
            case ast.BinOp(left=left, right=right):
                stack += [right, left]
            case ast.Call(func=ast.Attribute(value=value, attr="format" | "join" | "replace" | "strip")):
                stack.append(value)
            case ast.IfExp(body=one, orelse=other):
                stack += [other, one]
            case ast.Constant(value=str() as text):
                parts.append(text)
            case ast.Name(id=name) as read if steps:
                steps -= 1
                own = list(_assigned(flow, name))
                _, value = project.value(flow.source, read)
                stack += own[:3] or ([value] if value is not read else [])
            case _:
                parts.append("x")
    return " ".join(parts)


MARKUP = frozenset({"markupsafe.Markup", "jinja2.Markup"})
_SAFE_FILTER = re.compile(r"\{\{[-+]?\s*((?:[^}]|\}(?!\}))*?)\|\s*safe\b(?:[^}]|\}(?!\}))*\}\}")
_NO_ESCAPING = re.compile(r"\{%[-+]?\s*autoescape\s+false\s*[-+]?%\}")
_NO_MARKUP = re.compile(r"\{#.*?#\}|\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}", re.DOTALL)
_FIXED = re.compile(r"^\s*(live_data\(|realtime_|csrf|super\(|['\"])")


class UnescapedMarkup(Rule):
    """SEC033."""

    id = "SEC033"
    severity = Severity.WARNING
    title = "markup that is written as it comes"
    why = "What a person typed becomes a script in everybody else's page."
    how = "take the safe filter away: {{ x }} is escaped"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for the filter in templates, and `Markup` around input in code."""
        for path, text in project.web.items():
            if path.endswith((".html", ".j2")):
                text = _NO_MARKUP.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
                for pattern in (_SAFE_FILTER, _NO_ESCAPING):
                    for match in pattern.finditer(text):
                        if pattern is _SAFE_FILTER and _FIXED.match(match[1]):
                            continue
                        line = text.count("\n", 0, match.start()) + 1
                        column = match.start() - (text.rfind("\n", 0, match.start()) + 1) + 1
                        shown = " ".join(match[0].split())[:60]
                        span = Span(line, column, line, column + len(match[0].partition("\n")[0]))
                        yield self.on(path, span, f"{shown} is written without escaping")
        for flow in project.flows:
            for node in flow.source.own(flow.node):
                if not isinstance(node, ast.Call) or flow.source.name(node.func) not in MARKUP:
                    continue
                if any(flow.is_sent(one) for one in node.args):
                    message = "Markup says that what a client sent is safe"
                    yield self.at(flow.source, node, message, "leave Markup out")
