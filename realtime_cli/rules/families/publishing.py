"""What live functions publish and show. Spec: platform 8.3, 8.4."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.handlers import Handler
    from realtime_cli.rules.project import Project
    from realtime_cli.rules.source import Source

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


def literal(node: ast.expr | None) -> str | None:
    """Return the text that an expression begins with: a constant, or the start of a formatted string."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=[ast.Constant(value=str() as text), *_]):
            return text
        case ast.BinOp(op=ast.Add(), left=left):
            return literal(left)
        case _:
            return None


def resolved(source: Source, node: ast.expr | None) -> str | None:
    """Return the text of an expression, also through a constant of the module."""
    if isinstance(node, ast.Name):
        found = source.scope(node).find(node.id)
        values = [one.value for one in found[1]] if found else []
        return next((text for value in values if (text := literal(value)) is not None), None)
    return literal(node)


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
                topic = (
                    call.args[0]
                    if call.args
                    else next((k.value for k in call.keywords if k.arg == "topic"), None)
                )
                text = resolved(source, topic)
                if topic is not None and text is not None and text.startswith("__"):
                    yield self.at(
                        source, topic, f"the topic {text!r} is the framework's: the publish is refused"
                    )


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
                topic = call.args[0] if call.args else None
                if topic is None or _is_volatile(call):
                    continue
                if isinstance(topic, ast.JoinedStr) and (part := _countless(source, topic)):
                    message = f"a topic for each {part}, whose numbers stay for good"
                    yield self.at(source, topic, message)


def _is_volatile(call: ast.Call) -> bool:
    return any(
        (given.arg == "volatile" and not _is_false(given.value))
        or (given.arg == "seq" and _is_false(given.value))
        for given in call.keywords
    )


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not node.value


_VOLATILE_WORDS = re.compile(
    r"(cur|cursor|typing|pos|position|mouse|pointer|move|progress|req|request|conn|session)", re.IGNORECASE
)


def _countless(source: Source, topic: ast.JoinedStr) -> str | None:
    """Return what there are countless of in a topic: connections and requests, and users of what moves all the time."""
    start = literal(topic) or ""
    for value in topic.values:
        if not isinstance(value, ast.FormattedValue):
            continue
        name = source.name(value.value) or ""
        text = source.segment(value.value).lower()
        if name.startswith(("@ws.id", "@ctx.request_id")) or "request_id" in text or "uuid" in text:
            return "connection" if name.startswith("@ws") else "request"
        per_user = name.startswith(("@ctx.user", "@ws.user_data")) or re.search(r"\b(uid|user_?id)\b", text)
        if per_user and _VOLATILE_WORDS.search(start):
            return "user"
    return None


class PlainException(Rule):
    """LIV017."""

    id = "LIV017"
    severity = Severity.WARNING
    title = "an exception whose text the client never sees"
    why = "Whatever is raised but LiveError is INTERNAL_ERROR for the client, without its text."
    how = 'raise LiveError("CONFLICT", "...") with a code that the page can tell from others'

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at raises with a text in functions that clients call."""
        for handler in project.handlers:
            if not handler.is_reachable:
                continue
            for node in handler.nodes:
                if (
                    isinstance(node, ast.Raise)
                    and (name := _raised(handler, node))
                    and not _is_caught(handler, node, name)
                ):
                    message = f"{name} reaches the client as INTERNAL_ERROR, without its text"
                    yield self.at(handler.source, node, message)


MEANT = frozenset(
    {"Exception", "ValueError", "RuntimeError", "TypeError", "KeyError", "LookupError", "PermissionError"}
)


def _raised(handler: Handler, node: ast.Raise) -> str | None:
    call = node.exc
    if not isinstance(call, ast.Call) or not call.args or node.cause is not None:
        return None
    name = (handler.source.name(call.func) or "").removeprefix("builtins.")
    return name if name in MEANT and literal(call.args[0]) is not None else None


def _is_caught(handler: Handler, node: ast.AST, name: str) -> bool:
    """Return whether a `try` of the function takes the exception."""
    inside = node
    for above in handler.source.parents(node):
        if isinstance(above, ast.Try) and inside in above.body:
            for block in above.handlers:
                caught = handler.source.segment(block.type) if block.type else "Exception"
                if name in caught or "Exception" in caught:
                    return True
        if above is handler.node:
            return False
        inside = above
    return False


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
            if not sheds and _is_expensive(handler):
                message = f"{handler.node.name} is public and loads much, whatever the load is"
                yield self.at(handler.source, handler.node, message)


_EXPENSIVE = re.compile(
    r"(report|statistic|stats|analytics|search|export|summary|aggregate|history)", re.IGNORECASE
)
_HEAVY_SQL = re.compile(r"\b(group\s+by|join|count\(|sum\(|avg\()", re.IGNORECASE)


def _is_expensive(handler: Handler) -> bool:
    if _EXPENSIVE.search(handler.node.name):
        return True
    return any(
        isinstance(n, ast.Constant) and isinstance(n.value, str) and _HEAVY_SQL.search(n.value)
        for n in handler.nodes
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
            for node in handler.nodes:
                value = node.value if isinstance(node, ast.Return) else None
                row = _row(handler, value)
                if row is not None and value is not None:
                    yield self.at(
                        handler.source, value, f"{handler.node.name} returns {row}, with all of its fields"
                    )
                for key in value.keys if isinstance(value, ast.Dict) else ():
                    if isinstance(key, ast.Constant) and SECRET_FIELDS.search(str(key.value)):
                        yield self.at(
                            handler.source, key, f"{handler.node.name} returns the field {key.value!r}"
                        )

    def _annotated(self, project: Project, handler: Handler) -> str | None:
        """Return a telling field of the class of the project that the function says it returns."""
        returns = handler.node.returns
        for node in ast.walk(returns) if returns is not None else ():
            if not isinstance(node, ast.Name | ast.Attribute):
                continue
            name = handler.source.name(node)
            found = project.definition(name) if name else None
            if found is None or not isinstance(found[1], ast.ClassDef):
                continue
            for statement in found[1].body:
                field = statement.target if isinstance(statement, ast.AnnAssign) else None
                if isinstance(field, ast.Name) and SECRET_FIELDS.search(field.id):
                    return field.id
        return None


_ROW = re.compile(r"^(user|account|member|person|customer|profile)_?(row|record|model)$", re.IGNORECASE)


def _row(handler: Handler, value: ast.expr | None) -> str | None:
    """Return the name of a whole row of a user that is returned as it is."""
    return value.id if isinstance(value, ast.Name) and _ROW.match(value.id) else None


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
            for name in _defined(source, call)
        ]
        if not known:
            return
        patterns = [
            re.compile("[^:/]*".join(re.escape(part) for part in re.split(r"\{[^}]*\}|<[^>]*>|\*", name)))
            for name in known
        ]
        for source in project.code:
            used = [(call.args[0], None) for call in source.calls_of(*PUBLISHES) if call.args]
            used += [
                (call.args[0], None)
                for call in source.calls_of("runtime.live.stream", "runtime.live.channel")
                if call.args
            ]
            for topic, _ in used:
                text = topic.value if isinstance(topic, ast.Constant) else None
                if (
                    isinstance(text, str)
                    and not text.startswith("__")
                    and not any(p.fullmatch(text) for p in patterns)
                ):
                    yield self.at(source, topic, f"the topic {text!r} is not among those of define_topics")


def _defined(source: Source, call: ast.Call) -> Iterator[str]:
    """Yield the topics that a call of `define_topics` defines, as patterns."""
    values = [given.value for given in call.keywords]
    for given in call.args:
        if isinstance(given, ast.Dict):
            values += given.values
    for value in values:
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
