"""Latency at a moderate load: 1,000 subscribers, 20 publishes per second, and what the server uses of its core.

The generator asks for each publish at its time; a delivery takes from that moment until it was read.
"""

from __future__ import annotations

from bench.case import Case, Figure, Measurement, Run
from bench.generator.build import generate
from bench.load import call, options, sends
from bench.servers import SERVERS
from bench.usage import Stretch

SUBSCRIBERS = 1000
INTERVAL = 0.05


def measure(contestant: str, run: Run) -> Measurement:
    """Return the latency of deliveries and the share of a core."""
    dialect = SERVERS[contestant].dialect
    with run.pool.running(contestant) as server:
        stretch = Stretch(server.group)
        found = generate(
            [
                "latency",
                *options(path=dialect.path, connections=run.scale.connections(SUBSCRIBERS)),
                *sends(*dialect.subscribe),
                *options(trigger=call(dialect, "burst", 1, 1, "%lu"), interval=INTERVAL),
                *options(warmup=0.25, seconds=run.scale.seconds * 4, port=server.port),
                *dialect.options,
            ],
            on_mark=stretch.note,
        )
    figures = {name: found[name] for name in ("p50_ms", "p99_ms", "max_ms", "generator_idle")}
    return {**figures, "cpu_percent": stretch.percent}


CASES = (
    Case(
        name="latency",
        title=f"latency of {SUBSCRIBERS:,} subscribers at {1 / INTERVAL:.0f} publishes per second",
        figures=(
            Figure("p99_ms", "ms", higher_is_better=False),
            Figure("cpu_percent", "% of a core", higher_is_better=False),
            Figure("p50_ms", "ms", higher_is_better=False),
        ),
        contestants=("ours", "websockets", "picows"),
        more=("starlette", "socketio", "aiohttp", "socketify", "ws", "bun"),
        measure=measure,
        descriptors=SUBSCRIBERS + 100,
        setting="1,000 connections, one topic, no capabilities announced",
    ),
)
