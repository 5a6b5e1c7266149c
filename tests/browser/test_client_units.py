"""The browser client in node, with sockets and a clock of the tests' own: one test per file of `unit/`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parent / "unit"
TIMEOUT = 120
ITEMS = {
    "calls.test.mjs": ("LIVE-176", "LIVE-177", "LIVE-178", "LIVE-179", "LIVE-181"),
    "catchup.test.mjs": ("LIVE-206",),
    "devtools.test.mjs": ("LIVE-179",),
    "frames.test.mjs": ("WIRE-116", "LIVE-190", "LIVE-202"),
    "hostile.test.mjs": ("LIVE-190",),
    "merge.test.mjs": ("WIRE-103",),
    "network.test.mjs": ("WIRE-115",),
    "optimistic.test.mjs": ("LIVE-185", "LIVE-186", "LIVE-187"),
    "plugins.test.mjs": ("LIVE-201",),
    "queues.test.mjs": ("WIRE-117", "LIVE-180"),
    "reentrancy.test.mjs": ("WIRE-115",),
    "session.test.mjs": (),
    "status.test.mjs": ("WIRE-115",),
    "stores.test.mjs": ("LIVE-175", "LIVE-188"),
    "streams.test.mjs": ("LIVE-183", "LIVE-184", "LIVE-189"),
    "uploads.test.mjs": ("LIVE-182",),
}
FILES = [
    pytest.param(name, marks=[pytest.mark.spec(*items)] if items else [], id=name)
    for name, items in ITEMS.items()
]


@pytest.fixture(scope="session")
def node() -> str:
    """Path of node, which these tests need."""
    found = shutil.which("node")
    if found is None:
        message = "node is missing; `make test` installs it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return found


def test_every_unit_file_is_run() -> None:
    assert sorted(path.name for path in UNIT.glob("*.test.mjs")) == sorted(ITEMS)


@pytest.mark.parametrize("client", ["realtime.js", "realtime.min.js"], ids=["readable", "packed"])
@pytest.mark.parametrize("name", FILES)
def test_unit_file(node: str, name: str, client: str) -> None:
    command = [node, "--test", "--test-reporter=tap", str(UNIT / name)]
    environment = {**os.environ, "REALTIME_CLIENT": client}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT, check=False, env=environment
    )
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert done.returncode == 0, f"{name} failed:\n{done.stdout}\n{done.stderr}"
    assert passed is not None, done.stdout
    assert int(passed[1]) > 0, f"{name} ran no test:\n{done.stdout}"
