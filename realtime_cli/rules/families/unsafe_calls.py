"""Calls that give a client's input more power than it should have. Spec: platform 8.2."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Edit, Finding, Severity, Span
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.taint import flow_of

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
    "marshal.loads",
    "marshal.load",
    "shelve.open",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "builtins.eval",
    "builtins.exec",
    "builtins.compile",
    "builtins.__import__",
    "jsonpickle.decode",
)
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
_SECRET = re.compile(
    r"(^|_)(tok|token|secret|signature|hmac|digest|password|passwd|pwd|api_?key|apikey|hash)s?($|_)",
    re.IGNORECASE,
)
HOOK_INPUT = ("request", "headers", "cookies", "url", "query", "data", "topic", "topics")


def flows(project: Project) -> Iterator[Flow]:
    """Yield where values go in every function that is given input: live functions and hooks."""
    for handler in project.handlers:
        yield project.flow(handler)
    if project.hooks is not None:
        for node in project.hooks.functions:
            arguments = node.args
            names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
            yield flow_of(project.hooks, node, [name for name in names if name in HOOK_INPUT])


class CodeFromInput(Rule):
    """SEC029."""

    id = "SEC029"
    severity = Severity.ERROR
    title = "a client's input is run as code"
    why = "Whoever can send it owns the server: these calls do whatever the bytes say."
    how = "decode JSON, such as by msgspec.json.decode, into a type of your own"

    def check(self, project: Project) -> Iterator[Finding]:
        """Follow input into what runs it."""
        for flow in flows(project):
            for node in flow.source.own(flow.node):
                if not isinstance(node, ast.Call) or flow.source.name(node.func) not in EXECUTES:
                    continue
                if _is_safe_yaml(flow.source, node):
                    continue
                given = [*node.args, *(keyword.value for keyword in node.keywords)]
                if any(flow.is_sent(value) for value in given):
                    called = flow.source.segment(node.func)
                    yield self.at(flow.source, node, f"{called} runs what a client sent")


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
                if any(isinstance(one, ast.Constant) for one in (left, right)):
                    continue
                if any(_is_plain(one) for one in (left, right)) or not (
                    _is_secret(left) or _is_secret(right)
                ):
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
        if not left or not right or "\n" in left + right or source.tree is None:
            return ()
        call = f"hmac.compare_digest({left}, {right})"
        text = f"not {call}" if isinstance(node.ops[0], ast.NotEq) else call
        edits = [Edit(source.path, source.span(node), text)]
        scope = source.bound.scopes[source.tree]
        if "hmac" not in scope.names:
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
            return bool(_SECRET.search(name))
        case ast.Subscript(slice=ast.Constant(value=str() as name)):
            return bool(_SECRET.search(name))
        case ast.Call(func=ast.Attribute(attr="get" | "pop"), args=[ast.Constant(value=str() as name), *_]):
            return bool(_SECRET.search(name.replace("-", "_")))
        case ast.Call(func=ast.Attribute(attr="hexdigest" | "digest")):
            return True
        case _:
            return False


def _is_plain(node: ast.expr) -> bool:
    """Return whether a side is a number, a length or a class, which are no secrets."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"len", "type", "int"}
    )


class BuiltSql(Rule):
    """SEC032."""

    id = "SEC032"
    severity = Severity.WARNING
    title = "SQL that is put together from input"
    why = "A value with a quote in it ends the text and goes on as SQL: it reads or destroys every table."
    how = 'pass values as parameters: "... where id = $1", id'

    def check(self, project: Project) -> Iterator[Finding]:
        """Follow input into the text of a query."""
        for flow in flows(project):
            for node in flow.source.own(flow.node):
                text = _query(node)
                if text is not None and self._is_built(flow, text):
                    yield self.at(flow.source, text, "a query is put together from what a client sent")

    def _is_built(self, flow: Flow, text: ast.expr) -> bool:
        if isinstance(text, ast.Name):
            for node in flow.source.own(flow.node):
                if isinstance(node, ast.Assign) and any(
                    isinstance(target, ast.Name) and target.id == text.id for target in node.targets
                ):
                    return self._is_built(flow, node.value)
            return False
        return bool(SQL.search(_fixed_text(text))) and flow.is_sent(text)


def _query(node: ast.AST) -> ast.expr | None:
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in RUNS_SQL
        and node.args
    ):
        first = node.args[0]
        if (
            isinstance(first, ast.Call)
            and isinstance(first.func, ast.Name)
            and first.func.id == "text"
            and first.args
        ):
            return first.args[0]
        return first
    return None


def _fixed_text(node: ast.expr) -> str:
    """Return the text of a query that stands in the source: of a formatted string, a sum, `%` or `.format`."""
    match node:
        case ast.JoinedStr(values=values):
            return " x ".join(str(one.value) for one in values if isinstance(one, ast.Constant))
        case ast.BinOp(left=left, right=right):
            return _fixed_text(left) + " x " + _fixed_text(right)
        case ast.Call(func=ast.Attribute(value=value, attr="format" | "join" | "replace")):
            return _fixed_text(value)
        case ast.Constant(value=str() as text):
            return text
        case _:
            return ""


MARKUP = frozenset({"markupsafe.Markup", "jinja2.Markup"})
_SAFE_FILTER = re.compile(r"\{\{-?\s*([^}]*?)\|\s*safe\b[^}]*\}\}")
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
                for match in _SAFE_FILTER.finditer(text):
                    if not _FIXED.match(match[1]):
                        line = text.count("\n", 0, match.start()) + 1
                        column = match.start() - (text.rfind("\n", 0, match.start()) + 1) + 1
                        span = Span(line, column, line, column + len(match[0]))
                        yield self.on(path, span, f"{match[0]} is written without escaping")
        for flow in flows(project):
            for node in flow.source.own(flow.node):
                if not isinstance(node, ast.Call) or flow.source.name(node.func) not in MARKUP:
                    continue
                if any(flow.is_sent(one) for one in node.args):
                    message = "Markup says that what a client sent is safe"
                    yield self.at(flow.source, node, message, "leave Markup out")
