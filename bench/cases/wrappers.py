"""What the wrappers of a handler cost: the same echo bare, and under all six of them.

`scoped`, `rate_limit`, `idempotent`, `lock`, `breaker` and `validated`, in the order that the documents recommend. Each
call has a key of its own, so that each of them does all of its work and the handler runs.
"""

from __future__ import annotations

from bench.case import Case, Figure, Measurement, Run
from bench.cases.rpc import CONNECTIONS
from bench.generator.build import generate
from bench.load import call, options
from bench.servers import SERVERS

IN_FLIGHT = 16


def measure(contestant: str, run: Run) -> Measurement:
    """Return calls per second and their latency."""
    dialect = SERVERS["ours"].dialect
    name = "echo" if contestant == "ours-bare" else "echo_wrapped"
    with run.pool.running("ours") as server:
        found = generate(
            [
                "rpc",
                *options(path=dialect.path, port=server.port, connections=CONNECTIONS, in_flight=IN_FLIGHT),
                *options(request=call(dialect, name, "%lu", number="%lu")),
                *options(warmup=run.scale.seconds / 2, seconds=run.scale.seconds),
            ]
        )
    kept = ("per_second", "p50_ms", "p99_ms", "generator_idle")
    return {figure: found[figure] for figure in kept if figure in found}


CASES = (
    Case(
        name="wrappers",
        title=f"an RPC under all wrappers, {CONNECTIONS} connections x {IN_FLIGHT} in flight",
        figures=(
            Figure("per_second", "calls/s"),
            Figure("p50_ms", "ms", higher_is_better=False),
            Figure("p99_ms", "ms", higher_is_better=False),
        ),
        contestants=("ours", "ours-bare"),
        measure=measure,
        setting="`scoped`, `rate_limit`, `idempotent`, `lock`, `breaker` and `validated` over the echo of `rpc-16`, "
        "each call with a key of its own; ours-bare: the echo alone",
    ),
)
