"""What dev says of single calls: an answer that nobody waits for, a result that is too large.

Spec: live-api 3.1, 3.4.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from runtime.core import capacity

if TYPE_CHECKING:
    from runtime.live.registry import Endpoint

__all__ = ["CallWarnings"]

logger = logging.getLogger("realtime.rpc")

MAX_ITEMS = 5000
MAX_CHARACTERS = 800_000


class CallWarnings:
    """Warns once per path; of more than `VOLATILE_WARN_CAP` paths the oldest may be warned of again."""

    __slots__ = ("_warned",)

    def __init__(self) -> None:
        self._warned: OrderedDict[tuple[str, str], None] = OrderedDict()

    def sizes(self) -> dict[str, int]:
        """Return how many warnings are remembered."""
        return {"VOLATILE_WARN_CAP": len(self._warned)}

    def unanswered(self, endpoint: Endpoint) -> None:
        """Warn of a handler that was called without waiting and does not say that it may be."""
        if not endpoint.volatile and self._is_new(endpoint.path, "volatile"):
            logger.warning(
                "%s was called without waiting for an answer; put @live.volatile over it if that is meant",
                endpoint.path,
            )

    def result(self, endpoint: Endpoint, value: Any) -> None:
        """Warn of a result that should come in pages or as a stream."""
        if isinstance(value, list | tuple) and len(value) > MAX_ITEMS:
            what = f"{len(value)} items"
        elif isinstance(value, str) and len(value) > MAX_CHARACTERS:
            what = f"a text of {len(value)} characters"
        else:
            return
        if self._is_new(endpoint.path, "result"):
            logger.warning("%s returned %s in one reply; return pages instead", endpoint.path, what)

    def _is_new(self, path: str, kind: str) -> bool:
        warned = self._warned
        if (path, kind) in warned:
            return False
        if len(warned) >= capacity.get("VOLATILE_WARN_CAP"):
            warned.popitem(last=False)
            capacity.record("VOLATILE_WARN_CAP", "evict", hint="paths may be warned of again")
        warned[path, kind] = None
        return True
