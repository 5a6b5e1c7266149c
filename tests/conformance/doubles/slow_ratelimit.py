"""A rate limit whose buckets are records in a store that is far away, read and written by one script per call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime.core.connection import Connection
from runtime.plugins import ConsumeResult
from runtime.testing import FakeClock
from tests.conformance.doubles.line import Line

__all__ = ["SlowRateLimit"]


class SlowRateLimit:
    """Implements `RateLimitProtocol`; a record is `[points, window's end, ban's end]`, deleted when both are over."""

    def __init__(
        self,
        *,
        points: int,
        interval: float,
        block: float = 0.0,
        key_by: str | Callable[[Connection], str] = "ip",
        clock: FakeClock,
    ) -> None:
        self._points = points
        self._interval = interval
        self._block = block
        self._key_by = key_by
        self._clock = clock
        self._records: dict[str, list[float]] = {}
        self._line = Line()

    async def consume(self, ws: Connection, cost: float = 1) -> ConsumeResult:
        if isinstance(cost, bool) or not 0 <= cost < float("inf"):
            raise ValueError(f"cost must be finite and >= 0, not {cost!r}")
        key = self._key(ws)
        return await self._line.run(lambda: self._script(key, cost))

    async def reset(self, key: str) -> None:
        await self._line.run(lambda: self._records.pop(key, None))

    async def ban(self, key: str, duration: float | None = None) -> None:
        if duration is not None and not 0 < duration < float("inf"):
            raise ValueError(f"duration must be finite and > 0, not {duration!r}")
        seconds = duration or self._block or 60.0

        def script() -> None:
            self._record(key)[2] = self._now() + seconds

        await self._line.run(script)

    async def unban(self, key: str) -> None:
        def script() -> None:
            if key in self._records:
                self._records[key][2] = 0.0

        await self._line.run(script)

    async def clear(self) -> None:
        await self._line.run(self._records.clear)

    def _script(self, key: str, cost: float) -> ConsumeResult:
        now = self._now()
        record = self._record(key)
        if record[2] > now:
            return ConsumeResult(False, 0, record[2] - now)
        if record[0] < cost:
            if self._block:
                record[2] = now + self._block
                return ConsumeResult(False, 0, self._block)
            return ConsumeResult(False, record[0], record[1] - now)
        record[0] -= cost
        return ConsumeResult(True, record[0], record[1] - now)

    def _record(self, key: str) -> list[float]:
        now = self._now()
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = [self._points, now + self._interval, 0.0]
        elif record[1] <= now:
            record[:2] = [self._points, now + self._interval]
        return record

    def _now(self) -> float:
        return self._clock.now()

    def _key(self, ws: Connection) -> str:
        if callable(self._key_by):
            return self._key_by(ws)
        if self._key_by == "connection":
            return ws.id
        user_data: dict[str, Any] = ws.user_data or {}
        found = user_data.get("remote_address") or user_data.get("ip") or user_data.get("address")
        return found or ws.remote_address or "unknown"
