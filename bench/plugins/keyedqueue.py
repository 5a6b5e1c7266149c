"""The queue beside `asyncio.Semaphore`, which has neither keys nor a bound."""

from __future__ import annotations

import asyncio

from bench.plugins.harness import Case, Side
from runtime.plugins import Queue

__all__ = ["CASES"]

WAITERS = 50


async def _work() -> None:
    await asyncio.sleep(0)


def _at_once() -> None:
    return


async def _free(count: int) -> None:
    queue = Queue()
    for n in range(count):
        await queue.push(f"document-{n % 1000:05d}", _at_once)


async def _free_floor(count: int) -> None:
    semaphore = asyncio.Semaphore(1)
    for _ in range(count):
        async with semaphore:
            _at_once()


async def _line(count: int) -> None:
    queue = Queue()

    async def push(times: int) -> None:
        for _ in range(times):
            await queue.push("document-00001", _work)

    await asyncio.gather(*(push(max(1, count // WAITERS)) for _ in range(WAITERS)))


async def _line_floor(count: int) -> None:
    semaphore = asyncio.Semaphore(1)

    async def push(times: int) -> None:
        for _ in range(times):
            async with semaphore:
                await _work()

    await asyncio.gather(*(push(max(1, count // WAITERS)) for _ in range(WAITERS)))


async def _waiting(entries: int) -> object:
    queue, gate = Queue(), asyncio.Event()
    tasks = [asyncio.create_task(queue.push("document-00001", gate.wait)) for _ in range(entries)]
    await asyncio.sleep(0)
    return queue, gate, tasks


async def _waiting_floor(entries: int) -> object:
    semaphore, gate = asyncio.Semaphore(1), asyncio.Event()

    async def push() -> None:
        async with semaphore:
            await gate.wait()

    tasks = [asyncio.create_task(push()) for _ in range(entries)]
    await asyncio.sleep(0)
    return semaphore, gate, tasks


CASES = [
    Case(
        "queue", "`push` that finds nobody", Side("ours", _free), Side("one `asyncio.Semaphore`", _free_floor)
    ),
    Case(
        "queue",
        f"`push` to a key with {WAITERS} in line; an entry is a task that waits",
        Side("ours", _line, _waiting),
        Side("one `asyncio.Semaphore`", _line_floor, _waiting_floor),
        entries=5_000,
    ),
]
