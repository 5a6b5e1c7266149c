"""Jobs in a real server process: on the second, through a pause of the process, to the end. Spec: live-api 16.3."""

from __future__ import annotations

import asyncio
import json
import signal
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from runtime.client import connect
from runtime.core.clock import SystemClock
from runtime.testing import eventually
from tests.cli.apps import write_project
from tests.cli.commands import TIMEOUT, serving

LIVE = """
    # realtime-allow-public
    import asyncio
    import time
    from pathlib import Path
    from runtime import live

    FOLDER = Path(__file__).parent.parent
    runs = []

    def note(file, text):
        with (FOLDER / file).open("a") as notes:
            notes.write(f"{text}\\n")

    @live.cron("* * * * * *", "count")
    def job():
        note("runs", time.time())
        runs.append(1)
        return len(runs)

    @live.cron("*/2 * * * * *")
    async def slow(ctx):
        if (FOLDER / "slow").exists():
            note("steps", "begun")
            await ctx.signal.wait()
            note("steps", "ended")

    count = live.channel("count")
"""
TOML = """
    [server]
    allowed_hosts = ["127.0.0.1"]

    [metrics]
    enabled = true
    token = "token-of-a-test"
"""


SCRAPER = {"authorization": "Bearer token-of-a-test"}


def make(tmp_path: Path) -> Path:
    return write_project(tmp_path / "app", {"realtime.toml": TOML, "live/m.py": LIVE})


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def instants(project: Path) -> list[float]:
    return [float(line) for line in lines(project / "runs")]


def counted(metrics: str, status: str) -> int:
    start = f'realtime_cron_total{{path="m/job",status="{status}"}} '
    return sum(
        int(float(line.removeprefix(start))) for line in metrics.splitlines() if line.startswith(start)
    )


@pytest.mark.slow  # a process is stopped for some seconds of the wall clock
@pytest.mark.spec("LIVE-148", "LIVE-155")
async def test_a_process_that_is_paused_goes_on_with_one_run(tmp_path: Path) -> None:
    project, clock = make(tmp_path), SystemClock()
    with serving(project) as (child, url):
        async with connect(url.replace("http", "ws") + "/ws") as client:
            seen: list[int] = []
            client.on("count").subscribe(lambda event: seen.append(event.data))
            await eventually(lambda: len(instants(project)) >= 2)
            child.send_signal(signal.SIGSTOP)
            paused = clock.now()
            await clock.sleep(3.3)
            before = instants(project)
            going_on = clock.now()
            child.send_signal(signal.SIGCONT)
            await eventually(lambda: len(instants(project)) >= len(before) + 3)
            after = instants(project)
            await eventually(lambda: len(seen) >= 4)
        async with httpx.AsyncClient(timeout=TIMEOUT) as http:
            metrics = (await http.get(f"{url}/metrics", headers=SCRAPER)).text
    assert all(instant <= paused + 0.1 for instant in before)
    # At once, for what it slept through; then on the second again. A busy machine may skip one.
    assert going_on <= after[len(before)] < going_on + 5
    assert min(instant % 1 for instant in after[len(before) + 1 :]) < 0.5
    seconds = [int(instant + 0.005) for instant in after]  # a timer may be some milliseconds early
    assert all(a < b for a, b in pairwise(seconds))
    slept = seconds[len(before)] - seconds[len(before) - 1]
    assert slept >= 3
    assert seen == list(range(seen[0], seen[0] + len(seen)))  # each result once, in order
    assert counted(metrics, "ok") >= len(after)
    assert counted(metrics, "missed") >= slept - 1


@pytest.mark.spec("LIVE-149")
async def test_a_stop_waits_for_a_run(tmp_path: Path) -> None:
    project = make(tmp_path)
    with serving(project) as (child, _):
        (project / "slow").touch()
        await eventually(lambda: lines(project / "steps") == ["begun"])
        await eventually(lambda: len(instants(project)) >= 2)
        assert lines(project / "steps") == ["begun"]  # one at a time
        child.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(child.wait, TIMEOUT) == 0
        assert lines(project / "steps") == ["begun", "ended"]
        assert child.stderr is not None
        assert "still going on" not in child.stderr.read()


async def test_a_job_that_cannot_be_keeps_the_server_from_starting(tmp_path: Path) -> None:
    project = make(tmp_path)
    (project / "live/m.py").write_text(LIVE.replace("*/2 *", "*/2x *").replace("\n    ", "\n"))
    with pytest.raises(AssertionError) as caught, serving(project):
        pass
    assert "ended with 3" in str(caught.value)
    assert "second: the step behind '/'" in str(caught.value)
    assert json.dumps("*/2x * * * * *")[1:-1] in str(caught.value)
