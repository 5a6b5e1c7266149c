"""`realtime dev` in a terminal: the debugger, the status line, questions, Ctrl-C from the keyboard."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.dev_process import PATIENCE, make_project, rpc, save

STOPS = """
import pdb
from runtime import live

@live.public
@live
async def stops(ctx, answer: int):
    breakpoint()
    return answer

@live.public
@live
async def stops_by_hand(ctx, answer: int):
    pdb.Pdb(nosigint=True).set_trace()
    return answer

@live.public
@live
async def talks(ctx):
    print("said by the app")
"""


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *command: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        environ = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
        self.popen = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**environ, "TERM": "xterm-256color"},
        )
        os.close(slave)
        self.text = ""

    def wait(self, pattern: str) -> re.Match[str]:
        """Read until the output holds `pattern`; what was matched, and all before it, is used up."""
        deadline = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.text)) is None:
            assert time.monotonic() < deadline, f"no {pattern} in {self.text!r}"
            ready, _, _ = select.select([self.master], [], [], 0.5)
            if ready:
                try:
                    self.text += os.read(self.master, 65536).decode(errors="replace")
                except OSError:
                    pytest.fail(f"no {pattern} before the end of {self.text!r}")
        self.text = self.text[found.end() :]
        return found

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    def wait_end(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            ended = self.popen.poll() is not None  # asked before what is left is read
            ready, _, _ = select.select([self.master], [], [], 0 if ended else 0.05)
            if ready:
                try:
                    self.text += os.read(self.master, 65536).decode(errors="replace")
                    continue
                except OSError:  # nobody has the other end any more
                    break
            if ended:
                break
        self.popen.wait(max(0.1, deadline - time.monotonic()))
        assert self.popen.returncode is not None, self.text
        return self.popen.returncode

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        os.close(self.master)


@contextlib.contextmanager
def terminal(project: Path, *arguments: str) -> Iterator[Terminal]:
    made = Terminal(sys.executable, "-m", "realtime_cli", "dev", "--project", str(project), *arguments)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path, {"live/debug.py": STOPS})


async def port_of(running: Terminal) -> int:
    found = await asyncio.to_thread(running.wait, r"http://localhost:(\d+)")
    return int(found[1])


async def test_a_breakpoint_talks_to_the_terminal_and_the_call_goes_on(project: Path) -> None:
    with terminal(project, "--port", "0") as dev:
        port = await port_of(dev)
        async with rpc(port) as client:
            await asyncio.to_thread(dev.wait, r"1 connection · 0 topics")
            for edit in range(2):  # again behind a reload
                await client.socket.send(json.dumps({"rpc": "debug/stops", "id": f"d{edit}", "args": [41]}))
                await asyncio.to_thread(dev.wait, r"-> return answer")
                await asyncio.to_thread(dev.wait, r"\(Pdb\) ")
                dev.type("p answer + 1\n")
                await asyncio.to_thread(dev.wait, r"\n42\r\n")
                dev.type("answer = 7\n")
                await asyncio.to_thread(dev.wait, r"\(Pdb\) ")
                dev.type("c\n")
                reply = await client.frame(lambda frame, edit=edit: frame.get("event") == f"d{edit}")
                assert reply["data"]["data"] == 7
                save(project / "live/debug.py", STOPS + f"# {edit}\n")
                await asyncio.to_thread(dev.wait, r"reload .*live/debug\.py in \d+ ms")
        dev.type("\x03")
        assert await asyncio.to_thread(dev.wait_end) == 0


async def test_ctrl_c_in_the_debugger_ends_all_and_leaves_the_terminal_as_it_was(project: Path) -> None:
    with terminal(project, "--port", "0") as dev:
        port = await port_of(dev)
        assert dev.echoes()
        async with rpc(port) as client:
            await client.socket.send(json.dumps({"rpc": "debug/stops", "id": "d", "args": [1]}))
            await asyncio.to_thread(dev.wait, r"\(Pdb\) ")
            dev.type("\x03")
            assert await asyncio.to_thread(dev.wait_end) == 0
        assert dev.echoes()


@pytest.mark.parametrize("path", ["debug/stops", "debug/stops_by_hand"])
async def test_the_debugger_of_a_replaced_worker_keeps_the_terminal(project: Path, path: str) -> None:
    with terminal(project, "--port", "0") as dev:
        port = await port_of(dev)
        async with rpc(port) as client:
            await client.socket.send(json.dumps({"rpc": path, "id": "d", "args": [1]}))
            await asyncio.to_thread(dev.wait, r"\(Pdb\) ")
            save(project / "hooks.py", "async def upgrade():\n    return {'name': 'new'}\n")
            async with rpc(port) as other:  # waits until the new worker accepts
                await other.until("todos/hello", "one")
            dev.type("p 'mine'\n")
            found = await asyncio.to_thread(dev.wait, r"(?s)^(.*)'mine'\r\n\(Pdb\) ")
            if path == "debug/stops":  # nobody else knows of the other before it has to answer
                assert found[1] == "p 'mine'\r\n"
            dev.type("c\n")
            if path == "debug/stops":
                await asyncio.to_thread(dev.wait, r"hooks\.py changed, starting a new worker")
            reply = await client.frame(lambda frame: frame.get("event") == "d")
            assert reply["data"]["data"] == 1
            assert await client.closed() == (1012, "Handler reloaded")


async def test_the_status_line_is_erased_before_anything_is_printed(project: Path) -> None:
    with terminal(project, "--port", "0") as dev:
        port = await port_of(dev)
        async with rpc(port) as client:
            await asyncio.to_thread(dev.wait, r"1 connection · 0 topics · [\d.]+ calls/s")
            await client.call("debug/talks")
            found = await asyncio.to_thread(dev.wait, r"(?s)^(.*?)said by the app\r\n(.*?)rpc .*debug/talks")
            assert found[1].endswith("\r\x1b[2K")
            await asyncio.to_thread(dev.wait, r"\n[^\n]*1 connection · 0 topics")
        dev.type("\x03")
        await asyncio.to_thread(dev.wait_end)
        assert "calls/s" not in dev.text.rpartition("\r\x1b[2K")[2]


async def test_a_taken_port_is_asked_about(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken = listening.getsockname()[1]
        with terminal(project, "--port", str(taken)) as dev:
            found = await asyncio.to_thread(
                dev.wait, rf"port {taken} .* in use[^\n]*\r\n.*Use port (\d+) instead\?"
            )
            dev.type("\n")
            port = await port_of(dev)
            assert port == int(found[1])
            async with rpc(port) as client:
                assert (await client.call("todos/hello"))["data"] == "one"
            dev.type("\x03")
            assert await asyncio.to_thread(dev.wait_end) == 0
        with terminal(project, "--port", str(taken)) as dev:
            await asyncio.to_thread(dev.wait, r"instead\?")
            dev.type("n\n")
            assert await asyncio.to_thread(dev.wait_end) == 3
