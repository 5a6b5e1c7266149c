"""The wheel holds what it needs: installed outside of the checkout, it makes and serves an app."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.processes import ROOT, free_port, wait_for_port
from bench.sockets import PlainSocket

BUILD_TIMEOUT = 300
RUN_TIMEOUT = 60
# Only what finds packages and programs; nothing that would let the checkout be imported.
KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_CERT",
    "PIP_FIND_LINKS",
)


@dataclass(frozen=True, slots=True)
class Installed:
    """A clean environment with the wheel in it."""

    folder: Path
    program: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        return {**kept, "NO_COLOR": "1", "PYTHONWARNINGS": "error"}

    def run(self, *arguments: str, cwd: Path) -> str:
        done = subprocess.run(
            [str(self.program), *arguments],
            cwd=cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_TIMEOUT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder / "venv", with_pip=True)
    binaries = folder / "venv" / "bin"
    found = Installed(folder, binaries / "realtime")
    done = subprocess.run(
        [
            str(binaries / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            str(wheel),
        ],
        cwd=folder,
        env={**found.environment, "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return found


def test_the_wheel_holds_every_file_that_is_not_python(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    listed = ["git", "-C", str(ROOT), "ls-files", "runtime", "realtime_cli", "scaffolds"]
    tracked = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
    wanted = {f"realtime_cli/{name}" if name.startswith("scaffolds/") else name for name in tracked}
    assert wanted - names == set()
    assert not [
        name for name in names if name.endswith(".pyc") or name.startswith(("tests/", "bench/", "tools/"))
    ]


def test_both_programs_are_installed(installed: Installed) -> None:
    assert installed.run("--version", cwd=installed.folder).startswith("realtime-toolkit 0.5.")
    assert installed.program.with_name("realtime-toolkit").exists()


@pytest.fixture
def served(installed: Installed, tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    installed.run("new", "shop", "--template", "board", "--defaults", cwd=tmp_path)
    port = free_port()
    process = subprocess.Popen(
        [str(installed.program), "dev", "--host", "127.0.0.1", "--port", str(port)],
        cwd=tmp_path / "shop",
        env=installed.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for_port(port, process)
        yield port, process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(RUN_TIMEOUT)


def test_new_and_dev_work_from_the_wheel(served: tuple[int, subprocess.Popen[bytes]]) -> None:
    port, process = served
    for path, text in (
        ("/", "importmap"),
        ("/live/board.js", "./client.js"),
        ("/live/client.js", "export"),
        ("/__realtime/dev.js", "WebSocket"),
    ):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            assert text in answer.read().decode(), path
    with PlainSocket(port) as connection:
        connection.receive_until('"welcome"')
        connection.send('{"rpc":"board/add","id":"1","args":["card-0001","from the wheel"]}')
        assert '"ok":true' in connection.receive_until('"event":"1"')
    process.send_signal(signal.SIGINT)
    assert process.wait(RUN_TIMEOUT) == 0
