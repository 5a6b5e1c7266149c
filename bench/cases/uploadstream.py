"""Streamed uploads beside request bodies of the same size, sent to the same server.

`upload-stream` is one large body: how fast it goes in, and how much the server's memory grows meanwhile. `upload-many`
is 200 of them at once. The handlers count bytes and throw them away.
"""

from __future__ import annotations

from bench.case import Case, Figure, Measurement, Run
from bench.uploads import upload
from bench.usage import resident_bytes

MIB = 1024 * 1024
LARGE = 1024 * MIB
MANY = 200
SIZE_OF_MANY = 4 * MIB
SAMPLE_EVERY = 16  # MiB between two looks at the server's memory


def _measure(contestant: str, run: Run, size: int, count: int) -> Measurement:
    over_http = contestant == "ours-http"
    with run.pool.fresh("ours") as server:
        upload(server.port, MIB, 1, over_http=over_http, tick=lambda: None)  # what is allocated once
        before = largest = resident_bytes(server.group)
        ticks = 0

        def look() -> None:
            nonlocal largest, ticks
            ticks += 1
            if ticks % SAMPLE_EVERY == 0:
                largest = max(largest, resident_bytes(server.group))

        seconds = upload(server.port, size, count, over_http=over_http, tick=look)
        largest = max(largest, resident_bytes(server.group))
    return {"mb_per_second": size * count / 1e6 / seconds, "growth_mib": (largest - before) / MIB}


def measure_stream(contestant: str, run: Run) -> Measurement:
    """Return megabytes per second of one body, and by how many MiB the server grew."""
    size = LARGE if run.scale.all_peers else max(8 * MIB, int(LARGE * run.scale.seconds / 2))
    return _measure(contestant, run, size, 1)


def measure_many(contestant: str, run: Run) -> Measurement:
    """Return megabytes per second of many bodies together, and by how many MiB the server grew."""
    count = 4 * (run.scale.connections(MANY) // 4 or 1)
    return _measure(contestant, run, SIZE_OF_MANY, count)


FIGURES = (Figure("mb_per_second", "MB/s"), Figure("growth_mib", "MiB", higher_is_better=False))

CASES = (
    Case(
        name="upload-stream",
        title="one upload of 1 GiB, memory of the server beside it",
        figures=FIGURES,
        contestants=("ours", "ours-http"),
        measure=measure_stream,
        rounds=3,
        setting="frames of 1 MiB to a function under `live.upload`; ours-http: the body of a request to the same "
        "server; a quick run sends 256 MiB",
    ),
    Case(
        name="upload-many",
        title=f"{MANY} uploads of {SIZE_OF_MANY // MIB} MiB at once",
        figures=FIGURES,
        contestants=("ours", "ours-http"),
        measure=measure_many,
        rounds=3,
        descriptors=512,
        setting=f"ours: {MANY // 4} connections with four uploads each; ours-http: {MANY} requests",
    ),
)
