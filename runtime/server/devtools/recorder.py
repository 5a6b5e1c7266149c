"""What the taps tell while somebody looks: frames, readable and without secrets, and counts per topic.

Nobody looks until the page asks, and nobody looks any more `LEASE` seconds after it asked last. Without that the taps
test one flag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from runtime.core import capacity
from runtime.core.redaction import MAX_ITEMS, REDACTED, redacted
from runtime.core.sensitive import redact_text
from runtime.server.devtools.framelog import FrameLog
from runtime.server.devtools.topicrates import TopicRates
from runtime.wire import jsoncodec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from runtime.core.clock import Clock
    from runtime.core.connection import Connection
    from runtime.core.publisher import Event
    from runtime.core.sink import Frame
    from runtime.live.registry import Endpoint

__all__ = ["LEASE", "Recorder"]

#: Seconds after the page's last question in which frames are still recorded.
LEASE = 15.0
MAX_DECODED = 64 * 1024  # bytes of a frame whose content is shown
MAX_DECODED_PER_SECOND = 1024 * 1024  # bytes of all of them; of further ones only the size is shown
MAX_BEGINNING = 500  # characters of one that is no JSON
MAX_PER_SECOND = (
    1000  # frames that are recorded; further ones are counted, so that looking does not stop a worker
)
_SHORT_KINDS = {0: "binary call", 1: "upload chunk", 2: "upload end"}


class Recorder:
    """Keeps what is seen. All methods belong to the loop's thread and never raise for what a frame holds."""

    __slots__ = (
        "_answers",
        "_bytes_left",
        "_clock",
        "_find",
        "_keys",
        "_left",
        "_second",
        "_until",
        "frames",
        "is_on",
        "rates",
        "since",
        "skipped",
    )

    def __init__(self, clock: Clock, keys: Collection[str], find: Callable[[str], Endpoint | None]) -> None:
        """Leave out the values of `keys`; `find` says what is registered as a path."""
        self._clock = clock
        self._keys = keys
        self._find = find
        self._until = float("-inf")
        #: Path and time of the calls that were seen, by connection and id, until their answer is.
        self._answers: dict[tuple[str, str], tuple[str, float]] = {}
        self.frames = FrameLog()
        self.rates = TopicRates()
        #: The flag that the taps look at.
        self.is_on = False
        self._second = -1
        self._left = 0
        self._bytes_left = 0
        #: Frames that were not recorded, because there were too many in one second.
        self.skipped = 0
        #: Since when it is on, in seconds since the epoch.
        self.since: float | None = None

    def sizes(self) -> dict[str, int]:
        """Return how much is kept, by the name of the bound."""
        return {
            "MAX_DEVTOOLS_BYTES": self.frames.size_bytes,
            "MAX_DEVTOOLS_CALLS": len(self._answers),
            "MAX_DEVTOOLS_FRAMES": len(self.frames),
            "MAX_DEVTOOLS_TOPICS": len(self.rates),
        }

    def look(self) -> None:
        """Record from now on, until nobody has asked for `LEASE` seconds."""
        self._until = self._clock.monotonic() + LEASE
        if not self.is_on:
            self.is_on = True
            self.since = self._clock.now()
            self.rates.clear()
            self._answers.clear()

    def _is_watched(self) -> bool:
        """Whether somebody looks still."""
        if self._clock.monotonic() <= self._until:
            return True
        self.is_on = False
        self.since = None
        return False

    def _takes(self) -> bool:
        """Whether one more frame is recorded in this second; one that is not is counted."""
        if not self._is_watched():
            return False
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._left, self._bytes_left = second, MAX_PER_SECOND, MAX_DECODED_PER_SECOND
        if self._left == 0:
            self.skipped += 1
            return False
        self._left -= 1
        return True

    # ------------------------------------------------------------ the taps

    def received(self, connection: Connection, data: str | bytes) -> None:
        """Note a frame of a client."""
        if not self._takes():
            return
        size = len(data)
        if isinstance(data, bytes) and data[:1] in (b"\x00", b"\x01", b"\x02"):
            self._add("in", _SHORT_KINDS[data[0]], size, conn=connection.id)
            return
        value = self._decoded(data.encode(errors="replace") if isinstance(data, str) else data)
        if not isinstance(value, dict):
            self._add("in", "message", size, conn=connection.id, data=self._shown(value))
            return
        fields = self._incoming(connection, value)
        self._add("in", size=size, conn=connection.id, **fields)

    def sent(self, connection: Connection, frame: Frame) -> None:
        """Note a frame for one client alone."""
        if not self._takes():
            return
        value = self._decoded(frame.payload)
        fields: dict[str, Any]
        if not isinstance(value, dict):
            fields = {"kind": "message", "data": self._shown(value)}
        elif value.get("topic") == "__rpc":
            fields = self._reply(connection, value)
        elif "topic" in value and "event" in value:
            fields = {
                "kind": "event",
                "topic": _text(value["topic"]),
                "event": _text(value["event"]),
                "seq": self._shown(value.get("seq")),
                "data": self._shown(value.get("data")),
            }
        else:
            rest = {key: item for key, item in value.items() if key != "type"}
            fields = {"kind": str(value.get("type", "message")), "data": self._shown(rest)}
        self._add("out", size=frame.size, conn=connection.id, **fields)

    def dropped(self, connection: Connection, frame: Frame) -> None:
        """Note a frame that a client did not get, because its buffer is full."""
        if self._takes():
            self._add("drop", "dropped", frame.size, conn=connection.id, topic=frame.topic, seq=frame.seq)

    def published(self, event: Event, seq: int | None, reach: int) -> None:
        """Note what was published, and to how many."""
        if not self._is_watched():
            return
        size = len(event.data)
        now = self._clock.now()
        second = int(self._clock.monotonic())
        self.rates.add(event.topic, event.event, size, at=now, second=second, seq=seq)
        if not self._takes():
            return
        value = self._decoded(event.data)
        self._add(
            "pub",
            "publish",
            size,
            topic=event.topic,
            event=event.event,
            seq=seq,
            reach=reach,
            data=self._shown(value),
        )

    # ------------------------------------------------------------ reading frames

    def _add(self, direction: str, kind: str, size: int, **fields: Any) -> None:
        entry = {"at": round(self._clock.now() * 1000, 1), "dir": direction, "kind": kind, "size": size}
        entry.update((name, value) for name, value in fields.items() if value is not None)
        self.frames.add(entry)

    def _incoming(self, connection: Connection, value: dict[str, Any]) -> dict[str, Any]:
        path = value.get("rpc")
        if isinstance(path, str):
            self._asked(connection, value)
            rest = {k: v for k, v in value.items() if k not in ("rpc", "id", "args")}
            args = self._arguments(path, value.get("args"))
            data = {"args": args, **self._shown(rest)} if rest else args
            name = "stream" if value.get("stream") is True else "call"
            return {"kind": name, "path": path[:256], "id": _text(value.get("id")), "data": data}
        batch = value.get("batch")
        if isinstance(batch, list):
            calls = [one for one in batch if isinstance(one, dict)]
            shown = []
            for one in calls[:MAX_ITEMS]:
                self._asked(connection, one)
                args = self._arguments(str(one.get("rpc")), one.get("args"))
                shown.append({"rpc": _text(one.get("rpc")), "id": _text(one.get("id")), "args": args})
            return {"kind": "batch", "data": shown}
        kind = value.get("type")
        if isinstance(kind, str):
            rest = {k: v for k, v in value.items() if k not in ("type", "topic")}
            topic = value.get("topic")
            return {"kind": kind[:40], "topic": _text(topic), "data": self._shown(rest)}
        return {"kind": "message", "data": self._shown(value)}

    def _arguments(self, path: str, args: Any) -> Any:
        """Return the arguments of a call; one whose parameter has the name of a secret is one."""
        shown = self._shown(args)
        if isinstance(shown, list):
            endpoint = self._find(path)
            for at, parameter in enumerate(endpoint.signature.parameters if endpoint is not None else ()):
                if at < len(shown) and parameter.name.lower() in self._keys:
                    shown[at] = REDACTED
        return shown

    def _asked(self, connection: Connection, call: dict[str, Any]) -> None:
        path, id = call.get("rpc"), call.get("id")
        if isinstance(path, str) and isinstance(id, str):
            if len(self._answers) >= capacity.get("MAX_DEVTOOLS_CALLS"):
                del self._answers[next(iter(self._answers))]
                capacity.record(
                    "MAX_DEVTOOLS_CALLS", "evict", hint="the devtools show such a reply without its path"
                )
            self._answers[connection.id, id] = path[:200], self._clock.monotonic()

    def _reply(self, connection: Connection, value: dict[str, Any]) -> dict[str, Any]:
        id, inner = value.get("event"), value.get("data")
        if id == "__batch" and isinstance(inner, dict):
            replies = [one for one in inner.get("batch") or () if isinstance(one, dict)]
            shown = []
            for one in replies[:MAX_ITEMS]:
                asked, duration = self._answered(connection, one.get("id"))
                shown.append({"path": asked, "ms": duration, **self._shown(one)})
            return {"kind": "batch reply", "data": shown}
        path, duration = self._answered(connection, id)
        fields: dict[str, Any] = {"kind": "reply", "path": path, "id": _text(id), "ms": duration}
        if isinstance(inner, dict):
            fields["ok"] = inner.get("ok") is True
            fields["code"] = _text(inner.get("code"))
            rest = {k: v for k, v in inner.items() if k not in ("id", "ok", "code")}
            fields["data"] = self._shown(rest.get("data") if set(rest) == {"data"} else rest)
        else:
            fields["data"] = self._shown(inner)
        return fields

    def _answered(self, connection: Connection, id: Any) -> tuple[str | None, float | None]:
        if not isinstance(id, str):
            return None, None
        path, begun = self._answers.pop((connection.id, id), (None, None))
        return path, None if begun is None else round((self._clock.monotonic() - begun) * 1000, 2)

    def _shown(self, value: Any) -> Any:
        return redacted(value, self._keys)

    def _decoded(self, payload: bytes) -> Any:
        """Return the value of a frame; in words how long it is where it is too long, or too much came in this second,
        and its beginning if it is no JSON.
        """
        self._bytes_left -= len(payload)
        if len(payload) > MAX_DECODED or self._bytes_left < 0:
            self._bytes_left += len(payload)
            return f"[{len(payload)} bytes]"
        try:
            return jsoncodec.decode(payload)
        except (msgspec.DecodeError, ValueError, RecursionError):
            text = payload.decode(errors="replace")
            return redact_text(text[:MAX_BEGINNING]) + ("…" if len(text) > MAX_BEGINNING else "")


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[:256]
