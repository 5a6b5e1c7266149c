"""Which uvicorn is known, and the WebSocket protocol class that serves under it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from runtime.server.assembly import StartupError
from runtime.server.uvicornlink.doorway import Doorway
from runtime.server.uvicornlink.linked import LinkedProtocol

if TYPE_CHECKING:
    from runtime.server.assembly import Runtime

__all__ = ["WritePath", "contract_problem", "websocket_protocol"]

# The releases of uvicorn whose insides are those that this module assumes; pyproject.toml has the same range.
KNOWN_UVICORN = ((0, 50), (0, 60))
ASSUMED = (
    "connection_lost",
    "data_received",
    "handle_close",
    "handle_connect",
    "handle_cont",
    "handle_events",
    "handle_parser_exception",
    "keepalive_timeout",
    "on_task_complete",
    "run_asgi",
    "send",
    "send_receive_event_to_app",
    "shutdown",
    "stop_keepalive",
)
ASSUMED_STATE = (
    "app",
    "asgi_version",
    "close_sent",
    "conn",
    "connections",
    "curr_msg_data_type",
    "default_headers",
    "disconnected",
    "frames",
    "handshake_complete",
    "handshake_initiated",
    "loaded_app",
    "queue",
    "root_path",
    "tasks",
    "transport",
)


@dataclass(frozen=True, slots=True)
class WritePath:
    """How WebSocket frames are written under this uvicorn: `problem` says why only over ASGI."""

    protocol: type[asyncio.Protocol]
    problem: str | None = None


def websocket_protocol(runtime: Runtime) -> WritePath:
    """Return the protocol class for this runtime: ours, or uvicorn's own where its insides are not those we know.

    Raises:
        StartupError: `[websocket] fast_path = "on"` and it cannot be had.
    """
    websocket = runtime.settings.websocket
    problem = contract_problem()
    if problem is None:
        own = {
            "clock": runtime.clock,
            "compresses": websocket.compression,
            "metrics": runtime.metrics,
        }
        linked = type("LinkedProtocol", (LinkedProtocol,), own)
        if websocket.fast_path == "off":
            return WritePath(linked)
        return WritePath(type("Doorway", (Doorway,), {"linked": linked}))
    if websocket.fast_path == "on":
        raise StartupError(
            f'[websocket] fast_path = "on" cannot be had: {problem}; install a uvicorn that realtime-toolkit names, '
            'or set it to "auto"'
        )
    return WritePath(WebSocketsSansIOProtocol, problem)


def contract_problem() -> str | None:
    """Return what of uvicorn's insides is not as this module assumes, or `None`."""
    version = tuple(int(part) for part in re.findall(r"\d+", uvicorn.__version__)[:2])
    if not KNOWN_UVICORN[0] <= version < KNOWN_UVICORN[1]:
        lowest, highest = (".".join(map(str, bound)) for bound in KNOWN_UVICORN)
        return f"uvicorn {uvicorn.__version__} is not known, only {lowest} and later below {highest}"
    theirs = vars(WebSocketsSansIOProtocol)
    missing = sorted(name for name in ASSUMED if name not in theirs)
    if missing:
        return f"uvicorn {uvicorn.__version__} lacks {', '.join(missing)} in its WebSocket protocol"
    made = theirs["__init__"].__code__.co_names
    unset = sorted(name for name in ASSUMED_STATE if name not in made)
    if unset:
        return f"uvicorn {uvicorn.__version__} does not keep {', '.join(unset)} in its WebSocket protocol"
    return None
