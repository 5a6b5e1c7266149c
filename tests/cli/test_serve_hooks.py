"""Hooks under `realtime serve`, as a process: what ends it, with which code, and how fast. Spec: platform 1.9."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from runtime.testing import eventually
from tests.cli.apps import PINNED, write_project
from tests.cli.commands import PROGRAM, TIMEOUT, environment, realtime

NEVER = """
    import asyncio
    from pathlib import Path

    async def shutdown(reason):
        (Path(__file__).parent / "shutdown").write_text(reason)
        await asyncio.Event().wait()
"""


@pytest.mark.spec("PLAT-8", "PLAT-2")
@pytest.mark.parametrize(
    ("hooks", "message"),
    [
        ("async def init(): raise OSError('no database')\n", "no database"),
        ("import asyncio\nasync def init(): await asyncio.sleep(600)\n", "took longer than 0.05 s"),
        ("import nothing_of_this_name\n", "nothing_of_this_name"),
        (
            "def open(socket): pass\n",
            "hook open: unknown parameter 'socket'; it may take ws, platform or ctx",
        ),
    ],
)
def test_hooks_that_do_not_start_end_with_3(tmp_path: Path, hooks: str, message: str) -> None:
    toml = PINNED + '    init_timeout = "50ms"\n'
    project = write_project(tmp_path / "app", {"hooks.py": hooks, "realtime.toml": toml})
    began = time.monotonic()
    ended = realtime("serve", "--port", "0", cwd=project)
    assert ended.code == 3
    assert message in ended.err
    assert "Listening" not in ended.err
    assert time.monotonic() - began < TIMEOUT


def started(project: Path) -> tuple[subprocess.Popen[str], str]:
    child = subprocess.Popen(
        [*PROGRAM, "serve", "--host", "127.0.0.1", "--port", "0"],
        cwd=project,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    for line in child.stderr:
        if "Listening on" in line:
            return child, line.split("Listening on ")[1].split()[0]
    raise AssertionError("it did not start")


def ready(url: str) -> int:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=TIMEOUT) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.spec("PLAT-38")
@pytest.mark.parametrize("waits", ["delay", "hook"])
async def test_a_second_signal_ends_it_at_once(tmp_path: Path, waits: str) -> None:
    toml = (
        PINNED + f"    shutdown_delay = {600 if waits == 'delay' else 0}\n    shutdown_hook_timeout = 600\n"
    )
    project = write_project(tmp_path / "app", {"hooks.py": NEVER, "realtime.toml": toml})
    child, url = started(project)
    with child:
        try:
            assert await asyncio.to_thread(ready, url) == 200
            child.send_signal(signal.SIGTERM)

            async def is_waiting() -> bool:
                if waits == "hook":
                    return (project / "shutdown").exists()
                return await asyncio.to_thread(ready, url) == 503

            await eventually(is_waiting, timeout=TIMEOUT)
            began = time.monotonic()
            child.send_signal(signal.SIGINT)
            await asyncio.to_thread(child.communicate, timeout=TIMEOUT)
        finally:
            child.kill()
    assert time.monotonic() - began < TIMEOUT / 2
    assert (project / "shutdown").exists() is (waits == "hook")


SLOW = """
    import asyncio, sys
    from pathlib import Path

    here = Path(__file__).parent

    async def init():
        (here / "begun").touch()
        try:
            await asyncio.Event().wait()
        finally:
            (here / "left").touch()

    async def shutdown():
        (here / "shutdown").touch()
"""


@pytest.mark.spec("PLAT-38", "PLAT-8")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_during_the_start_ends_it_with_0(tmp_path: Path, sent: signal.Signals) -> None:
    project = write_project(tmp_path / "app", {"hooks.py": SLOW})
    with subprocess.Popen(
        [*PROGRAM, "serve", "--host", "127.0.0.1", "--port", "0"],
        cwd=project,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            await eventually((project / "begun").exists, timeout=TIMEOUT)
            child.send_signal(sent)
            _, said = await asyncio.to_thread(child.communicate, timeout=TIMEOUT / 2)
        finally:
            child.kill()
    assert child.returncode == 0
    assert f"{sent.name} ended the start before the app was ready" in said
    assert "Listening" not in said
    assert "Traceback" not in said
    assert (project / "left").exists()
    assert not (project / "shutdown").exists()
