"""Connection storm: connect, handshake through an upgrade hook, welcome, close, over and over on 64 places."""

from __future__ import annotations

from bench.case import Case, Figure, Measurement, Run
from bench.generator.build import generate
from bench.load import options

PLACES = 64


def measure(contestant: str, run: Run) -> Measurement:
    """Return connections per second that were opened, greeted and closed in order."""
    with run.pool.running(contestant) as server:
        found = generate(
            [
                "storm",
                *options(port=server.port, connections=PLACES),
                *options(warmup=run.scale.seconds / 2, seconds=run.scale.seconds),
            ]
        )
    return {figure: found[figure] for figure in ("per_second", "p50_ms", "p99_ms", "generator_idle")}


CASES = (
    Case(
        name="storm",
        title="connection storm: connect, handshake with an upgrade hook, welcome, close",
        figures=(Figure("per_second", "connections/s"),),
        contestants=("ours", "websockets", "starlette"),
        more=("picows", "aiohttp", "socketify", "ws", "bun"),
        measure=measure,
        setting=f"{PLACES} connections at a time, few from each loopback address; "
        "ours with an `async def` upgrade hook and the limit per address on",
    ),
)
