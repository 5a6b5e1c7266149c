"""Start-up: the help text of the command line, and a server from spawn to its first welcome."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from bench.case import Case, Figure, Measurement, Run
from bench.processes import ROOT, cores, environment_of_children, free_port, pin_to, start, stop
from bench.servers import SERVERS
from bench.sockets import first_frame

COMMANDS = {
    "ours": [sys.executable, "-m", "realtime_cli", "--help"],
    "uvicorn": [sys.executable, "-m", "uvicorn", "--help"],
    "interpreter": [sys.executable, "-c", "pass"],
}
DEADLINE = 30.0


def measure_help(contestant: str, run: Run) -> Measurement:
    """Return how long a command takes to print its help, the median of several runs after one to warm up."""
    times: list[float] = []
    for _ in range(1 + (11 if run.scale.all_peers else 3)):
        began = time.perf_counter()
        subprocess.run(
            COMMANDS[contestant],
            cwd=ROOT,
            env=environment_of_children(),
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=DEADLINE,
            preexec_fn=pin_to(cores()[1]),
        )
        times.append((time.perf_counter() - began) * 1000)
    return {"ms": statistics.median(times[1:])}


def measure_cold_start(contestant: str, run: Run) -> Measurement:
    """Return how long a server takes from its spawn to the first frame of its first connection, after one start."""
    times: list[float] = []
    for _ in range(1 + (5 if run.scale.all_peers else 1)):
        port = free_port()
        command = SERVERS[contestant].command(port)
        began = time.perf_counter()
        process = start(command.arguments, core=cores()[0], environment=command.environment)
        try:
            frame = first_frame(port, began + DEADLINE)
            times.append((time.perf_counter() - began) * 1000)
        finally:
            stop(process)
        if '"welcome"' not in frame:
            raise RuntimeError(f"the first frame is no welcome: {frame}")
    return {"ms": statistics.median(times[1:])}


CASES = (
    Case(
        name="cli-help",
        title="command line start-up: --help",
        figures=(Figure("ms", "ms", higher_is_better=False),),
        contestants=("ours", "uvicorn", "interpreter"),
        measure=measure_help,
    ),
    Case(
        name="cold-start",
        title="server start-up: spawn to first welcome",
        figures=(Figure("ms", "ms", higher_is_better=False),),
        contestants=("ours", "websockets", "starlette"),
        measure=measure_cold_start,
    ),
)
