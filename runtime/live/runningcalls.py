"""The calls that run now, for people who look why something hangs. Kept only where there are devtools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.core.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RunningCall", "RunningCalls"]


@dataclass(slots=True, frozen=True, eq=False)
class RunningCall:
    """One call that has begun. `started` on the monotonic clock, in seconds; `args` as the client sent them."""

    connection: Connection
    path: str
    id: str | None
    is_stream: bool
    args: Any
    started: float


class RunningCalls:
    """What has begun and not ended; bounded as the calls are, by `MAX_INFLIGHT_CALLS` of each connection."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: dict[RunningCall, None] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[RunningCall]:
        """Yield the calls, the one that runs longest first."""
        return iter(list(self._calls))

    def begin(self, call: RunningCall) -> None:
        """Note that a call has begun."""
        self._calls[call] = None

    def end(self, call: RunningCall) -> None:
        """Note that it has ended."""
        self._calls.pop(call, None)
