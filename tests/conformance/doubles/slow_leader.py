"""A leader whose key is a record in a store that is far away, which everybody who stands polls."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import secrets
from collections.abc import Callable
from typing import Any

from runtime.core.clock import TimerHandle
from runtime.core.tasks import TaskOwner
from runtime.testing import FakeClock
from tests.conformance.doubles.line import Line

__all__ = ["SlowLeader"]

POLL = 0.1

#: The store: key to the owner and its epoch.
_records: dict[str, tuple[str, int]] = {}
_epochs = itertools.count(1_000)


class SlowLeader:
    """Implements `LeaderProtocol`: the record is set if there is none, and deleted by whoever set it."""

    def __init__(
        self,
        *,
        key: str = "leader",
        instance_id: str | None = None,
        lease: float = 30.0,
        renew: float | None = None,
        on_elected: Callable[[int], object] | None = None,
        on_lost: Callable[[str], object] | None = None,
        clock: FakeClock,
    ) -> None:
        if not key or instance_id == "" or lease <= 0 or (renew is not None and not 0 < renew < lease):
            raise ValueError("leader: an option that cannot be")
        self.key = key
        self.instance_id = instance_id or secrets.token_hex(8)
        self.epoch: int | None = None
        self._told: dict[str, Callable[..., object] | None] = {"elected": on_elected, "lost": on_lost}
        self._clock = clock
        self._line = Line()
        self._tasks = TaskOwner("slow leader")
        self._timer: TimerHandle | None = None
        self._stands = False
        self._waiters: list[asyncio.Future[int]] = []

    def is_leader(self) -> bool:
        return self.epoch is not None

    async def current_leader(self) -> str | None:
        record = await self._line.run(lambda: _records.get(self.key))
        return None if record is None else record[0]

    async def start(self) -> None:
        if not self._stands:
            self._stands = True
            await self._attempt()

    async def _attempt(self) -> None:
        def acquire() -> int | None:
            if self.key not in _records and self._stands:
                _records[self.key] = self.instance_id, next(_epochs)
            owner, epoch = _records.get(self.key, ("", 0))
            return epoch if owner == self.instance_id else None

        epoch = await self._line.run(acquire)
        if epoch is not None and self.epoch is None and self._stands:
            self.epoch = epoch
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(epoch)
            self._tell("elected", epoch)
        if self._stands:
            self._timer = self._clock.call_later(POLL, self._poll)

    def _poll(self) -> None:
        self._tasks.start(self._attempt(), name="attempt")

    async def wait_elected(self, timeout: float | None = None) -> int:
        if self.epoch is not None:
            return self.epoch
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        if timeout is not None:
            self._clock.call_later(timeout, _expire, waiter)
        return await waiter

    async def stop(self) -> None:
        self._stands = False
        if self._timer is not None:
            self._timer.cancel()
        for waiter in self._waiters:
            _expire(waiter)
        led, self.epoch = self.epoch is not None, None
        if led:
            self._tell("lost", "stopped")
            await self._line.run(lambda: _records.pop(self.key, None))

    async def close(self) -> None:
        await self.stop()
        await self._tasks.close()

    def _tell(self, what: str, argument: Any) -> None:
        callback = self._told[what]
        try:
            answer = callback(argument) if callback is not None else None
        except Exception:
            return
        if inspect.iscoroutine(answer):
            self._tasks.start(answer, name="callback")


def _expire(waiter: asyncio.Future[int]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
