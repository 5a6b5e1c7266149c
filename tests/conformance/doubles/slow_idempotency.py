"""An idempotency store whose slots are records in a store that is far away; nobody waits there, callers ask again."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from runtime.plugins import IdempotencyPendingError, IdempotencySlotLostError, Slot
from runtime.testing import FakeClock
from tests.conformance.doubles.line import Line
from tests.conformance.doubles.slow_session import Records

__all__ = ["SlowIdempotencyStore"]

ACQUIRE_TTL = 60.0
RETRY = 0.05


class SlowIdempotencyStore:
    """Implements `IdempotencyProtocol`. A record is `{"o": owner}` while somebody works, then with its result `r`."""

    def __init__(self, *, ttl: int = 172_800, clock: FakeClock) -> None:
        self._ttl = ttl
        self._clock = clock
        self._records = Records(clock)
        self._owners = itertools.count(1)
        self._kept_for: dict[str, int] = {}
        self._line = Line()

    async def ready(self) -> None:
        await self._line.run(lambda: None)

    async def acquire(self, idempotency_key: str, ttl: int | None = None) -> Slot:
        if not isinstance(idempotency_key, str) or not 0 < len(idempotency_key) <= 1024:
            raise ValueError("idempotency: key must be a text of 1 to 1024 characters")
        if ttl is not None and (isinstance(ttl, bool) or not 0 < ttl < float("inf")):
            raise ValueError("idempotency: ttl must be above 0")
        owner = str(next(self._owners))

        def script() -> str | None:
            if self._records.set_new(idempotency_key, json.dumps({"o": owner}), ACQUIRE_TTL):
                return None
            return self._records.get(idempotency_key)

        try:
            text = await self._line.run(script)
        except asyncio.CancelledError:
            await self.abort_slot(idempotency_key, owner)  # it may be there, or on its way
            raise
        if text is None:
            self._kept_for[owner] = ttl or self._ttl
            return Slot("acquired", key=idempotency_key, owner=owner, keeper=self)
        record = json.loads(text)
        return Slot("result", result=record["r"]) if "r" in record else Slot("pending")

    async def purge(self, idempotency_key: str) -> None:
        await self._line.run(lambda: self._records.delete(idempotency_key))

    async def clear(self) -> None:
        await self._line.run(self._records.clear)

    async def handle(
        self, idempotency_key: str, fn: Callable[[], Awaitable[Any]], *, wait: float = 0.0
    ) -> Any:
        ends = self._clock.monotonic() + wait
        while (slot := await self.acquire(idempotency_key)).pending:
            left = ends - self._clock.monotonic()
            if left <= 0:
                raise IdempotencyPendingError("idempotency: still running")
            await self._clock.sleep(min(RETRY, left))
        if slot.state == "result":
            return slot.result
        async with slot:
            result = await fn()
            slot.set(result)
        return result

    async def commit_slot(self, key: str, owner: str, result: Any) -> None:
        text = json.dumps({"o": owner, "r": result})

        def script() -> str | None:
            record = self._mine(key, owner)
            if record is None:
                return self._records.get(key) or ""
            if "r" not in record:
                self._records.set(key, text, self._kept_for[owner])
            return None

        other = await self._line.run(script)
        if other is not None:
            raise IdempotencySlotLostError("idempotency: lost", json.loads(other or "{}").get("r"))

    async def abort_slot(self, key: str, owner: str) -> None:
        def script() -> None:
            record = self._mine(key, owner)
            if record is not None and "r" not in record:
                self._records.delete(key)

        await asyncio.shield(asyncio.ensure_future(self._line.run(script)))

    async def renew_slot(self, key: str, owner: str, ttl: int | None) -> None:
        def script() -> bool:
            return self._mine(key, owner) is not None and self._records.extend(key, ttl or ACQUIRE_TTL)

        if not await self._line.run(script):
            raise IdempotencySlotLostError("idempotency: lost")

    def _mine(self, key: str, owner: str) -> dict[str, Any] | None:
        record = json.loads(self._records.get(key) or "{}")
        return record if record.get("o") == owner else None
