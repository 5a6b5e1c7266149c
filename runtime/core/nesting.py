"""How many watchers deep the code that runs is: a publish that a watcher makes is one deeper than what it watched.

Depth follows the context, hence also tasks that are started meanwhile. What publishes for others (the turn batch, the
door for threads, timers) has to say at which depth. Spec: live-api 10.3.
"""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextvars import Token

__all__ = ["at_depth", "depth", "enter", "leave"]

_depth: ContextVar[int] = ContextVar("realtime_watcher_depth", default=0)


def depth() -> int:
    """Return how many watchers deep the caller is; 0 outside of any."""
    return _depth.get()


def enter(depth: int) -> Token[int]:
    """Be `depth` watchers deep until `leave(...)` of what is returned, or until the present context ends."""
    return _depth.set(depth)


def leave(entered: Token[int]) -> None:
    """Be as deep as before an `enter`."""
    _depth.reset(entered)


@contextlib.contextmanager
def at_depth(depth: int) -> Iterator[None]:
    """Be `depth` watchers deep inside the block."""
    token = _depth.set(depth)
    try:
        yield
    finally:
        _depth.reset(token)
