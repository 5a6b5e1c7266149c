"""What scripts do that only a person can decide about, row by row. Spec: upgrade 1, 5.3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime_cli.codemods.finding import Severity
from realtime_cli.codemods.scriptfile import is_async_function, property_of
from realtime_cli.codemods.scriptnames import arguments
from realtime_cli.codemods.scriptobjects import entries, entry, has_spread, value_of
from realtime_cli.codemods.scriptparts import is_cursor, is_presence
from realtime_cli.codemods.scriptscopes import FUNCTIONS, string_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node  # noqa: TC004 - only in annotations

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["Flag", "flags"]

_MAX_TOPIC = 256
_PREDICATES = {"access": "C-01", "filter": "C-01"}
_OLD_EVENTS = frozenset({"list", "join", "leave", "updated"})
_CHUNKED = ("chunk", "index", "offset", "last", "final", "total")
_TOPIC_CALLS = {
    "@ctx.publish": "C-08",
    "server#live.stream": "S-18",
    "server#live.channel": "S-18",
    "client#on": "C-10",
    "client#onReplay": "C-10",
}


@dataclass(frozen=True, slots=True)
class Flag:
    """One place that is told and not edited."""

    node: Node
    row: str
    message: str
    advice: str
    severity: Severity = Severity.WARNING


def flags(file: ScriptFile) -> Iterator[Flag]:
    """Yield what is found in one script."""
    for call in file.nodes("call_expression", "new_expression"):
        callee = call.child_by_field_name("function") or call.child_by_field_name("constructor")
        meaning = file.names.of(callee)
        if not meaning:
            continue
        yield from _predicates(file, call, meaning)
        yield from _topics(file, call, meaning)
        yield from _others(file, call, meaning)
        if is_cursor(f"{meaning}()"):
            yield from _pace(call)
        if is_presence(f"{meaning}()") or is_cursor(f"{meaning}()"):
            yield from _select(call, meaning)
    yield from _hooks(file)
    yield from _presence_frames(file)
    yield from _internals(file)


def _is_async(file: ScriptFile, node: Node | None) -> bool:
    found = file.names.function_of(node)
    return found is not None and is_async_function(found[1])


def _predicates(file: ScriptFile, call: Node, meaning: str) -> Iterator[Flag]:
    advice = "it is awaited in 0.5, so that what was always allowed may now be denied: try it"
    given = arguments(call)
    if meaning.startswith("server#live."):
        for options in given:
            for name, row in _PREDICATES.items():
                value = value_of(entry(options, name))
                if value is not None and _is_async(file, value):
                    yield Flag(
                        value, row, f"the async {name} was never awaited in 0.4: everybody was let in", advice
                    )
    if meaning == "server#live.gate" and given and _is_async(file, given[0]):
        yield Flag(given[0], "C-02", "the async predicate of live.gate was never awaited in 0.4", advice)
    if meaning in ("server#live.access.any", "server#live.access.all"):
        for one in given:
            if _is_async(file, one):
                yield Flag(
                    one,
                    "C-03",
                    f"an async part of {meaning.rpartition('#')[2]} always allowed in 0.4",
                    advice,
                )
    if meaning == "@platform.sendTo" and given and _is_async(file, given[0]):
        yield Flag(
            given[0],
            "C-05",
            "an async filter of sendTo never matches in 0.5",
            "make the filter a plain function; fetch what it needs before",
            Severity.ERROR,
        )


def _topics(file: ScriptFile, call: Node, meaning: str) -> Iterator[Flag]:
    row = _TOPIC_CALLS.get(meaning)
    given = arguments(call)
    if row is None or not given:
        return
    topic = given[0]
    if topic.type not in ("string", "template_string"):
        return
    text = file.text(topic)[1:-1]
    start = text.partition("${")[0]
    if start.startswith("__"):
        refused = {
            "C-08": "is refused in 0.5; platform.publish may",
            "S-18": "is refused in 0.5 when the module is loaded",
            "C-10": "is denied to clients in 0.5 unless allowSystemTopicSubscribe is set",
        }
        severity = Severity.ERROR if row == "S-18" else Severity.WARNING
        yield Flag(
            topic, row, f"a topic that begins with __ {refused[row]}", "give it another name", severity
        )
    elif any(ord(sign) < 32 or ord(sign) > 126 for sign in start) or '"' in start or len(start) > _MAX_TOPIC:
        yield Flag(
            topic,
            "C-20",
            "topics are at most 256 signs of printable ASCII without quotes",
            "rename the topic, or set allowNonAsciiTopics",
        )


def _others(file: ScriptFile, call: Node, meaning: str) -> Iterator[Flag]:
    given = arguments(call)
    if meaning.endswith("Lock().clear"):
        yield Flag(call, "D-19", "waiters of a lock get LOCK_CLEARED when it is cleared", "catch that error")
    if (
        meaning == "server#live.configurePush"
        and given
        and given[0].type == "object"
        and not entries(given[0])
    ):
        yield Flag(call, "R-12", "an empty configurePush is an error in 0.5", "take it away", Severity.ERROR)
    if meaning == "server#live.binary" and given and given[0].type in FUNCTIONS:
        formal = given[0].child_by_field_name("parameters")
        words = file.text(formal).lower() if formal is not None else ""
        if any(word in words for word in _CHUNKED):
            yield Flag(
                call, "R-05", "chunks of an upload put together by hand", "live.upload brings ctx.stream"
            )
    if meaning == "server#createMessage":
        for options in given:
            handler = value_of(entry(options, "onUnhandled"))
            if handler is not None and "JSON.parse" in file.text(handler):
                yield Flag(
                    handler,
                    "R-07",
                    "JSON of foreign frames parsed by hand",
                    "use onJsonMessage(ws, msg, platform)",
                )


def _select(call: Node, meaning: str) -> Iterator[Flag]:
    given = arguments(call)
    if any(has_spread(one) for one in given if one.type == "object"):
        return
    if not any(entry(one, "select") is not None for one in given):
        name = meaning.rpartition("#")[2]
        yield Flag(
            call,
            "D-18",
            f"{name} without select drops keys that look like secrets in 0.5",
            "give a select that names what others may see",
        )


def _pace(call: Node) -> Iterator[Flag]:
    given = arguments(call)
    if any(has_spread(one) for one in given if one.type == "object"):
        return
    for name, old in (("throttle", 50), ("topicThrottle", 0)):
        if not any(entry(one, name) is not None for one in given):
            yield Flag(
                call,
                "D-34",
                f"{name} of cursors was {old} ms and is 16 ms",
                f"write {name}: {old} to keep the old pace",
                Severity.INFO,
            )


def _hooks(file: ScriptFile) -> Iterator[Flag]:
    if not file.project.scripts.is_hooks(file.path):
        return
    for kind in FUNCTIONS:
        for function in file.nodes(kind):
            name = file.names.hook(function)
            if name in ("subscribe", "subscribeBatch") and is_async_function(function):
                yield Flag(
                    function,
                    "C-04",
                    f"the async hook {name} was never awaited in 0.4: everything was allowed",
                    "it is awaited in 0.5; false or a string denies, an exception denies with INTERNAL_ERROR",
                )


def _presence_frames(file: ScriptFile) -> Iterator[Flag]:
    if b"__presence:" not in file.data:
        return
    found = [
        *(node for node in file.nodes("binary_expression") if _reads_event(file, node)),
        *(
            node
            for node in file.nodes("switch_case")
            if string_of(node.child_by_field_name("value")) in _OLD_EVENTS
        ),
    ]
    for node in found if len(found) > 1 else []:
        yield Flag(
            node,
            "D-06",
            "a presence event of 0.4",
            "0.5 sends presence_state, and presence_diff with joins and leaves",
        )


def _reads_event(file: ScriptFile, node: Node) -> bool:
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if left is None or right is None or string_of(right) not in _OLD_EVENTS:
        return False
    return file.text(left) == "event" or property_of(left) == "event"


def _internals(file: ScriptFile) -> Iterator[Flag]:
    for node in file.nodes("string"):
        if string_of(node) in ("__subscriptions", "__coalesced"):
            yield Flag(
                node,
                "S-31",
                "scratch state of the adapter",
                "0.5 keeps it elsewhere: ctx.subscriptions in close",
            )
    for node in file.nodes("call_expression"):
        callee = node.child_by_field_name("function")
        given = arguments(node)
        if (
            callee is None
            or property_of(callee) != "includes"
            or not given
            or string_of(given[0]) != "timed out"
        ):
            continue
        if b"live.push" in file.data:
            yield Flag(node, "D-26", "a push timeout told by its text", "compare error.code with 'TIMEOUT'")
