"""Fan-out: one publisher, 1,000 subscribers of one topic, envelopes of 200 bytes.

Every contestant publishes so many events per turn of its event loop. Ours is also measured with peers that announce
`batch`, and once more with one publish per turn, so that the gain of a turn's joined write can be read in one run.
"""

from __future__ import annotations

import functools

from bench.case import Case, Figure, Measurement, Run
from bench.generator.build import generate
from bench.load import call, options, sends
from bench.servers import Dialect

SUBSCRIBERS = 1000
HELLO = '{"type":"hello","caps":["batch"]}'
RATE = Figure("per_second", "deliveries/s")
SETTING = "1,000 connections, one topic, no capabilities announced (ours-batch: `batch`)"


def arguments(dialect: Dialect, per_turn: int, connections: int, seconds: float, *, batch: bool) -> list[str]:
    """Return what the generator is told for one measurement."""
    return [
        "fanout",
        *options(path=dialect.path, connections=connections, per_turn=per_turn, seconds=seconds, limit=90),
        *sends(*((HELLO,) if batch else ()), *dialect.subscribe),
        *options(trigger=call(dialect, "burst", "%lu", per_turn, 0)),
        *dialect.options,
    ]


def measure(per_turn: int, contestant: str, run: Run) -> Measurement:
    """Return deliveries per second of a burst after two to warm up."""
    scale, turn = run.scale, 1 if contestant == "ours-single" else per_turn
    with run.pool.running(contestant.partition("-")[0]) as server:
        told = arguments(
            server.server.dialect,
            turn,
            scale.connections(SUBSCRIBERS),
            scale.seconds,
            batch=contestant == "ours-batch",
        )
        found = generate([*told, *options(port=server.port)])
    if contestant == "ours-batch" and turn > 1 and "batch_frames" in found and not found["batch_frames"]:
        raise RuntimeError("no batch frame came although every peer announced the capability")
    kept = ("per_second", "generator_idle")
    return {name: found[name] for name in kept if name in found}


def _case(name: str, per_turn: int, contestants: tuple[str, ...], more: tuple[str, ...]) -> Case:
    return Case(
        name=name,
        title=f"fan-out to {SUBSCRIBERS:,} subscribers, publishes per loop turn: {per_turn}",
        figures=(RATE,),
        contestants=contestants,
        more=more,
        measure=functools.partial(measure, per_turn),
        descriptors=SUBSCRIBERS + 100,
        setting=SETTING,
    )


CASES = (
    _case(
        "fanout",
        1,
        ("ours", "websockets", "starlette", "socketio", "socketify", "bun"),
        ("ours-batch", "picows", "aiohttp", "ws"),
    ),
    _case(
        "fanout-10",
        10,
        ("ours", "ours-batch", "ours-single", "websockets", "socketify"),
        ("starlette", "picows", "aiohttp", "ws", "bun"),
    ),
    _case(
        "fanout-100",
        100,
        ("ours", "ours-batch", "ours-single", "websockets", "socketify"),
        ("starlette", "picows", "aiohttp", "ws", "bun"),
    ),
)
