"""Who is present on one topic, as the JSON that tells it, and what has changed since it was last told.

Everything is kept as encoded pieces `"key":{...}`: the state of a topic is joined from them once for all who come in
one turn of the loop, and so is the diff for all who are there. Spec: wire 6.1, platform 7.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.core.publisher import Event
from runtime.core.sink import Frame
from runtime.wire import envelope, jsoncodec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runtime.core.connection import Connection
    from runtime.core.platform import PlatformCore

__all__ = ["PREFIX", "Entry", "Room", "room_for"]

PREFIX = "__presence:"
STATE = "presence_state"
DIFF = "presence_diff"
HEARTBEAT = "heartbeat"

#: What stands in a frame around the pieces: the names of topic and event, `joins` and `leaves`, the number.
AROUND = 128


class Entry:
    """One key of a topic, and the connections that share it: their pieces, the newest last."""

    __slots__ = ("cut", "key", "piece", "room", "tabs")

    def __init__(self, room: Room, key: str, cut: int, piece: bytes) -> None:
        self.room = room
        self.key = key
        #: Where in each piece the data begins.
        self.cut = cut
        #: The one that is shown.
        self.piece = piece
        self.tabs: dict[Connection, bytes] = {}

    def shared(self, piece: bytes) -> bytes:
        """Return the piece that is shown if it says the same as `piece`, else `piece`."""
        shown, cut = self.piece, self.cut
        if piece == shown or jsoncodec.decode(piece[cut:]) == jsoncodec.decode(shown[cut:]):
            return shown
        return piece


class Room:
    """One topic: its entries, who waits for the state, and what the others have not been told."""

    __slots__ = ("_changed", "_last", "channel", "entries", "newcomers", "topic")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.channel = PREFIX + topic
        self.entries: dict[str, Entry] = {}
        #: Connections that get the state at the end of the turn.
        self.newcomers: dict[Connection, None] = {}
        #: By key, the piece that the others know; `None` where they know none.
        self._changed: dict[str, bytes | None] = {}
        #: By key that went, the piece shown last.
        self._last: dict[str, bytes] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nobody is here and nothing is left to be told."""
        return not (self.entries or self.newcomers or self._changed)

    def add(self, entry: Entry) -> None:
        """Show a key that is not here."""
        self._changed.setdefault(entry.key, None)
        self.entries[entry.key] = entry

    def show(self, entry: Entry, piece: bytes) -> None:
        """Show another piece of a key."""
        self._changed.setdefault(entry.key, entry.piece)
        entry.piece = piece

    def remove(self, entry: Entry) -> None:
        """Show a key no longer."""
        key = entry.key
        del self.entries[key]
        if self._changed.setdefault(key, entry.piece) is None:
            del self._changed[key]  # it came in this turn, so nobody knows it
        else:
            self._last[key] = entry.piece

    def data(self) -> list[dict[str, Any]]:
        """Return fresh copies of the data of all, in the order in which they came."""
        pieces = [entry.piece[entry.cut :] for entry in self.entries.values()]
        found: list[dict[str, Any]] = jsoncodec.decode(b"[" + b",".join(pieces) + b"]")
        return found

    # ------------------------------------------------------------ telling

    def tell(self, core: PlatformCore) -> None:
        """Give those who came the state, and then everybody what has changed."""
        core.turn.flush()
        newcomers, self.newcomers = self.newcomers, {}
        if newcomers:
            frames = self._state(core.publisher.max_frame)
            for connection in newcomers:
                for frame in frames:
                    connection.write(frame)
        changed, self._changed = self._changed, {}
        last, self._last = self._last, {}
        if changed:
            for event in self._diffs(changed, last, core.publisher.max_frame):
                core.publish(event)

    def beat(self, core: PlatformCore) -> None:
        """Tell everybody which keys are here."""
        keys = (entry.piece[: entry.cut - 1] for entry in self.entries.values())
        for part in _parts(keys, room_for(core.publisher.max_frame, self.channel)):
            core.publish(Event(self.channel, HEARTBEAT, b"[" + b",".join(part) + b"]"))

    def _state(self, max_frame: int) -> list[Frame]:
        """Return the state; what does not fit into one frame follows as diffs, for nobody but the newcomers."""
        pieces = (entry.piece for entry in self.entries.values())
        first, *rest = _parts(pieces, room_for(max_frame, self.channel)) or [[]]
        data = [(STATE, b"{" + b",".join(first) + b"}"), *[(DIFF, _diff(part, [])) for part in rest]]
        return [Frame(envelope.encode_envelope(self.channel, event, value, None)) for event, value in data]

    def _diffs(
        self, changed: dict[str, bytes | None], last: dict[str, bytes], max_frame: int
    ) -> Iterator[Event]:
        joins: list[bytes] = []
        leaves: list[bytes] = []
        for key in changed:
            entry = self.entries.get(key)
            if entry is not None:
                joins.append(entry.piece)
            else:
                leaves.append(last[key])
        limit = room_for(max_frame, self.channel)
        if not limit or sum(map(len, joins)) + sum(map(len, leaves)) + len(changed) <= limit:
            yield Event(self.channel, DIFF, _diff(joins, leaves))
            return
        for part in _parts(leaves, limit):
            yield Event(self.channel, DIFF, _diff([], part))
        for part in _parts(joins, limit):
            yield Event(self.channel, DIFF, _diff(part, []))


def room_for(max_frame: int, channel: str) -> int:
    """Return how many bytes of pieces one frame of `channel` can carry; 0 is no limit."""
    return max(1, max_frame - AROUND - len(channel.encode())) if max_frame else 0


def _diff(joins: Iterable[bytes], leaves: Iterable[bytes]) -> bytes:
    return b'{"joins":{%b},"leaves":{%b}}' % (b",".join(joins), b",".join(leaves))


def _parts(pieces: Iterable[bytes], limit: int) -> list[list[bytes]]:
    """Return the pieces in their order, in lists of at most `limit` bytes with their commas."""
    parts: list[list[bytes]] = []
    size = 0
    for piece in pieces:
        if not parts or (limit and size + len(piece) + 1 > limit):
            parts.append([])
            size = 0
        parts[-1].append(piece)
        size += len(piece) + 1
    return parts
