"""Real Redis and Postgres servers for tests, each in a temporary folder and on a port of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.system_tools import POSTGRES, REDIS, Tool, advice

__all__ = ["PASSWORD", "Backend", "free_port", "postgres_server", "redis_server", "sentinel"]

PASSWORD = "n0t-to-be-shown"
START_LIMIT = 60.0


@dataclass(frozen=True)
class Backend:
    """A running server: its port, and the address that settings name it by."""

    port: int
    url: str


def program(tool: Tool) -> Path:
    found = tool.find()
    assert found is not None, advice([tool])
    return Path(found)


PORTS = 65_536
CLUSTER_PORTS = PORTS - 10_000
"""A node of a Redis cluster listens on the port 10,000 above its own as well."""


def free_port(below: int = PORTS) -> int:
    """Return a port under `below` that nothing listens on."""
    with contextlib.ExitStack() as held:
        while True:
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            if port < below:
                return port


def account() -> str | None:
    """Postgres refuses to run as root: its own account, where we are that."""
    return "postgres" if os.geteuid() == 0 else None


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="realtime-backend-"))
    try:
        user = account()
        if user is not None:
            shutil.chown(made, user)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def running(command: Sequence[str], port: int, where: Path, user: str | None = None) -> Iterator[None]:
    log = where / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=where, user=user)
    try:
        deadline = time.monotonic() + START_LIMIT
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                break
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.05)  # real time: another process starts
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[Backend]:
    """Run a Redis with a password and no persistence; `options` are words of its command line."""
    port = free_port(CLUSTER_PORTS if "--cluster-enabled" in options else PORTS)
    settings = ["--port", str(port), "--bind", "127.0.0.1", "--requirepass", PASSWORD]
    settings += ["--save", "", "--appendonly", "no", *options]
    with folder() as where, running([str(program(REDIS)), *settings, "--dir", str(where)], port, where):
        yield Backend(port, f"redis://:{PASSWORD}@127.0.0.1:{port}/0")


@contextlib.contextmanager
def sentinel(master: Backend, name: str) -> Iterator[Backend]:
    """Run a sentinel that watches `master` under a name."""
    port = free_port()
    with folder() as where:
        config = where / "sentinel.conf"
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {where}",
            f"sentinel monitor {name} 127.0.0.1 {master.port} 1",
            f"sentinel auth-pass {name} {PASSWORD}",
        ]
        config.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        with running([str(program(REDIS)), str(config), "--sentinel"], port, where):
            yield Backend(port, f"redis+sentinel://127.0.0.1:{port}/{name}")


@contextlib.contextmanager
def postgres_server(*options: str) -> Iterator[Backend]:
    """Run a Postgres whose user `app` has a password; `options` are words of its command line, such as `-c`."""
    port, user = free_port(), account()
    postgres = program(POSTGRES).resolve()  # initdb lies beside it
    with folder() as where:
        secret, data = where / "secret", where / "data"
        secret.write_text(PASSWORD, encoding="utf-8")
        if user is not None:
            shutil.chown(secret, user)
        init = [str(postgres.parent / "initdb"), "-D", str(data), "-U", "app", "-A", "scram-sha-256"]
        init += ["--pwfile", str(secret), "--no-sync", "-E", "UTF8", "--locale", "C"]
        subprocess.run(init, check=True, capture_output=True, cwd=where, user=user, timeout=START_LIMIT)
        command = [str(postgres), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(where)]
        command += ["-c", "fsync=off", *options]
        with running(command, port, where, user):
            yield Backend(port, f"postgresql://app:{PASSWORD}@127.0.0.1:{port}/postgres")
