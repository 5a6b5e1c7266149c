"""Inbound binary: frames of 64 KiB on 8 connections, 4 unacknowledged on each.

Ours hands each frame to the app's `message` hook, which answers with a small binary frame; the peers do the same in
their handlers. The answer holds both ends of what came, so that nothing is acknowledged that was not unmasked.
"""

from __future__ import annotations

from bench.case import Case, Figure, Measurement, Run
from bench.generator.build import generate
from bench.load import options

CONNECTIONS = 8
IN_FLIGHT = 4
SIZE = 65536


def measure(contestant: str, run: Run) -> Measurement:
    """Return megabytes per second that were acknowledged."""
    with run.pool.running(contestant) as server:
        found = generate(
            [
                "upload",
                *options(port=server.port, connections=CONNECTIONS, in_flight=IN_FLIGHT, size=SIZE),
                *options(warmup=run.scale.seconds / 2, seconds=run.scale.seconds),
            ]
        )
    kept = ("mb_per_second", "per_second", "p99_ms", "generator_idle")
    return {figure: found[figure] for figure in kept if figure in found}


CASES = (
    Case(
        name="upload",
        title=f"inbound binary frames of {SIZE // 1024} KiB, acknowledged",
        figures=(Figure("mb_per_second", "MB/s"),),
        contestants=("ours", "websockets", "starlette"),
        more=("picows", "aiohttp", "socketify", "ws", "bun"),
        measure=measure,
        setting=f"{CONNECTIONS} connections, {IN_FLIGHT} frames in flight on each; ours through the `message` hook",
    ),
)
