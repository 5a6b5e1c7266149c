"""Topics that 0.5 refuses: reserved ones, and those with characters that the wire does not carry. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.arguments import argument
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.definitions import function_of
from realtime_cli.codemods.finding import Change, Finding, Severity
from realtime_cli.codemods.literals import text_parts, text_start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["MAX_TOPIC", "Topics"]

MAX_TOPIC = 256
_CTX = ("publish", "publish_throttled", "publish_debounced", "throttle", "debounce")
_DECLARED = {"runtime.live.stream": 0, "runtime.live.channel": 0, "runtime.live.cron": 1}
_BUSES = ("runtime.cluster.PubSubBus", "runtime.cluster.ShardedBus")
_NAMES = (*_CTX, "stream", "channel", "cron", "subscribe", "on")


class Topics(Codemod):
    """Topics that begin with `__` are the framework's; others are printable ASCII of at most 256 characters."""

    id: ClassVar[str] = "UPG115"
    title: ClassVar[str] = "reserved and non-ASCII topics"
    change: ClassVar[Change] = Change.FLAG
    rows: ClassVar[tuple[str, ...]] = ("C-08", "C-10", "C-14", "C-20", "S-18")
    tokens: ClassVar[tuple[bytes, ...]] = (
        b"PubSubBus",
        b"ShardedBus",
        b"publish",
        b"live.stream",
        b"live.channel",
        b"live.cron",
        b".subscribe(",
        b'.on("__',
        b".on('__",
    )

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield each topic that is refused."""
        names = file.names
        for call in file.calls(*_NAMES, "PubSubBus", "ShardedBus"):
            if names.is_a(call.func, *_BUSES):
                yield self.behaviour(
                    "C-14",
                    "the bus checks what comes from other machines: size, topic, event and reserved topics",
                    "relay of reserved topics needs allow_system_topics=True",
                )
                continue
            found = names.of(call.func)
            if len(found) != 1:
                continue
            (meaning,) = found
            yield from self._call(file, call, meaning)

    def _call(self, file: PythonFile, call: cst.Call, meaning: str) -> Iterator[Finding]:
        base, _, name = meaning.rpartition(".")
        if base == "@ctx" and name in _CTX:
            topic = argument(call, "topic", 0)
            if topic is not None:
                yield from self._published(file, call, topic.value)
                yield from self._characters(file, topic.value)
        elif base == "@platform" and name == "publish":
            topic = argument(call, "topic", 0)
            if topic is not None:
                yield from self._characters(file, topic.value)
        elif meaning in _DECLARED:
            topic = argument(call, "topic", _DECLARED[meaning])
            if topic is not None:
                yield from self._declared(file, topic.value, name)
        elif base == "runtime.client.connect()" and name in ("subscribe", "on"):
            topic = argument(call, "topic", 0)
            if topic is not None and text_start(topic.value).startswith("__"):
                yield self.flag(
                    file,
                    topic.value,
                    "C-10",
                    f"{file.text(topic.value)} is a topic of the framework: subscribing to it is denied",
                    "use presence, signals or replay by their API, or set [security] allow_system_topic_subscribe",
                )
            elif topic is not None:
                yield from self._characters(file, topic.value)
        elif base.removesuffix("()") in _BUSES and name == "publish":
            topic = argument(call, "topic", 0)
            if (
                topic is not None
                and isinstance(topic.value, cst.FormattedString)
                and text_start(topic.value).startswith("__")
            ):
                yield self.flag(
                    file,
                    topic.value,
                    "C-14",
                    f"{file.text(topic.value)} goes over the bus, which drops topics that begin with __",
                    "use a topic of your own, or give the bus allow_system_topics=True",
                )

    def _published(self, file: PythonFile, call: cst.Call, topic: cst.BaseExpression) -> Iterator[Finding]:
        if not text_start(topic).startswith("__"):
            return
        message = f"ctx.publish({file.text(topic)}) raises INVALID_TOPIC: topics that begin with __ are the framework's"
        advice = "use a topic of your own, or ctx.platform.publish() if it is meant for the framework"
        func = call.func
        if (
            file.project.options.interactive
            and isinstance(func, cst.Attribute)
            and func.attr.value == "publish"
        ):
            yield self.assisted(
                file,
                topic,
                "C-08",
                message,
                "publishes past the check for reserved topics",
                [file.replace(func, f"{file.text(func.value)}.platform.publish")],
                advice=advice,
            )
        else:
            yield self.flag(file, topic, "C-08", message, advice)

    def _declared(self, file: PythonFile, topic: cst.BaseExpression, kind: str) -> Iterator[Finding]:
        given = topic
        function = function_of(file, topic)
        if function is not None:
            if isinstance(function[1], cst.FunctionDef):
                if function[1].asynchronous is not None and kind != "cron":
                    yield self.flag(
                        file,
                        topic,
                        "S-18",
                        f"the topic of live.{kind} is an async function: the app does not start",
                        "make it a plain function of ctx and the arguments",
                        severity=Severity.ERROR,
                    )
                return
            given = function[1].body
            if function[0] is not file:
                return
        if text_start(given).startswith("__"):
            yield self.flag(
                file,
                given,
                "S-18",
                f"{file.text(given)} is a topic of the framework: the app does not start until it is renamed",
                "use a topic that does not begin with __",
                severity=Severity.ERROR,
            )
        yield from self._characters(file, given)

    def _characters(self, file: PythonFile, topic: cst.BaseExpression) -> Iterator[Finding]:
        written = "".join(text_parts(topic))
        if not written:
            return
        bad = sorted({one for one in written if not " " <= one <= "~" or one in '"\\'})
        if bad:
            shown = ", ".join(ascii(one) for one in bad[:3])
            yield self.flag(
                file,
                topic,
                "C-20",
                f"a topic with {shown}: 0.5 takes printable ASCII without quotes and backslashes",
                "rename the topic, or set [security] allow_non_ascii_topics",
            )
        elif len(written) > MAX_TOPIC:
            yield self.flag(
                file,
                topic,
                "C-20",
                f"a topic of {len(written)} characters; {MAX_TOPIC} is the most",
                "shorten the topic, for instance with a hash of its parts",
            )
