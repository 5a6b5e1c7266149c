"""Streams: what a `transform` costs, and what a cold start costs when every page subscribes at once.

`transform` is a fan-out to 1,000 subscribers of a stream whose transform takes a field out of each event, beside the
same stream without one. `subscribe` opens 1,000 connections, lets all of them subscribe to one stream in the same
moment and waits for the last value. Both tell how often the function of the app ran.
"""

from __future__ import annotations

import asyncio

from bench.case import Case, Figure, Measurement, Run
from bench.generator.build import generate
from bench.load import options, sends
from runtime.client import connect

SUBSCRIBERS = 1000
PER_TURN = 10


def subscription(name: str) -> str:
    """Return the frame that subscribes to a stream of the app; what the generator waits for is in its answer."""
    return f'{{"rpc":"rows/{name}","id":"subscribed","args":[],"stream":true}}'


def counted(port: int) -> dict[str, int]:
    """Return how often the functions of the app ran since the last question."""

    async def ask() -> dict[str, int]:
        origin = {"origin": f"http://127.0.0.1:{port}"}
        async with connect(f"ws://127.0.0.1:{port}/ws", headers=origin) as client:
            return dict(await client.call("rows/counts"))

    return asyncio.run(ask())


def measure_transform(contestant: str, run: Run) -> Measurement:
    """Return deliveries per second, and the runs of the transform for each publish."""
    topic = "shaped" if contestant == "ours" else "plain"
    connections = run.scale.connections(SUBSCRIBERS)
    with run.pool.running("ours") as server:
        burst = f'{{"rpc":"rows/burst","id":"1","args":["{topic}",%lu,{PER_TURN}]}}'
        found = generate(
            [
                "fanout",
                *options(port=server.port, connections=connections, topic=topic, per_turn=PER_TURN),
                *options(seconds=run.scale.seconds, limit=90, trigger=burst),
                *sends(subscription(topic)),
            ]
        )
        counts = counted(server.port)
    return {
        "per_second": found["per_second"],
        "runs_per_publish": counts["transforms"] / counts["publishes"],
        "generator_idle": found["generator_idle"],
    }


def measure_subscribe(contestant: str, run: Run) -> Measurement:
    """Return how long it took until everybody had the value, and the runs of the loader."""
    name = "shared" if contestant == "ours" else "own"
    connections = run.scale.connections(SUBSCRIBERS)
    with run.pool.running("ours") as server:
        found = generate(
            [
                "subscribe",
                *options(port=server.port, connections=connections, limit=90),
                *options(request=subscription(name)),
            ]
        )
        counts = counted(server.port)
    return {
        "all_ms": found["all_ms"],
        "p50_ms": found["p50_ms"],
        "loads": counts["loads"],
        "generator_idle": found["generator_idle"],
    }


CASES = (
    Case(
        name="transform",
        title=f"fan-out of a stream with a transform to {SUBSCRIBERS:,} subscribers",
        figures=(
            Figure("per_second", "deliveries/s"),
            Figure("runs_per_publish", "runs/publish", higher_is_better=False),
        ),
        contestants=("ours", "ours-plain"),
        measure=measure_transform,
        descriptors=SUBSCRIBERS + 100,
        setting=f"`transform` takes one field out of each event, {PER_TURN} publishes per loop turn; "
        "ours-plain: the same stream without it",
    ),
    Case(
        name="subscribe",
        title=f"{SUBSCRIBERS:,} open connections subscribe to one cold stream at once",
        figures=(
            Figure("all_ms", "ms", higher_is_better=False),
            Figure("loads", "loads", higher_is_better=False),
        ),
        contestants=("ours", "ours-own"),
        measure=measure_subscribe,
        descriptors=SUBSCRIBERS + 100,
        setting="20 rows from a store with ten connections that answers after 5 ms; ours: a stream with "
        "`invalidate_on`, whose load is shared; ours-own: a load for each subscriber",
    ),
)
