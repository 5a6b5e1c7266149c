"""`Session`: values by token that expire when they are not used, in this process. Spec: platform 7.2, cluster 8."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from runtime.plugins.lifetime import AnyClock, Plugin, PluginState
from runtime.plugins.options import UNSET, Unset, bound, seconds, text_key
from runtime.plugins.pruning import Pruning
from runtime.wire import jsoncodec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Session"]

MAX_TOKEN_LENGTH = 256


class _Entry:
    __slots__ = ("data", "expires")

    def __init__(self, data: Any, expires: float) -> None:
        self.data = data
        self.expires = expires


_EXPIRES = attrgetter("expires")


class _SessionState(PluginState):
    __slots__ = ("entries", "pruning")

    def __init__(self) -> None:
        super().__init__()
        #: By token, oldest `set` first.
        self.entries: dict[str, _Entry] = {}
        self.pruning = Pruning()


class Session(Plugin[_SessionState]):
    """Data by token, forgotten `ttl` seconds after the last use, in this process.

    Its twin across processes has the same methods (`SessionProtocol`). No timer runs: an entry that expired is dropped
    when it is asked for, or when there are too many. Values are held as they are; they must have a JSON form, as the
    twin needs one, which is checked outside of production. A token is a secret: it is in no error, log or metric.

    Args:
        ttl: seconds, above 0.
        max_entries: `MAX_SESSIONS` by default. Above 110 % of it, first the expired go, then those set longest ago.
        clock: the time; without it the app's.

    Raises:
        ValueError: an option that cannot be; the message names it.
    """

    label = "session"

    def __init__(
        self, *, ttl: float, max_entries: float | Unset | None = UNSET, clock: AnyClock | None = None
    ) -> None:
        super().__init__(_SessionState(), clock)
        self._ttl = seconds(self.label, "ttl", ttl)
        self._max_entries = bound(self.label, "max_entries", max_entries, "MAX_SESSIONS")

    def __repr__(self) -> str:
        return f"<Session of {len(self._state.entries)} entries>"

    async def get(self, token: str) -> Any | None:
        """Return the data of `token`, which then lives for a whole `ttl` again; `None` when there is none.

        Raises:
            ValueError: a token that cannot be; so do the other methods.
        """
        return self.get_nowait(token)

    def get_nowait(self, token: str) -> Any | None:
        """Do what `get` does, at once."""
        now = self._clock.monotonic()
        entry = self._live(token, now)
        if entry is None:
            return None
        entry.expires = now + self._ttl
        return entry.data

    async def set(self, token: str, data: Any) -> None:
        """Store `data` for `ttl` seconds, in place of what was there.

        Raises:
            TypeError: outside of production, data without a JSON form.
        """
        self.set_nowait(token, data)

    def set_nowait(self, token: str, data: Any) -> None:
        """Do what `set` does, at once."""
        text_key(self.label, "token", token, MAX_TOKEN_LENGTH)
        core = self._app()
        if core is not None and core.settings.server.env != "production":
            jsoncodec.encode(data)
        state, now = self._state, self._clock.monotonic()
        entries = state.entries
        entries.pop(token, None)
        entries[token] = _Entry(data, now + self._ttl)
        state.pruning.after_insert(entries, self._max_entries, now, _EXPIRES)

    async def delete(self, token: str) -> bool:
        """Remove the data of `token`; return whether there was any."""
        return self.delete_nowait(token)

    def delete_nowait(self, token: str) -> bool:
        """Do what `delete` does, at once."""
        if self._live(token, self._clock.monotonic()) is None:
            return False
        del self._state.entries[token]
        return True

    async def touch(self, token: str) -> bool:
        """Let the data of `token` live for a whole `ttl` again; return whether there was any."""
        return self.touch_nowait(token)

    def touch_nowait(self, token: str) -> bool:
        """Do what `touch` does, at once."""
        now = self._clock.monotonic()
        entry = self._live(token, now)
        if entry is None:
            return False
        entry.expires = now + self._ttl
        return True

    async def size(self) -> int:
        """Return how many entries there are, of which some may have expired."""
        return len(self._state.entries)

    async def clear(self) -> None:
        """Remove every entry."""
        self._state.entries.clear()

    async def _close(self) -> None:
        self._state.entries.clear()

    def sizes(self) -> Mapping[str, int]:
        """Return the number of entries."""
        return {"MAX_SESSIONS": len(self._state.entries)}

    def _live(self, token: str, now: float) -> _Entry | None:
        text_key(self.label, "token", token, MAX_TOKEN_LENGTH)
        entries = self._state.entries
        entry = entries.get(token)
        if entry is not None and entry.expires <= now:
            del entries[token]
            return None
        return entry
