"""Servers that stay for the rounds of one case: each runs only while it is measured.

Starting a server anew for each figure would double the time of a run. Between its turns a server is halted
(SIGSTOP), so that one that polls when it is idle takes nothing from the one that is measured.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.case import CannotMeasure
from bench.processes import cores, free_port, start, stop, wait_for_port
from bench.servers import SERVERS, Server
from bench.usage import cpu_seconds

CALM_SHARE = 0.2  # of a core, below which a server counts as having finished what it was doing
CALM_STEP = 0.05
CALM_LIMIT = 0.5


@dataclass(frozen=True, slots=True)
class Running:
    """A server that takes connections: its port and its process group."""

    server: Server
    port: int
    group: int


class Pool:
    """Started servers by name; a `with` block ends them."""

    def __init__(self, servers: Callable[[str], Server] = SERVERS.__getitem__) -> None:
        self._find = servers
        self._running: dict[str, tuple[Running, subprocess.Popen[bytes]]] = {}

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._running):
            self._end(name)

    @contextlib.contextmanager
    def running(self, name: str) -> Iterator[Running]:
        """Let the server run for the length of the block; it is ended when the block raises."""
        if name not in self._running:
            self._running[name] = self._start(name)
        running, _ = self._running[name]
        os.killpg(running.group, signal.SIGCONT)
        try:
            yield running
            _wait_until_calm(running.group)
        except BaseException:
            self._end(name)
            raise
        os.killpg(running.group, signal.SIGSTOP)

    @contextlib.contextmanager
    def fresh(self, name: str) -> Iterator[Running]:
        """Start a server of its own for the length of the block."""
        running, process = self._start(name)
        try:
            yield running
        finally:
            stop(process)

    def _start(self, name: str) -> tuple[Running, subprocess.Popen[bytes]]:
        server, port = self._find(name), free_port()
        command = server.command(port)
        process = start(command.arguments, core=cores()[0], environment=command.environment)
        try:
            wait_for_port(port, process)
        except BaseException:
            stop(process)
            raise
        return Running(server, port, process.pid), process

    def _end(self, name: str) -> None:
        running, process = self._running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.group, signal.SIGCONT)
        stop(process)


def _wait_until_calm(group: int) -> None:
    """Wait until the server has taken note that the clients are gone, at most `CALM_LIMIT` seconds."""
    end = time.monotonic() + CALM_LIMIT
    while time.monotonic() < end:
        try:
            before = cpu_seconds(group)
            time.sleep(CALM_STEP)
            if cpu_seconds(group) - before < CALM_SHARE * CALM_STEP:
                return
        except CannotMeasure:
            time.sleep(CALM_STEP)
