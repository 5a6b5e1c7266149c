"""`realtime dev` as a subprocess, with its output, its port, and connections to it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

PATIENCE = 60.0
"""Seconds that a test waits for something that takes milliseconds on an idle machine."""

TODOS = """
from runtime import live

@live.public
@live
async def hello(ctx):
    return "one"
"""

_numbers = itertools.count()


def save(path: Path, text: str) -> None:
    """Save as editors do: a temporary file beside it, then a rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{next(_numbers)}.tmp")
    beside.write_text(text)
    beside.replace(path)


def make_project(folder: Path, files: dict[str, str] | None = None) -> Path:
    """Make a small project: one live module, one page, one style sheet; `files` are added or replace."""
    project = folder.resolve() / "app"
    standard = {
        "realtime.toml": "[server]\nallowed_hosts = ['localhost', '127.0.0.1']\n[dev]\ntypes = false\ncheck = false\n",
        "live/todos.py": TODOS,
        "web/index.html": "<!doctype html><title>t</title><h1>page one</h1>",
        "web/style.css": "h1 { color: red }",
    }
    for name, text in {**standard, **(files or {})}.items():
        save(project / name, text)
    return project


class DevProcess:
    """A running `realtime dev`; reads its output all the time."""

    def __init__(self, project: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.project = project
        self.lines: list[str] = []
        self.log: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "COVERAGE", "PYTEST"))}
        self.popen = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "realtime_cli",
                "dev",
                "--json-log",
                "--project",
                str(project),
                *arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**environ, **(env or {})},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                with contextlib.suppress(ValueError):
                    entry = json.loads(line)
                    if isinstance(entry, dict) and "event" in entry:
                        self.log.append(entry)
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def mark(self) -> int:
        """Return a place in the log; `wait_event` can look behind it only."""
        return len(self.log)

    def events(self, name: str, since: int = 0) -> list[dict[str, Any]]:
        return [entry for entry in self.log[since:] if entry["event"] == name]

    def wait_event(self, name: str, since: int = 0, **fields: Any) -> dict[str, Any]:
        """Wait for a line of the log with this event and these fields."""

        def find() -> dict[str, Any] | None:
            for entry in self.events(name, since):
                if all(entry.get(key) == value for key, value in fields.items()):
                    return entry
            return None

        return self.wait(find, f"event {name} {fields}")

    def wait_text(self, text: str) -> None:
        self.wait(lambda: text in self.output, f"text {text!r}")

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while not (found := condition()):
                if time.monotonic() > deadline or (
                    self.popen.poll() is not None and not self._reader.is_alive()
                ):
                    raise AssertionError(f"no {what} in:\n" + "\n".join(self.lines[-40:]))
                self._changed.wait(timeout=0.5)
            return found

    @property
    def port(self) -> int:
        return int(self.wait_event("listening")["port"])

    def signal(self, number: int = signal.SIGINT) -> None:
        self.popen.send_signal(number)

    def wait_end(self) -> int:
        code = self.popen.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        return code

    def stop(self) -> None:
        """End whatever still runs of it; for the end of a test."""
        if self.popen.poll() is None:
            self.signal()
            try:
                self.popen.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        self._reader.join(timeout=PATIENCE)
        if self.popen.stdout is not None and not self._reader.is_alive():
            self.popen.stdout.close()


class Rpc:
    """A raw connection that calls functions and keeps every other frame."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.frames: list[dict[str, Any]] = []
        self._ids = itertools.count()

    async def call(self, path: str, *args: Any) -> Any:
        """Call and return the reply: `{"ok": ..., "data": ...}`."""
        number = f"c{next(self._ids)}"
        await self.socket.send(json.dumps({"rpc": path, "id": number, "args": list(args)}))
        async with asyncio.timeout(PATIENCE):
            while True:
                frame = json.loads(await self.socket.recv())
                if frame.get("topic") == "__rpc" and frame["event"] == number:
                    return frame["data"]
                self.frames.append(frame)

    async def closed(self) -> tuple[int, str]:
        """Wait until the server closes the connection; return its code and reason."""
        async with asyncio.timeout(PATIENCE):
            await self.socket.wait_closed()
        return self.socket.close_code or 0, self.socket.close_reason or ""

    async def frame(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a frame, old ones included."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for number, frame in enumerate(self.frames):
                    if wanted(frame):
                        return self.frames.pop(number)
                self.frames.append(json.loads(await self.socket.recv()))

    async def until(self, path: str, expected: Any, *args: Any) -> None:
        """Call until the reply carries `expected`."""
        async with asyncio.timeout(PATIENCE):
            while (await self.call(path, *args)).get("data") != expected:
                await breathe()


async def breathe() -> None:
    """Leave the machine to the server between two looks at it."""
    await asyncio.sleep(0.005)  # real time: another process has to get on


@contextlib.asynccontextmanager
async def rpc(port: int) -> AsyncIterator[Rpc]:
    async with connect(f"ws://127.0.0.1:{port}/ws", origin=f"http://127.0.0.1:{port}") as socket:
        yield Rpc(socket)


class Pages:
    """A connection to the dev channel, as each page has one."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def next(self, kind: str) -> dict[str, Any]:
        """Wait for the next message of a kind, leaving out others."""
        async with asyncio.timeout(PATIENCE):
            while True:
                message = json.loads(await self.socket.recv())
                if message["kind"] == kind:
                    return message


@contextlib.asynccontextmanager
async def dev_channel(port: int) -> AsyncIterator[Pages]:
    async with connect(f"ws://127.0.0.1:{port}/__realtime/dev", origin=f"http://127.0.0.1:{port}") as socket:
        yield Pages(socket)


@contextlib.contextmanager
def running(project: Path, *arguments: str, **options: Any) -> Iterator[DevProcess]:
    """Run `realtime dev` on a free port and wait until it serves."""
    process = DevProcess(project, "--port", "0", *arguments, **options)
    try:
        process.wait_event("listening")
        yield process
    finally:
        process.stop()
