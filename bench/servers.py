"""The servers of the load cases: ours and its peers, as commands that take a port."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.case import CannotMeasure

APP = Path(__file__).resolve().parent / "app"
PEER_SCRIPTS = Path(__file__).resolve().parent / "peers"
PEERS = Path(__file__).resolve().parent / ".venv-peers"
PEER_PYTHON = PEERS / "bin" / "python"
NODE_MODULES = PEERS / "node" / "node_modules"
SET_UP = "python -m bench.peersetup"
UVICORN_OPTIONS = ("--host", "127.0.0.1", "--log-level", "error", "--no-access-log")


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments and what it needs in its environment."""

    arguments: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the frames of a server differ from ours: options for the generator."""

    path: str = "/ws"
    subscribe: tuple[str, ...] = ('{"type":"subscribe","topic":"bench","ref":1}',)
    call: str = '{{"rpc":"bench/{name}","id":"{number}","args":[{arguments}]}}'
    options: tuple[str, ...] = ()


SOCKET_IO = Dialect(
    path="/socket.io/?EIO=4&transport=websocket",
    subscribe=("40", '42["subscribe","bench"]'),
    call='42["{name}",{{"rpc":"bench/{name}","id":"{number}","args":[{arguments}]}}]',
    options=("--prefix", '42["tick",', "--suffix", "]"),
)


@dataclass(frozen=True, slots=True)
class Server:
    """A server: what it is in words, the command that starts it, the frames it speaks."""

    title: str
    command: Callable[[int], Command]
    dialect: Dialect = Dialect()


@functools.cache
def has_module(module: str) -> bool:
    """Return whether the peers' environment has a Python module."""
    if not PEER_PYTHON.exists():
        return False
    done = subprocess.run([str(PEER_PYTHON), "-c", f"import {module}"], capture_output=True, check=False)
    return done.returncode == 0


def _peer_python(module: str) -> str:
    if not has_module(module):
        raise CannotMeasure(f"{module} is not installed for the peers: {SET_UP}")
    return str(PEER_PYTHON)


def ours(port: int) -> Command:
    """Return the command that serves `bench/app` in production mode."""
    arguments = ["serve", "--project", str(APP), "--port", str(port)]
    return Command([sys.executable, "-m", "realtime_cli", *arguments])


def bare_websockets(port: int) -> Command:
    """Return the command of a bare websockets server."""
    return Command([sys.executable, "-m", "bench.peers.websockets_server", "--port", str(port)])


def starlette(port: int) -> Command:
    """Return the command of a plain Starlette application on uvicorn."""
    application = "bench.peers.starlette_app:app"
    return Command([sys.executable, "-m", "uvicorn", application, "--port", str(port), *UVICORN_OPTIONS])


def socketio(port: int) -> Command:
    """Return the command of a python-socketio application on uvicorn."""
    python = _peer_python("socketio")
    application = "bench.peers.socketio_app:app"
    return Command([python, "-m", "uvicorn", application, "--port", str(port), *UVICORN_OPTIONS])


def _of_module(module: str, script: str) -> Callable[[int], Command]:
    def command(port: int) -> Command:
        return Command([_peer_python(module), "-m", f"bench.peers.{script}", "--port", str(port)])

    return command


def node_ws(port: int) -> Command:
    """Return the command of the ws package on Node.js."""
    node = shutil.which("node")
    if node is None:
        raise CannotMeasure("Node.js is not installed")
    if not (NODE_MODULES / "ws").exists():
        raise CannotMeasure(f"ws is not installed for the peers: {SET_UP}")
    script = str(PEER_SCRIPTS / "ws_server.cjs")
    return Command([node, script, str(port)], {"NODE_PATH": str(NODE_MODULES)})


def bun_program() -> str | None:
    """Return the program of Bun, None where it is not installed."""
    local = NODE_MODULES / ".bin" / "bun"
    return str(local) if local.exists() else shutil.which("bun")


def bun(port: int) -> Command:
    """Return the command of Bun's own server."""
    program = bun_program()
    if program is None:
        raise CannotMeasure(f"bun is not installed for the peers: {SET_UP}")
    return Command([program, str(PEER_SCRIPTS / "bun_server.cjs"), str(port)])


SERVERS: dict[str, Server] = {
    "ours": Server("Realtime Toolkit, `realtime serve`", ours),
    "websockets": Server("websockets on uvloop", bare_websockets),
    "starlette": Server("Starlette on uvicorn and uvloop", starlette),
    "socketio": Server("python-socketio on uvicorn and uvloop", socketio, SOCKET_IO),
    "picows": Server("picows on uvloop", _of_module("picows", "picows_server")),
    "aiohttp": Server("aiohttp on uvloop", _of_module("aiohttp", "aiohttp_server")),
    "socketify": Server("uWebSockets through socketify", _of_module("socketify", "socketify_server")),
    "ws": Server("ws on Node.js", node_ws),
    "bun": Server("Bun's own server (uWebSockets inside)", bun),
}

#: What a contestant that is no server of its own is: ours under another load.
VARIANTS: Mapping[str, str] = {
    "ours-batch": "ours, peers that announce `batch`",
    "ours-single": "ours, one publish per turn",
    "ours-def": "ours, the handler a plain `def`",
    "ours-http": "ours, the body of a request",
    "ours-bare": "ours, the handler without wrappers",
    "ours-plain": "ours, the stream without its transform",
    "ours-at-once": "ours, published at every event",
    "ours-uncounted": "ours, the same publishes without an aggregate",
    "ours-own": "ours, a load for each subscriber",
    "ast.parse": "the interpreter reads and parses the same files",
}


def title_of(contestant: str) -> str:
    """Return a contestant in words."""
    if contestant in SERVERS:
        return SERVERS[contestant].title
    return VARIANTS.get(contestant, contestant)
