"""What it costs to keep counts of a busy topic: events per second of one worker with three windows.

Everything happens in one process, without sockets: `bench/counted.py`. An event is published, encoded, handed to
nobody, and folded into two sums in each of the windows.
"""

from __future__ import annotations

import json
import subprocess
import sys

from bench.case import Case, Figure, Measurement, Run
from bench.processes import ROOT, cores, environment_of_children, pin_to

#: How each contestant is called there.
MODES = {"ours": "debounced", "ours-at-once": "immediate", "ours-uncounted": "nobody"}


def measure(contestant: str, run: Run) -> Measurement:
    """Return events per second of a core, and the time of a core that one takes."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.counted", MODES[contestant], str(2 * run.scale.seconds)],
        cwd=ROOT,
        env=environment_of_children(),
        preexec_fn=pin_to(cores()[0]),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2])
    per_second = float(json.loads(done.stdout)["per_second"])
    return {"per_second": per_second, "us_per_event": 1_000_000 / per_second}


CASES = (
    Case(
        name="aggregates",
        title="events folded into three windows in a second of one core",
        figures=(
            Figure("per_second", "events/s"),
            Figure("us_per_event", "µs", higher_is_better=False),
        ),
        contestants=("ours", "ours-at-once", "ours-uncounted"),
        measure=measure,
        setting="`platform.publish` of 30 bytes in one process, nobody subscribed; lifetime, daily in New York and "
        "sliding over 300 buckets, two sums and a mean each, `debounce` 0.05 s; ours-at-once: without `debounce`, so "
        "three more publishes per event; ours-uncounted: nothing is declared",
    ),
)
