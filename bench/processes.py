"""Start servers for a measurement, pinned to a core, and end them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT = 30.0
STOP_TIMEOUT = 5.0


def environment_of_children(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of what is started: ours can be imported, and compiled modules are kept.

    A server whose modules were compiled anew at each start would be measured with a compiler in front of it.
    """
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "", **(more or {})}


def cores() -> tuple[int | None, int | None]:
    """Return the cores for the server and for the generator; None where pinning is not possible."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)


def pin_to(core: int | None) -> Callable[[], None] | None:
    """Return what a child process runs before its program in order to stay on the given core."""
    return None if core is None else lambda: os.sched_setaffinity(0, {core})


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once somebody listens on the port; raise when the process ended or the time is over."""
    end = time.monotonic() + START_TIMEOUT
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it listened")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    raise RuntimeError(f"nobody listens on port {port} after {START_TIMEOUT} s")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process group that `start` began."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT)
            return


def start(
    command: Sequence[str],
    *,
    core: int | None = None,
    directory: Path = ROOT,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own; `BENCH_VERBOSE=1` shows what it says."""
    return subprocess.Popen(
        list(command),
        cwd=directory,
        env=environment_of_children(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=None if os.environ.get("BENCH_VERBOSE") else subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=pin_to(core),
    )


@contextlib.contextmanager
def serving(
    command: Sequence[str],
    port: int,
    *,
    core: int | None = None,
    directory: Path = ROOT,
    environment: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Run a server for the length of the block; yield its process id once it listens."""
    process = start(command, core=core, directory=directory, environment=environment)
    try:
        wait_for_port(port, process)
        yield process.pid
    finally:
        stop(process)
