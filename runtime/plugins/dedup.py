"""`Dedup`: the first sight of an id within a window, in this process. Spec: platform 7.3, cluster 8."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.plugins.lifetime import AnyClock, Plugin, PluginState
from runtime.plugins.options import UNSET, Unset, bound, seconds, text_key, whole
from runtime.plugins.pruning import Pruning

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Dedup"]

MAX_ID_LENGTH = 256


def _itself(expires: float) -> float:
    return expires


class _DedupState(PluginState):
    __slots__ = ("expires", "pruning")

    def __init__(self) -> None:
        super().__init__()
        #: When the window of an id ends, oldest claim first.
        self.expires: dict[str, float] = {}
        self.pruning = Pruning()


class Dedup(Plugin[_DedupState]):
    """Tells the first claim of an id from those that follow within `ttl` seconds, in this process.

    Its twin across processes has the same methods (`DedupProtocol`). The window is fixed: claiming again does not make
    it longer. Begin ids with an identity that can be trusted, or one user can use up the ids of another.

    Args:
        ttl: seconds, above 0.
        max_entries: `MAX_DEDUP_IDS` by default. Above 110 % of it, first the expired go, then the oldest, which can be
            claimed again then.
        max_id_length: characters of an id.
        clock: the time; without it the app's.

    Raises:
        ValueError: an option that cannot be; the message names it.
    """

    label = "dedup"

    def __init__(
        self,
        *,
        ttl: float,
        max_entries: float | Unset | None = UNSET,
        max_id_length: int = MAX_ID_LENGTH,
        clock: AnyClock | None = None,
    ) -> None:
        super().__init__(_DedupState(), clock)
        self._ttl = seconds(self.label, "ttl", ttl)
        self._max_entries = bound(self.label, "max_entries", max_entries, "MAX_DEDUP_IDS")
        self._max_id_length = whole(self.label, "max_id_length", max_id_length)

    def __repr__(self) -> str:
        return f"<Dedup of {len(self._state.expires)} ids>"

    async def claim(self, id: str) -> bool:
        """Return `True` for the first claim within the window, `False` for each further one.

        Raises:
            ValueError: an id that cannot be; so do `has` and `delete`.
        """
        return self.claim_nowait(id)

    def claim_nowait(self, id: str) -> bool:
        """Do what `claim` does, at once."""
        text_key(self.label, "id", id, self._max_id_length)
        self._app()
        state, now = self._state, self._clock.monotonic()
        expires = state.expires
        ends = expires.get(id)
        if ends is not None:
            if ends > now:
                return False
            del expires[id]
        expires[id] = now + self._ttl
        state.pruning.after_insert(expires, self._max_entries, now, _itself)
        return True

    async def has(self, id: str) -> bool:
        """Return whether the id was claimed within the window."""
        return self.has_nowait(id)

    def has_nowait(self, id: str) -> bool:
        """Do what `has` does, at once."""
        text_key(self.label, "id", id, self._max_id_length)
        expires = self._state.expires
        ends = expires.get(id)
        if ends is not None and ends <= self._clock.monotonic():
            del expires[id]
            return False
        return ends is not None

    async def delete(self, id: str) -> bool:
        """Let the id be claimed again; return whether it was claimed within the window."""
        return self.delete_nowait(id)

    def delete_nowait(self, id: str) -> bool:
        """Do what `delete` does, at once."""
        if not self.has_nowait(id):
            return False
        del self._state.expires[id]
        return True

    async def size(self) -> int:
        """Return how many ids there are, of which some may have expired."""
        return len(self._state.expires)

    async def clear(self) -> None:
        """Forget every id."""
        self._state.expires.clear()

    async def _close(self) -> None:
        self._state.expires.clear()

    def sizes(self) -> Mapping[str, int]:
        """Return the number of ids."""
        return {"MAX_DEDUP_IDS": len(self._state.expires)}
