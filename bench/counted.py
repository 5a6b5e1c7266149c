"""One worker that counts what is published, in a process of its own: `python -m bench.counted MODE SECONDS`.

Modes: `debounced` and `immediate` keep two sums and a mean over three windows; `nobody` publishes the same, and nothing
is declared. Prints a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from runtime.core.settings import ServerSettings, Settings
from runtime.server.assembly import assemble

MODULE = """from runtime import Compute, Lifetime, Reducer, Sliding, Tumbling, combine_sum, live


class Requests(live.Aggregate):
    source, topic = "requests", "requests-stats"
    windows = {{
        "total": Lifetime(),
        "today": Tumbling(period="daily", tz="America/New_York"),
        "last5": Sliding(duration=300, slide=1),
    }}
    debounce = {debounce}
    count = Reducer(init=lambda: 0, reduce=lambda acc, event, data: acc + 1, combine=combine_sum)
    ms = Reducer(init=lambda: 0, reduce=lambda acc, event, data: acc + data["ms"], combine=combine_sum)
    mean = Compute(lambda s: s["ms"] / s["count"] if s["count"] else 0)
"""
DEBOUNCE = {"debounced": 0.05, "immediate": 0.0}
BURST = 500  # events between two turns of the loop


async def measure(mode: str, seconds: float) -> dict[str, float]:
    """Publish for so many seconds of a core, a burst in each turn of the loop; return the events of one second."""
    with tempfile.TemporaryDirectory(prefix="counted-") as folder:
        project = Path(folder)
        (project / "live").mkdir()
        if mode in DEBOUNCE:
            (project / "live/stats.py").write_text(MODULE.format(debounce=DEBOUNCE[mode]))
        runtime = assemble(project, Settings(server=ServerSettings(env="test")))
        await runtime.start()
        publish = runtime.platform.publish
        count, began = 0, time.process_time()
        end = began + seconds
        while (now := time.process_time()) < end:
            for number in range(BURST):
                publish("requests", "answered", {"ms": number, "path": "todos/add"})
            count += BURST
            await asyncio.sleep(0)
        figures = {"per_second": count / (now - began)}
        if mode in DEBOUNCE:
            found = await runtime.live.aggregates.load("stats/Requests", "last5")
            if found["count"] != count:
                raise SystemExit(f"{found['count']} of {count} events were counted")
        await runtime.stop()
        return figures


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(measure(sys.argv[1], float(sys.argv[2])))) + "\n")
