"""How a peer's process begins: its port from the command line, uvloop where it is installed."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Run = Callable[[Coroutine[Any, Any, None]], None]


def port_and_loop() -> tuple[int, Run]:
    """Return the port to listen on and what runs the main coroutine."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = int(parser.parse_args().port)
    try:
        import uvloop
    except ImportError:
        return port, asyncio.run
    return port, uvloop.run
