"""`realtime dev` shows what `realtime check` finds, as one saves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.dev_process import make_project, rpc, running, save

GUARDED = """\
from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def hello(ctx) -> str:
    return "one"
"""
BLOCKING = GUARDED.replace("from runtime", "import time\n\nfrom runtime").replace(
    '    return "one"', '    time.sleep(0)\n    return "one"'
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    settings = "[server]\nallowed_hosts = ['localhost', '127.0.0.1']\n[dev]\ntypes = false\n"
    return make_project(tmp_path, {"live/todos.py": GUARDED, "realtime.toml": settings})


async def test_a_new_finding_is_shown_once_with_its_place_and_fix(project: Path) -> None:
    with running(project) as dev:
        first = dev.wait_event("check", findings=2)
        assert first["findings"] == 2  # no upgrade and no subscribe hook
        save(project / "live/todos.py", BLOCKING)
        found = dev.wait(
            lambda: [one for one in dev.events("check") if "finding" in one], "the finding of the save"
        )
        assert [(one["finding"]["rule"], one["finding"]["line"]) for one in found] == [("LIV003", 10)]
        save(project / "live/todos.py", BLOCKING + "\n")
        save(project / "live/other.py", BLOCKING.replace("todos", "other"))
        again = dev.wait(
            lambda: [
                one for one in dev.events("check") if one.get("finding", {}).get("path") == "live/other.py"
            ],
            "the finding of the other file",
        )
        assert len(again) == 1
        assert (
            len([one for one in dev.events("check") if one.get("finding", {}).get("path") == "live/todos.py"])
            == 1
        )


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"live/todos.py": BLOCKING})
    with running(project) as dev:
        save(project / "live/todos.py", BLOCKING.replace("one", "two"))
        dev.wait_event("reload")
        async with rpc(dev.port):
            pass
        assert dev.events("check") == []
