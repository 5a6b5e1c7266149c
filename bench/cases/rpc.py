"""RPC round trips: 64 connections, each with 1 or 16 calls in flight.

A call of ours goes through the whole pipeline (registry, guard, decoding of the arguments); the peers parse JSON, look
at the path and answer.
"""

from __future__ import annotations

import functools

from bench.case import Case, Figure, Measurement, Run
from bench.generator.build import generate
from bench.load import call, options
from bench.servers import SERVERS

CONNECTIONS = 64


def measure(in_flight: int, contestant: str, run: Run) -> Measurement:
    """Return calls per second and their latency."""
    server_name = contestant.partition("-")[0]
    name = "echo_plain" if contestant == "ours-def" else "echo"
    dialect = SERVERS[server_name].dialect
    with run.pool.running(server_name) as server:
        found = generate(
            [
                "rpc",
                *options(path=dialect.path, port=server.port, connections=CONNECTIONS, in_flight=in_flight),
                *options(request=call(dialect, name, "%lu", number="%lu")),
                *options(warmup=run.scale.seconds / 2, seconds=run.scale.seconds),
            ]
        )
    kept = ("per_second", "p50_ms", "p99_ms", "generator_idle")
    return {figure: found[figure] for figure in kept if figure in found}


CASES = tuple(
    Case(
        name=f"rpc-{in_flight}",
        title=f"RPC round trips, {CONNECTIONS} connections x {in_flight} in flight",
        figures=(
            Figure("per_second", "calls/s"),
            Figure("p50_ms", "ms", higher_is_better=False),
            Figure("p99_ms", "ms", higher_is_better=False),
        ),
        contestants=("ours", "ours-def", "websockets", "starlette"),
        more=("picows", "aiohttp", "socketify", "ws", "bun"),
        measure=functools.partial(measure, in_flight),
        setting="an `async def` handler (ours-def: a plain `def`) behind a guard, one typed argument; "
        "the Python peers use the standard library's JSON",
    )
    for in_flight in (1, 16)
)
