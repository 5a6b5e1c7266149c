"""Bytes of one entry of each structure that connections and topics fill, by the names of `runtime.core.capacity.COSTS`.

`bench.memory` measures what whole servers take; these are too small beside a connection to be seen there.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from bench.plugins.crowd import FRAME, Crowd
from runtime.core.clock import SystemClock
from runtime.core.coalesce import Coalesced
from runtime.core.connection import Connection
from runtime.core.metrics import Metrics
from runtime.core.requests import Requests
from runtime.core.sequence import Sequence
from runtime.live.pushes import Pushes
from runtime.live.ratelimit import Buckets, Rule
from runtime.plugins import Dedup, Presence, Session

__all__ = ["ITEMS", "bytes_of"]

#: Fills with so many entries what `start` made; what it returns is kept until the memory is read.
Fill = Callable[[int], Awaitable[object]]


async def _seq_counters(count: int) -> object:
    sequence = Sequence(1_700_000_000_000)
    for number in range(count):
        sequence.next(f"topic-number-{number:07d}")
    return sequence


async def _coalesced_keys(count: int) -> object:
    waiting = Coalesced(Metrics(), FRAME)
    for number in range(count):
        waiting.put(f"key-number-{number:09d}", "positions", "moved", None)
    return waiting


async def _pending_requests(count: int) -> object:
    asking, crowd = Requests(SystemClock(), FRAME, lambda: None), Crowd()
    asked = crowd.come("somebody")
    questions = [asking.send(asked, "confirm", None, 60.0) for _ in range(count)]
    crowd.meters.clear()
    return asking, asked, questions


async def _sessions(count: int) -> object:
    sessions = Session(ttl=1800, max_entries=None)
    for number in range(count):
        data = {"user": f"user-number-{number:07d}", "name": f"Somebody {number}", "roles": ["member"]}
        await sessions.set(f"session-token-{number:07d}", data)
    return sessions


async def _dedup_ids(count: int) -> object:
    dedup = Dedup(ttl=1800, max_entries=None)
    for number in range(count):
        await dedup.claim(f"message-number-{number:07d}")
    return dedup


_people: list[Connection] = []


def _crowd(count: int) -> list[Connection]:
    """Return connections that were there before, so that they are not counted."""
    if len(_people) < count:
        crowd = Crowd()
        _people.extend(crowd.come(f"user-number-{number:07d}") for number in range(len(_people), count))
    return _people[:count]


async def _presence_entries(count: int) -> object:
    presence = Presence()
    for number, ws in enumerate(_crowd(count)):
        presence.join_nowait(ws, f"room-{number % 50}")
    return presence


async def _push_entries(count: int) -> object:
    people = _crowd(count)
    pushes = Pushes(people[0].platform)
    for ws in people:
        pushes.opened(ws)
    return pushes


async def _rate_buckets(count: int) -> object:
    buckets, rule = Buckets(SystemClock()), Rule(points=10, window=10)
    for number in range(count):
        buckets.take("todos/add", f"user-number-{number:07d}", rule)
    return buckets


ITEMS: Mapping[str, Fill] = MappingProxyType(
    {
        "seq_counter": _seq_counters,
        "coalesced_key": _coalesced_keys,
        "pending_request": _pending_requests,
        "session": _sessions,
        "dedup_id": _dedup_ids,
        "presence_entry": _presence_entries,
        "push_entry": _push_entries,
        "rate_bucket": _rate_buckets,
    }
)


async def bytes_of(item: str, count: int = 4000) -> float:
    """Return the bytes that Python allocates for one more entry."""
    fill = ITEMS[item]
    if item in {"presence_entry", "push_entry"}:
        _crowd(count)
    await fill(64)  # what is made once is no entry's
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        held = await fill(count)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
        del held
    finally:
        tracemalloc.stop()
    return (after - before) / count
