"""Claimed ids beside a dict of times, and the idempotency store beside a dict of results."""

from __future__ import annotations

import json
import time
from typing import Any

from bench.plugins.harness import Case, Side
from runtime.plugins import Dedup, MemoryIdempotencyStore

__all__ = ["CASES"]

RESULT = {"id": 1, "state": "done"}


async def _claim(count: int) -> None:
    seen = Dedup(ttl=300)
    for n in range(count):
        await seen.claim(f"user-1:message-{n:06d}")


async def _claim_floor(count: int) -> None:
    seen: dict[str, float] = {}

    async def claim(id: str) -> bool:
        now = time.monotonic()
        if seen.get(id, 0.0) > now:
            return False
        seen[id] = now + 300
        return True

    for n in range(count):
        await claim(f"user-1:message-{n:06d}")


async def _claimed(entries: int) -> object:
    seen = Dedup(ttl=300, max_entries=None)
    for n in range(entries):
        await seen.claim(f"user-1:message-{n:06d}")
    return seen


async def _claimed_floor(entries: int) -> object:
    return {f"user-1:message-{n:06d}": time.monotonic() + 300 for n in range(entries)}


async def _work() -> Any:
    return RESULT


async def _handle(count: int) -> None:
    store = MemoryIdempotencyStore()
    for n in range(count):
        await store.handle(f"rpc:pay:user-1:{n:06d}", _work)


async def _handle_floor(count: int) -> None:
    results: dict[str, bytes] = {}
    for n in range(count):
        key = f"rpc:pay:user-1:{n:06d}"
        if key not in results:
            results[key] = json.dumps(await _work()).encode()


async def _again(count: int) -> None:
    store = MemoryIdempotencyStore()
    for n in range(100):
        await store.handle(f"rpc:pay:user-1:{n:06d}", _work)
    for n in range(count):
        await store.handle(f"rpc:pay:user-1:{n % 100:06d}", _work)


async def _again_floor(count: int) -> None:
    results = {f"rpc:pay:user-1:{n:06d}": json.dumps(RESULT).encode() for n in range(100)}
    for n in range(count):
        json.loads(results[f"rpc:pay:user-1:{n % 100:06d}"])


async def _results(entries: int) -> object:
    store = MemoryIdempotencyStore(max_entries=None)
    for n in range(entries):
        await store.handle(f"rpc:pay:user-1:{n:06d}", _work)
    return store


async def _results_floor(entries: int) -> object:
    return {f"rpc:pay:user-1:{n:06d}": json.dumps(RESULT).encode() for n in range(entries)}


_TIMES, _JSON = "a dict of times", "a dict of results as JSON"
CASES = [
    Case(
        "dedup",
        "`claim` of new ids, with eviction",
        Side("ours", _claim, _claimed),
        Side(_TIMES, _claim_floor, _claimed_floor),
    ),
    Case(
        "idempotency",
        "`handle` of new work, with eviction",
        Side("ours", _handle, _results),
        Side(_JSON, _handle_floor, _results_floor),
    ),
    Case("idempotency", "`handle` of work that was done", Side("ours", _again), Side(_JSON, _again_floor)),
]
