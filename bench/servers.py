"""The servers of the load cases: ours and its peers, as commands that take a port."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

APP = Path(__file__).resolve().parent / "app"


def ours(port: int) -> list[str]:
    """Return the command that serves `bench/app` in production mode."""
    return [sys.executable, "-m", "realtime_cli", "serve", "--project", str(APP), "--port", str(port)]


def bare_websockets(port: int) -> list[str]:
    """Return the command of a bare websockets server."""
    return [sys.executable, "-m", "bench.peers.websockets_server", "--port", str(port)]


def starlette(port: int) -> list[str]:
    """Return the command of a plain Starlette application on uvicorn."""
    options = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--no-access-log"]
    return [sys.executable, "-m", "uvicorn", "bench.peers.starlette_app:app", *options]


SERVERS: dict[str, Callable[[int], list[str]]] = {
    "ours": ours,
    "websockets": bare_websockets,
    "starlette": starlette,
}
