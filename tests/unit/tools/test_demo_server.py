"""`make dev` in a real terminal: Ctrl-C ends it at once and make reports no error."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import demo_server

SERVER = """
import os, signal
def stop(number, frame):
    # No print: the signal may come while the one below is still being written.
    os.write(1, b"stopping\\n")
    os._exit(130 if number == signal.SIGINT else 143)
signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
os.write(1, b"serving\\n")
while True:
    signal.pause()
"""
RUN = "import sys, pathlib, tools.demo_server as d; sys.exit(d.as_asked(d.run(sys.argv[1:], pathlib.Path())))"
DEADLINE = 20.0


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)


def read_until(master: int, text: str) -> str:
    seen = ""
    end = time.monotonic() + DEADLINE
    while text not in seen and time.monotonic() < end:
        if select.select([master], [], [], 0.1)[0]:
            try:
                seen += os.read(master, 4096).decode()
            except OSError:
                break
    assert text in seen, seen
    return seen


def start(tmp_path: Path, slave: int) -> subprocess.Popen[bytes]:
    (tmp_path / "server.py").write_text(SERVER)
    makefile = f'dev:\n\t@exec {sys.executable} -c "{RUN}" {sys.executable} {tmp_path / "server.py"}\n'
    (tmp_path / "Makefile").write_text(makefile)
    environment = {**os.environ, "PYTHONPATH": str(demo_server.ROOT), "LC_ALL": "C"}

    def take_terminal() -> None:
        os.setsid()
        os.close(os.open(os.ttyname(slave), os.O_RDWR))

    process = subprocess.Popen(
        ["make", "dev"],
        cwd=tmp_path,
        env=environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        preexec_fn=take_terminal,
    )
    os.close(slave)
    return process


def test_ctrl_c_ends_make_dev_without_an_error(tmp_path: Path, terminal: tuple[int, int]) -> None:
    master, slave = terminal
    process = start(tmp_path, slave)
    read_until(master, "serving")
    os.write(master, b"\x03")
    seen = read_until(master, "stopping")
    process.wait(DEADLINE)
    while select.select([master], [], [], 0.1)[0]:
        try:
            seen += os.read(master, 4096).decode()
        except OSError:
            break
    assert "***" not in seen
    assert "Error" not in seen
    assert "Traceback" not in seen


def test_terminate_reaches_the_server(tmp_path: Path, terminal: tuple[int, int]) -> None:
    master, slave = terminal
    process = start(tmp_path, slave)
    read_until(master, "serving")
    process.send_signal(signal.SIGTERM)
    read_until(master, "stopping")
    process.wait(DEADLINE)


def test_failure_of_the_server_is_passed_on(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, sys.executable, "-c", "raise SystemExit(3)"]
    environment = {**os.environ, "PYTHONPATH": str(demo_server.ROOT)}
    assert (
        subprocess.run(command, cwd=tmp_path, env=environment, check=False, timeout=DEADLINE).returncode == 3
    )
