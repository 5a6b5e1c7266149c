"""The program as a subprocess."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT = 60
PROGRAM = (sys.executable, "-m", "realtime_cli")
# Whoever made the first commit of a test is nobody; no settings of this machine's git count.
GIT_IDENTITY = {
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.com",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


@dataclass(frozen=True)
class Ended:
    """How a run of the program ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


def environment(changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """The environment of a child: ours without what colours output, with `changes`; `None` removes a variable."""
    made = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "NO_COLOR")} | GIT_IDENTITY
    made["REALTIME_CHECK__ON_START"] = (
        "false"  # another process beside each server, which few tests are about
    )
    for name, value in (changes or {}).items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = value
    return made


def realtime(
    *arguments: str | Path,
    cwd: Path,
    env: Mapping[str, str | None] | None = None,
    stdin: str = "",
    program: tuple[str, ...] = PROGRAM,
) -> Ended:
    """Run the program to its end."""
    done = subprocess.run(
        [*program, *map(str, arguments)],
        cwd=cwd,
        env=environment(env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def serving(
    project: Path,
    *arguments: str | Path,
    command: str = "serve",
    program: tuple[str, ...] = PROGRAM,
    where: tuple[str, ...] = ("--host", "127.0.0.1", "--port", "0"),
    stdout: Any = subprocess.DEVNULL,
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `realtime serve` on a free port while the block runs; gives the process and the address."""
    child = subprocess.Popen(
        [*program, command, *where, *map(str, arguments)],
        cwd=project,
        env=environment(),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield child, address_of(child)
    finally:
        if child.poll() is None:
            child.terminate()
        try:
            child.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise


def address_of(child: subprocess.Popen[str]) -> str:
    """Read what a starting server says until it names its address."""
    assert child.stderr is not None
    said = []
    for line in child.stderr:
        said.append(line)
        if "Listening on " in line:
            return line.partition("Listening on ")[2].split()[0]
    raise AssertionError(f"the server ended with {child.wait()}:\n{''.join(said)}")
