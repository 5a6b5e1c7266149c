"""The lock beside `asyncio.Lock`, alone and in a dict by key."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from bench.plugins.harness import Case, Side
from runtime.plugins import Lock

__all__ = ["CASES"]

WAITERS = 50


async def _free(count: int) -> None:
    lock = Lock()
    for n in range(count):
        async with lock.hold(f"account-number-{n % 1000:05d}"):
            pass


async def _free_function(count: int) -> None:
    lock = Lock()

    def work() -> None:
        return

    for n in range(count):
        await lock.with_lock(f"account-number-{n % 1000:05d}", work)


async def _free_floor(count: int) -> None:
    locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
    for n in range(count):
        async with locks[f"account-number-{n % 1000:05d}"]:
            pass


async def _contended(count: int) -> None:
    lock = Lock()

    async def work(times: int) -> None:
        for _ in range(times):
            async with lock.hold("account-number-00001", max_wait=60):
                await asyncio.sleep(0)

    await asyncio.gather(*(work(max(1, count // WAITERS)) for _ in range(WAITERS)))


async def _contended_floor(count: int) -> None:
    lock = asyncio.Lock()

    async def work(times: int) -> None:
        for _ in range(times):
            async with asyncio.timeout(60), lock:
                await asyncio.sleep(0)

    await asyncio.gather(*(work(max(1, count // WAITERS)) for _ in range(WAITERS)))


async def _held(entries: int) -> object:
    lock = Lock()
    for n in range(entries):
        block = lock.hold(f"account-number-{n:05d}")
        await block.__aenter__()
    return lock


async def _held_floor(entries: int) -> object:
    locks: dict[str, asyncio.Lock] = {}
    for n in range(entries):
        made = locks[f"account-number-{n:05d}"] = asyncio.Lock()
        await made.acquire()
    return locks


_DICT = "`asyncio.Lock` in a dict, which is never emptied"
CASES = [
    Case(
        "lock",
        "take and free a free key, `hold`",
        Side("ours", _free, _held),
        Side(_DICT, _free_floor, _held_floor),
    ),
    Case("lock", "the same, `with_lock`", Side("ours", _free_function), Side(_DICT, _free_floor)),
    Case(
        "lock",
        f"take a key that {WAITERS} want, with a bound for the wait",
        Side("ours", _contended),
        Side("`asyncio.Lock` and `asyncio.timeout`", _contended_floor),
    ),
]
