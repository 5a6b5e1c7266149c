"""Other ASGI servers than ours, as processes: each is started through its own command line and serves one project."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import websockets

from tests.server.peers import write_file

SERVERS = ("uvicorn", "hypercorn", "granian")
START_TIMEOUT = 30.0
STOP_TIMEOUT = 15.0
MAX_PAYLOAD = 20_000
MAX_BACKPRESSURE = 64 * 1024

MAIN = """
    from pathlib import Path

    from runtime import create_app


    def build():
        return create_app(Path(__file__).parent)
"""

SETTINGS = f"""
    [server]
    env = "test"
    shutdown_timeout = 1

    [websocket]
    max_payload_length = {MAX_PAYLOAD}
    max_backpressure = {MAX_BACKPRESSURE}
    text_keepalive = 1
    upgrade_rate_limit = 0
"""

HOOKS = """
    from pathlib import Path

    from live.a import left, present

    HERE = Path(__file__).parent

    def init(): (HERE / "started").touch()
    def shutdown(): (HERE / "stopped").touch()
    def authenticate(): return None
    def upgrade(query):
        if query == "crash": raise RuntimeError("password=hunter2")
        return query != "nobody" and {"id": "u1"}
    def open(ws): present.add(ws)
    def close(ws, code):
        present.remove(ws)
        left.append(code)
"""

LIVE = """
    from runtime import live

    left, present = [], set()

    @live
    async def echo(ctx, value=None): return value

    @live
    async def measure(ctx, text: str): return len(text)

    @live
    async def publish(ctx, topic: str, value): ctx.platform.publish(topic, "made", value)

    @live
    async def flood(ctx, topic: str, size: int, count: int):
        for _ in range(count): ctx.platform.publish(topic, "data", "x" * size)

    @live
    async def backlog(ctx):
        return [sum(one.dropped for one in present), max(one.buffered_amount for one in present)]

    @live
    async def corked(ctx):
        with ctx.ws.cork():
            for number in range(3): ctx.ws.send(f'{{"number":{number}}}')

    @live
    async def ping(ctx): ctx.ws.ping(b"there?")

    @live
    async def terminate(ctx): ctx.ws.terminate()

    @live
    async def close(ctx, code: int): await ctx.ws.close(code, "enough")

    @live
    async def gone(ctx): return left
"""


@dataclass(frozen=True)
class Foreign:
    """A server process and where it listens."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    project: Path

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self, query: str = "", **options: Any) -> Any:
        options.setdefault("origin", self.http)
        return websockets.connect(f"ws://127.0.0.1:{self.port}/ws?{query}", compression=None, **options)

    def stop(self) -> int:
        """Ask the process to end like a service manager, and return how it did."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT)


@contextlib.contextmanager
def foreign_server(name: str, project: Path, *flags: str, toml: str = SETTINGS) -> Iterator[Foreign]:
    """Serve a project made in `project` under the server `name`, with `flags` of its own, until the block ends."""
    for file, source in {
        "main.py": MAIN,
        "realtime.toml": toml,
        "hooks.py": HOOKS,
        "live/a.py": LIVE,
    }.items():
        write_file(project, file, source)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = project / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *_command(name, port), *flags], cwd=project, stdout=output, stderr=output
        )
        try:
            _wait_until_open(process, port, log)
            yield Foreign(name, process, port, project)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_TIMEOUT)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _command(name: str, port: int) -> list[str]:
    if name == "uvicorn":
        return ["uvicorn", "main:build", "--factory", "--port", str(port), "--ws", "websockets-sansio"]
    if name == "hypercorn":
        return ["hypercorn", "main:build()", "--bind", f"127.0.0.1:{port}"]
    return ["granian", "main:build", "--factory", "--interface", "asgi", "--port", str(port)]


def _wait_until_open(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the port takes connections; a process that ends before says in its log why."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), 1):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            break
    raise AssertionError(f"the server does not listen:\n{log.read_text()}")
