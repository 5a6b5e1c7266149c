"""Start-up: the help text of the command line, and a server from spawn to its first welcome."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from bench.case import Case, Measurement
from bench.processes import ROOT, cores, free_port, pin_to, start, stop
from bench.servers import SERVERS
from bench.sockets import first_frame

COMMANDS = {
    "ours": [sys.executable, "-m", "realtime_cli", "--help"],
    "uvicorn": [sys.executable, "-m", "uvicorn", "--help"],
    "interpreter": [sys.executable, "-c", "pass"],
}
DEADLINE = 30.0


def measure_help(contestant: str, quick: bool) -> Measurement:
    """Return how long a command takes to print its help, the median of several runs."""
    times: list[float] = []
    for _ in range(5 if quick else 11):
        began = time.perf_counter()
        subprocess.run(
            COMMANDS[contestant],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=DEADLINE,
            preexec_fn=pin_to(cores()[1]),
        )
        times.append((time.perf_counter() - began) * 1000)
    return {"ms": statistics.median(times)}


def measure_cold_start(contestant: str, quick: bool) -> Measurement:
    """Return how long a server takes from its spawn to the first frame of its first connection."""
    times: list[float] = []
    for _ in range(2 if quick else 5):
        port = free_port()
        began = time.perf_counter()
        process = start(SERVERS[contestant](port), core=cores()[0])
        try:
            frame = first_frame(port, began + DEADLINE)
            times.append((time.perf_counter() - began) * 1000)
        finally:
            stop(process)
        if '"welcome"' not in frame:
            raise RuntimeError(f"the first frame is no welcome: {frame}")
    return {"ms": statistics.median(times)}


CASES = (
    Case(
        name="cli-help",
        title="command line start-up: --help",
        metric="ms",
        contestants=("ours", "uvicorn", "interpreter"),
        measure=measure_help,
        higher_is_better=False,
    ),
    Case(
        name="cold-start",
        title="server start-up: spawn to first welcome",
        metric="ms",
        contestants=("ours", "websockets", "starlette"),
        measure=measure_cold_start,
        higher_is_better=False,
    ),
)
