"""What live functions publish and show. Spec: platform 8.3, 8.4."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.meaning import text_of
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.scopes import FunctionNode
from realtime_cli.rules.words import is_about

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.handlers import Handler
    from realtime_cli.rules.project import Project
    from realtime_cli.rules.source import Source
    from realtime_cli.rules.taint import Flow

__all__ = [
    "CountlessTopics",
    "ExpensiveStream",
    "PlainException",
    "SecretInResult",
    "SystemTopic",
    "UnknownTopic",
]

CTX_PUBLISHES = ("@ctx.publish", "@ctx.publish_throttled", "@ctx.publish_debounced")
PUBLISHES = (*CTX_PUBLISHES, "@platform.publish", "runtime.publish")
SECRET_FIELDS = re.compile(
    r"(^|_)(password|passwd|pwd|password_hash|secret|token|api_?key|private_key|salt|otp|ssn|credit_?card)($|_)",
    re.IGNORECASE,
)


def topic_of(call: ast.Call) -> ast.expr | None:
    """Return the topic that a publish is given."""
    return next(iter([*call.args, *(one.value for one in call.keywords if one.arg == "topic")]), None)


class SystemTopic(Rule):
    """LIV009."""

    id = "LIV009"
    severity = Severity.ERROR
    title = "a publish to a topic of the framework"
    why = (
        "ctx.publish refuses names that begin with two underscores, which no input may forge: the call fails."
    )
    how = "rename the topic, or use what the framework offers: ctx.send_signal, live.push, presence"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at the first argument of publishes through the ctx."""
        if project.settings.get("security.allow_system_topic_publish"):
            return
        for source in project.code:
            for call in source.calls_of(*CTX_PUBLISHES):
                topic = topic_of(call)
                text = _begins(project, source, topic) if topic is not None else None
                if topic is not None and text is not None and text.startswith("__"):
                    yield self.at(
                        source, topic, f"the topic {text!r} is the framework's: the publish is refused"
                    )


def _begins(project: Project, source: Source, node: ast.expr) -> str | None:
    """Return the text that an expression begins with, also through names at its start."""
    where, value = project.value(source, node)
    for _ in range(5):
        match value:
            case ast.BinOp(op=ast.Add(), left=left):
                where, value = project.value(where, left)
            case ast.JoinedStr(values=[ast.FormattedValue(value=first), *_]):
                where, value = project.value(where, first)
            case _:
                return text_of(value)
    return None


class CountlessTopics(Rule):
    """CAP009."""

    id = "CAP009"
    severity = Severity.WARNING
    title = "a topic for each user or request, with numbers"
    why = "Each topic has a counter that stays: after a day of users there are millions."
    how = "publish with volatile=True, or to one topic with the user in the data"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for ids of users, connections and requests in topics of publishes with numbers."""
        for source in project.code:
            for call in source.calls_of(*PUBLISHES):
                topic = topic_of(call)
                if topic is None or _is_volatile(project, source, call):
                    continue
                where, made = project.value(source, topic)
                if part := _countless(project, where, made):
                    message = f"a topic for each {part}, whose numbers stay for good"
                    yield self.at(source, topic, message)


def _is_volatile(project: Project, source: Source, call: ast.Call) -> bool:
    for given in call.keywords:
        _, value = project.value(source, given.value)
        off = isinstance(value, ast.Constant) and not value.value
        if given.arg is None or (given.arg == "volatile" and not off) or (given.arg == "seq" and off):
            return True
    return False


_VOLATILE_WORDS = re.compile(
    r"(cur|cursor|typing|pos|position|mouse|pointer|move|progress|req|request|conn|session)", re.IGNORECASE
)


def _countless(project: Project, source: Source, topic: ast.expr) -> str | None:
    """Return what there are countless of in a topic: connections and requests, and users of what moves all the time."""
    start = text_of(topic) or ""
    for part in _parts(topic):
        where, value = project.value(source, part)
        name = source.name(part) or where.name(value) or ""
        text = source.segment(part).lower()
        if (
            name.startswith(("@ws.id", "@ctx.request_id", "uuid.uuid"))
            or "request_id" in text
            or "uuid" in text
        ):
            return "connection" if name.startswith("@ws") else "request"
        name = name.replace("[]", "")
        per_user = name.startswith(("@ctx.user", "@ws.user_data")) or re.search(r"\b(uid|user_?id)\b", text)
        if per_user and _VOLATILE_WORDS.search(start):
            return "user"
    return None


def _parts(topic: ast.expr) -> list[ast.expr]:
    """Return what is put into a text: by a formatted string, a sum, `%` or `.format`."""
    match topic:
        case ast.JoinedStr(values=values):
            return [one.value for one in values if isinstance(one, ast.FormattedValue)]
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return [*_parts(left), right] if isinstance(left, ast.BinOp) else [right]
        case ast.BinOp(op=ast.Mod(), right=ast.Tuple(elts=parts)):
            return parts
        case ast.BinOp(op=ast.Mod(), right=right):
            return [right]
        case ast.Call(func=ast.Attribute(attr="format"), args=args, keywords=keywords):
            return [*args, *(one.value for one in keywords)]
        case _:
            return []


class PlainException(Rule):
    """LIV017."""

    id = "LIV017"
    severity = Severity.WARNING
    title = "an exception whose text the client never sees"
    why = "Whatever is raised but LiveError is INTERNAL_ERROR for the client, without its text."
    how = 'raise LiveError("CONFLICT", "...") with a code that the page can tell from others'

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at raises with a text in functions that clients call."""
        for flow in project.flows:
            if flow.handler is None or not flow.handler.is_reachable or flow.source.kind == "hooks":
                continue
            for node in flow.source.own(flow.node):
                name = _raised(project, flow.source, node) if isinstance(node, ast.Raise) else None
                if name is None or (flow.node is not flow.handler.node and name in OF_THE_APP):
                    continue
                if not _is_caught(flow, node, name):
                    message = f"{name} reaches the client as INTERNAL_ERROR, without its text"
                    yield self.at(flow.source, node, message)


MEANT = frozenset(
    {"Exception", "ValueError", "RuntimeError", "TypeError", "KeyError", "LookupError", "PermissionError"}
)


#: What functions of the app raise where something cannot be, rather than to tell a client.
OF_THE_APP = frozenset({"LookupError", "KeyError", "TypeError"})


def _raised(project: Project, source: Source, node: ast.Raise) -> str | None:
    where, call = project.value(source, node.exc) if node.exc is not None else (source, None)
    if not isinstance(call, ast.Call) or not call.args or node.cause is not None:
        return None
    name = (where.name(call.func) or "").removeprefix("builtins.")
    return name if name in MEANT and text_of(project.value(where, call.args[0])[1]) is not None else None


def _is_caught(flow: Flow, node: ast.AST, name: str, depth: int = 4) -> bool:
    """Return whether a `try` takes the exception: of the function, or around every call that leads to it."""
    inside = node
    for above in flow.source.parents(node):
        if isinstance(above, ast.Try) and inside in above.body:
            for block in above.handlers:
                caught = flow.source.segment(block.type) if block.type else "Exception"
                if name in caught or "Exception" in caught:
                    return True
        if isinstance(above, ast.With | ast.AsyncWith):
            around = flow.source.name(above.items[0].context_expr)
            if around == "contextlib.suppress()":
                return True
        if above is flow.node:
            break
        inside = above
    leads = [one for one in flow.calls if one[0].node is not flow.node]
    return bool(leads and depth) and all(_is_caught(caller, call, name, depth - 1) for caller, call in leads)


class ExpensiveStream(Rule):
    """LIV026."""

    id = "LIV026"
    severity = Severity.INFO
    title = "a stream that costs much and is open to everybody"
    why = "Under load everybody's reports are loaded again and again, and what people need at once waits."
    how = 'give it class_of_service="background", or ask ctx.shed first'

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at public streams that load much, or are named so."""
        for handler in project.handlers:
            if handler.kind != "stream" or not handler.is_public or handler.option("class_of_service"):
                continue
            sheds = any(isinstance(n, ast.Attribute) and n.attr == "shed" for n in handler.nodes)
            if not sheds and _is_expensive(project, handler):
                message = f"{handler.node.name} is public and loads much, whatever the load is"
                yield self.at(handler.source, handler.node, message)


_EXPENSIVE = re.compile(
    r"(report|statistic|stats|analytics|search|export|summary|aggregate|history)", re.IGNORECASE
)
_HEAVY_SQL = re.compile(r"\b(group\s+by|join|count\(|sum\(|avg\()", re.IGNORECASE)


def _is_expensive(project: Project, handler: Handler) -> bool:
    if _EXPENSIVE.search(handler.node.name):
        return True
    read = [one for one in handler.nodes if isinstance(one, ast.Constant | ast.Name | ast.Attribute)]
    values = (project.value(handler.source, one)[1] for one in read)
    return any(
        isinstance(one, ast.Constant) and isinstance(one.value, str) and _HEAVY_SQL.search(one.value)
        for one in values
    )


class SecretInResult(Rule):
    """LIV030."""

    id = "LIV030"
    severity = Severity.INFO
    title = "a function gives clients something that looks like a secret"
    why = "What is returned or published stands in the browser, for the user and for every extension."
    how = "return a type of its own with the fields that the page needs"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at returned dicts and at annotations that name a type with such fields."""
        for handler in project.handlers:
            if not handler.is_reachable:
                continue
            field = self._annotated(project, handler)
            if field is not None and handler.node.returns is not None:
                message = f"{handler.node.name} returns a type with the field {field!r}"
                yield self.at(handler.source, handler.node.returns, message)
                continue
            told: set[ast.AST] = set()
            for source, place, what in _returned(project, handler.source, handler.node, MAX_STEPS):
                if place not in told:
                    told.add(place)
                    yield self.at(source, place, f"{handler.node.name} returns {what}")

    def _annotated(self, project: Project, handler: Handler) -> str | None:
        """Return a telling field of the class of the project that the function says it returns."""
        returns = handler.node.returns
        if isinstance(returns, ast.Constant) and isinstance(returns.value, str):
            words = re.findall(r"[A-Za-z_][\w.]*", returns.value)
            top = (
                handler.source.bound.scopes.get(handler.source.tree)
                if handler.source.tree is not None
                else None
            )
            names = [handler.source.look_up(word, top) if top is not None else None for word in words]
        else:
            nodes = ast.walk(returns) if returns is not None else ()
            names = [
                handler.source.name(node) for node in nodes if isinstance(node, ast.Name | ast.Attribute)
            ]
        for name in names:
            found = project.definition(name) if name else None
            if found is not None and isinstance(found[1], ast.ClassDef):
                field = _secret_field(project, found[0], found[1], MAX_STEPS)
                if field is not None:
                    return field
        return None


MAX_STEPS = 5  # names, functions and bases that are followed
_ROW = re.compile(r"^(user|account|member|person|customer|profile)_?(row|record|model)$", re.IGNORECASE)


def _is_secret(name: str) -> bool:
    return bool(SECRET_FIELDS.search(name)) and not is_about(name)


def _secret_field(project: Project, source: Source, node: ast.ClassDef, steps: int) -> str | None:
    """Return a telling field of a class or of what it is made from."""
    for statement in node.body:
        field = statement.target if isinstance(statement, ast.AnnAssign) else None
        if isinstance(field, ast.Name) and _is_secret(field.id):
            return field.id
    for base in node.bases:
        found = project.definition(source.name(base) or "") if steps else None
        if found is not None and isinstance(found[1], ast.ClassDef) and found[1] is not node:
            told = _secret_field(project, found[0], found[1], steps - 1)
            if told is not None:
                return told
    return None


def _returned(
    project: Project, source: Source, node: FunctionNode, steps: int
) -> Iterator[tuple[Source, ast.AST, str]]:
    """Yield what a function returns that it should not, with its place."""
    for one in source.own(node):
        if isinstance(one, ast.Return) and one.value is not None and source.function(one) is node:
            yield from _telling(project, source, node, one.value, steps)


def _telling(
    project: Project, source: Source, node: FunctionNode, value: ast.expr, steps: int
) -> Iterator[tuple[Source, ast.AST, str]]:
    if not steps:
        return
    match value:
        case ast.Name(id=name) if _ROW.match(name):
            yield source, value, f"{name}, with all of its fields"
        case ast.Name(id=name):
            for binding in source.bindings(name, source.scope(value), value):
                if binding.value is not None and isinstance(binding.node, ast.Assign | ast.AnnAssign):
                    yield from _telling(project, source, node, binding.value, steps - 1)
        case ast.Dict(keys=keys, values=values):
            for key, inner in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and _is_secret(str(key.value)):
                    yield source, key, f"the field {key.value!r}"
                elif isinstance(inner, ast.Dict) or key is None:
                    yield from _telling(project, source, node, inner, steps - 1)
        case ast.Call(func=function, keywords=keywords):
            called = project.function_of(source, function)
            if called is not None and isinstance(called[1], FunctionNode) and called[1] is not node:
                yield from _returned(project, called[0], called[1], steps - 1)
            elif source.name(function) == "builtins.dict":
                for keyword in keywords:
                    if keyword.arg is not None and _is_secret(keyword.arg):
                        yield source, keyword, f"the field {keyword.arg!r}"
        case ast.Await(value=inner) | ast.NamedExpr(value=inner):
            yield from _telling(project, source, node, inner, steps)
        case ast.IfExp(body=one, orelse=other):
            yield from _telling(project, source, node, one, steps)
            yield from _telling(project, source, node, other, steps)
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            for part in parts:
                yield from _telling(project, source, node, part, steps)
        case ast.ListComp(elt=part):
            yield from _telling(project, source, node, part, steps)
        case _:
            return


class UnknownTopic(Rule):
    """LIV024."""

    id = "LIV024"
    severity = Severity.WARNING
    title = "a topic that the app's registry does not have"
    why = "A misspelt topic is published to nobody, and a stream on it never changes."
    how = "add it to define_topics, or use the name from there: TOPICS.todos"

    def check(self, project: Project) -> Iterator[Finding]:
        """Compare the topics that stand in the code with those of `define_topics`."""
        known = [
            name
            for source in project.code
            for call in source.calls_of("runtime.define_topics")
            for name in _defined(project, source, call)
        ]
        if not known:
            return
        patterns = [
            re.compile("[^:/]*".join(re.escape(part) for part in re.split(r"\{[^}]*\}|<[^>]*>|\*", name)))
            for name in known
        ]
        for source in project.code:
            calls = [
                *source.calls_of(*PUBLISHES),
                *source.calls_of("runtime.live.stream", "runtime.live.channel"),
            ]
            for call in calls:
                topic = topic_of(call)
                value = project.value(source, topic)[1] if topic is not None else None
                text = value.value if isinstance(value, ast.Constant) else None
                if topic is None or not isinstance(text, str) or text.startswith("__"):
                    continue
                if not any(pattern.fullmatch(text) for pattern in patterns):
                    yield self.at(source, topic, f"the topic {text!r} is not among those of define_topics")


def _defined(project: Project, source: Source, call: ast.Call) -> Iterator[str]:
    """Yield the topics that a call of `define_topics` defines, as patterns."""
    values = [given.value for given in call.keywords]
    for written in call.args:
        _, given = project.value(source, written)
        values += given.values if isinstance(given, ast.Dict) else [given]
    for value in (project.value(source, value)[1] for value in values):
        match value:
            case ast.Constant(value=str() as text):
                yield text
            case ast.Lambda(body=ast.JoinedStr(values=parts)):
                yield "".join(str(one.value) if isinstance(one, ast.Constant) else "*" for one in parts)
            case ast.Lambda(body=ast.Constant(value=str() as text)):
                yield text
            case ast.Name() | ast.Attribute():
                yield "*"  # a function that cannot be read here may give any topic
            case _:
                yield "*"
