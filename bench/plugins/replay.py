"""The replay beside a deque of each topic's last events, as JSON."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque

from bench.plugins.crowd import Crowd
from bench.plugins.harness import Case, Run, Side
from runtime.plugins import Replay
from runtime.wire import jsoncodec

__all__ = ["CASES"]

TOPICS = [f"chat-room-number-{n:04d}" for n in range(50)]
DATA = {"id": 1, "text": "Buy milk", "done": False}
MISSED = 100


async def _publish(count: int) -> None:
    crowd, replay = Crowd(), Replay()
    for n in range(count):
        replay.publish_nowait(crowd.platform, TOPICS[n % 50], "created", DATA)
        if n % 1000 == 0:
            await asyncio.sleep(0)
    await replay.close()


async def _publish_floor(count: int) -> None:
    crowd = Crowd()
    kept: defaultdict[str, deque[tuple[int, str, bytes]]] = defaultdict(lambda: deque(maxlen=1000))
    for n in range(count):
        topic = TOPICS[n % 50]
        kept[topic].append((n, "created", jsoncodec.encode(DATA)))
        crowd.platform.publish(topic, "created", DATA)
        if n % 1000 == 0:
            await asyncio.sleep(0)


async def _since(count: int) -> None:
    crowd, replay = Crowd(), Replay()
    for _ in range(1000):
        replay.publish_nowait(crowd.platform, TOPICS[0], "created", DATA)
    for _ in range(count):
        await replay.since(TOPICS[0], 1000 - MISSED)
    await replay.close()


async def _since_floor(count: int) -> None:
    kept: deque[tuple[int, str, bytes]] = deque(maxlen=1000)
    for n in range(1, 1001):
        kept.append((n, "created", jsoncodec.encode(DATA)))

    async def since(seq: int) -> list[tuple[int, str, bytes]]:
        return [entry for entry in kept if entry[0] > seq]

    for _ in range(count):
        await since(1000 - MISSED)


def _replaying(missed: int) -> Run:
    async def run(count: int) -> None:
        crowd, replay = Crowd(), Replay()
        ws = crowd.come("user-number-00001")
        for _ in range(1000):
            replay.publish_nowait(crowd.platform, TOPICS[0], "created", DATA)
        for _ in range(count):
            await replay.replay(ws, TOPICS[0], 1000 - missed)
            await asyncio.sleep(0)
        await replay.close()

    return run


def _sending(missed: int) -> Run:
    async def run(count: int) -> None:
        crowd = Crowd()
        ws = crowd.come("user-number-00001")
        for _ in range(count):
            for seq in range(1001 - missed, 1001):
                row = {"seq": seq, "event": "created", "data": DATA}
                crowd.platform.send(ws, f"__replay:{TOPICS[0]}", "msg", row)
            crowd.platform.send(ws, f"__replay:{TOPICS[0]}", "end")
            await asyncio.sleep(0)

    return run


async def _kept(entries: int) -> object:
    crowd, replay = Crowd(), Replay()
    for n in range(entries):
        replay.publish_nowait(crowd.platform, TOPICS[n % 50], "created", DATA)
    return crowd, replay


async def _kept_floor(entries: int) -> object:
    kept: defaultdict[str, deque[tuple[int, str, bytes]]] = defaultdict(lambda: deque(maxlen=1000))
    for n in range(entries):
        kept[TOPICS[n % 50]].append((n, "created", jsoncodec.encode(DATA)))
    return kept


_FLOOR = "a deque of JSON per topic"
CASES = [
    Case(
        "replay",
        "`publish` that is kept and nobody gets",
        Side("ours", _publish, _kept),
        Side(f"{_FLOOR}, and `platform.publish`", _publish_floor, _kept_floor),
    ),
    Case(
        "replay",
        f"`since` that finds {MISSED} of 1,000",
        Side("ours", _since),
        Side("a look through the deque", _since_floor),
    ),
    Case(
        "replay",
        f"`replay` of {MISSED} events to one connection",
        Side("ours", _replaying(MISSED)),
        Side("as many `platform.send`", _sending(MISSED)),
    ),
    Case(
        "replay",
        "`replay` to a connection that missed nothing",
        Side("ours", _replaying(0)),
        Side("one `platform.send`", _sending(0)),
    ),
]
