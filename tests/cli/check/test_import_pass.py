"""What a module does at its import harms nobody but itself, and is reported."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from realtime_cli.rules.engine import run_rules
from realtime_cli.rules.examples import BASE
from realtime_cli.rules.imported import Imported, import_project
from realtime_cli.rules.project import Project

HEAD = "from runtime import guard, live\n\n_guard = guard(authenticated=True)\n"


def imported(root: Path, text: str, *, time_limit: float = 30.0) -> Imported:
    shutil.copytree(BASE, root, dirs_exist_ok=True)
    (root / "live/odd.py").write_text(HEAD + text)
    return import_project(root, env="production", environ=os.environ, time_limit=time_limit)


def told(root: Path, found: Imported) -> list[str]:
    report = run_rules(Project.read(root, environ={}), imported=found)
    return [f"{one.path} {one.rule} {one.message}" for one in report.findings]


@pytest.mark.spec("PLAT-151")
def test_a_module_that_hangs_is_ended_and_named(tmp_path: Path) -> None:
    began = time.monotonic()
    found = imported(tmp_path, "import time\n\ntime.sleep(1000)\n", time_limit=3)
    assert time.monotonic() - began < 20
    assert found.failure == "the import did not end within 3 seconds"
    lines = told(tmp_path, found)
    assert "live/odd.py LIV028 the import did not end within 3 seconds" in lines


@pytest.mark.spec("PLAT-151")
def test_what_it_started_is_ended_with_it(tmp_path: Path) -> None:
    sleeper = "[sys.executable, '-c', 'import time; time.sleep(1000)']"
    text = f"import pathlib, subprocess, sys\n\nchild = subprocess.Popen({sleeper})\n"
    text += f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n"
    imported(tmp_path, text)
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, "the child of a module lives on"


@pytest.mark.spec("PLAT-151")
@pytest.mark.parametrize("end", ["sys.exit(3)", "os._exit(3)", "os.kill(os.getpid(), 9)", "raise SystemExit"])
def test_a_module_that_exits_is_reported(end: str, tmp_path: Path) -> None:
    found = imported(tmp_path, f"import os\nimport sys\n\n{end}\n")
    lines = told(tmp_path, found)
    assert any(line.startswith("live/odd.py LIV028 ") for line in lines), (found, lines)


@pytest.mark.spec("PLAT-151")
@pytest.mark.parametrize(
    "what",
    [
        "socket.create_connection(('127.0.0.1', 9))",
        "socket.socket().connect(('127.0.0.1', 9))",
        "socket.socket().bind(('127.0.0.1', 0))",
        "socket.getaddrinfo('example.com', 80)",
        "urllib.request.urlopen('http://127.0.0.1:9')",
    ],
)
def test_a_socket_at_import_is_refused_with_what_to_do(what: str, tmp_path: Path) -> None:
    found = imported(tmp_path, f"import socket\nimport urllib.request\n\n{what}\n")
    [problem] = [one for one in found.problems if one["file"] == "live/odd.py"]
    assert "no sockets while a project is checked: connect in the init hook" in problem["message"]


@pytest.mark.spec("PLAT-151")
def test_what_it_prints_reaches_nobody(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = "import os\nimport sys\n\nprint('loud')\nsys.stderr.write('loud')\nos.write(1, b'loud')\nsys.stdin.read()\n"
    found = imported(tmp_path, text)
    assert found.failure is None
    assert capfd.readouterr() == ("", "")


def test_it_knows_that_it_is_checked(tmp_path: Path) -> None:
    found = imported(tmp_path, "import os\n\nassert os.environ['REALTIME_CHECK'] == '1'\n")
    assert found.failure is None
    assert found.problems == ()
    assert [one["path"] for one in found.endpoints] == ["todos/rename"]


def test_nothing_is_written_into_the_project(tmp_path: Path) -> None:
    imported(tmp_path, "import live.todos\n")
    assert not list(tmp_path.rglob("__pycache__"))
