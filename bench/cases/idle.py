"""Idle connections: resident memory of each at 5,000, and the processor time of 10,000."""

from __future__ import annotations

from bench.case import Case, Figure, Measurement, Run
from bench.generator.build import generate
from bench.load import options
from bench.usage import Stretch, resident_bytes

WARM = 100
MEASURED = 5000
CONNECTIONS = 10_000


def measure(contestant: str, run: Run) -> Measurement:
    """Return the growth of the resident memory per connection, and the share of a core while nothing happens."""
    scale = run.scale
    measured, full = scale.connections(MEASURED), scale.connections(CONNECTIONS)
    warm = min(WARM, measured // 2)
    memory: dict[str, int] = {}
    with run.pool.fresh(contestant) as server:
        stretch = Stretch(server.group)

        def note(mark: str) -> None:
            if mark.startswith("open"):
                memory[mark] = resident_bytes(server.group)
            else:
                stretch.note(mark)

        generate(
            [
                "idle",
                *options(port=server.port, connections=full, steps=f"{warm},{measured},{full}"),
                *options(warmup=0.3, seconds=scale.seconds * 6, limit=120),
            ],
            on_mark=note,
        )
    grown = memory[f"open {measured}"] - memory[f"open {warm}"]
    return {
        "kib_per_connection": grown / 1024 / (measured - warm),
        "cpu_percent": stretch.percent,
    }


CASES = (
    Case(
        name="idle",
        title=f"memory per idle connection at {MEASURED:,}, processor time of {CONNECTIONS:,}",
        figures=(
            Figure("kib_per_connection", "KiB", higher_is_better=False),
            Figure("cpu_percent", "% of a core", higher_is_better=False),
        ),
        contestants=("ours", "websockets", "starlette"),
        more=("picows", "aiohttp", "socketify", "ws", "bun"),
        measure=measure,
        rounds=2,
        descriptors=CONNECTIONS + 200,
        setting=f"resident memory of the server's processes, from {WARM} connections to {MEASURED:,}; "
        "no frames after the welcome",
    ),
)
