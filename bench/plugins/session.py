"""Sessions beside a dict of values and one of times."""

from __future__ import annotations

import time
from typing import Any

from bench.plugins.harness import Case, Side
from runtime.plugins import Session

__all__ = ["CASES"]

TOKENS = [f"session-token-{n:05d}" for n in range(1000)]
DATA = {"user": 1}


async def _get(count: int) -> None:
    sessions = Session(ttl=1800)
    for token in TOKENS:
        await sessions.set(token, DATA)
    for n in range(count):
        await sessions.get(TOKENS[n % 1000])


async def _get_floor(count: int) -> None:
    sessions: dict[str, list[Any]] = {token: [DATA, time.monotonic() + 1800] for token in TOKENS}

    async def get(token: str) -> Any:
        entry, now = sessions.get(token), time.monotonic()
        if entry is None or entry[1] <= now:
            return None
        entry[1] = now + 1800
        return entry[0]

    for n in range(count):
        await get(TOKENS[n % 1000])


async def _set(count: int) -> None:
    sessions = Session(ttl=1800)
    for n in range(count):
        await sessions.set(f"session-token-{n:05d}", DATA)


async def _set_floor(count: int) -> None:
    sessions: dict[str, list[Any]] = {}

    async def put(token: str, data: Any) -> None:
        sessions[token] = [data, time.monotonic() + 1800]

    for n in range(count):
        await put(f"session-token-{n:05d}", DATA)


async def _kept(entries: int) -> object:
    sessions = Session(ttl=1800, max_entries=None)
    for n in range(entries):
        await sessions.set(f"session-token-{n:05d}", DATA)
    return sessions


async def _kept_floor(entries: int) -> object:
    return {f"session-token-{n:05d}": [DATA, time.monotonic() + 1800] for n in range(entries)}


CASES = [
    Case(
        "session",
        "`get`",
        Side("ours", _get, _kept),
        Side("a dict of `[data, time]`", _get_floor, _kept_floor),
    ),
    Case(
        "session",
        "`set` of new tokens, with eviction",
        Side("ours", _set),
        Side("the dict, which grows without end", _set_floor),
    ),
]
