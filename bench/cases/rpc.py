"""RPC round trips: 64 connections, each with 1 or 16 calls in flight."""

from __future__ import annotations

import functools

from bench.case import Case, Measurement
from bench.generator.build import generate
from bench.processes import cores, free_port, serving
from bench.servers import SERVERS

CONNECTIONS = 64
REQUEST = '{"rpc":"bench/echo","id":"%lu","args":[%lu]}'


def measure(in_flight: int, contestant: str, quick: bool) -> Measurement:
    """Return calls per second and their latency."""
    port = free_port()
    with serving(SERVERS[contestant](port), port, core=cores()[0]):
        figures = generate(
            [
                *(
                    "rpc",
                    "--port",
                    str(port),
                    "--connections",
                    str(CONNECTIONS),
                    "--in-flight",
                    str(in_flight),
                ),
                *("--request", REQUEST, "--warmup", "0.5", "--seconds", "1" if quick else "2"),
            ]
        )
    return {name: figures[name] for name in ("per_second", "p50_ms", "p99_ms")}


CASES = tuple(
    Case(
        name=f"rpc-{in_flight}",
        title=f"RPC round trips, {CONNECTIONS} connections x {in_flight} in flight",
        metric="per_second",
        contestants=("ours", "websockets", "starlette"),
        measure=functools.partial(measure, in_flight),
    )
    for in_flight in (1, 16)
)
