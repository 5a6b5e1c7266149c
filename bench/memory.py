"""What one connection, subscription and topic take of a server's memory: `python -m bench.memory`.

Starts servers in production mode, opens connections to them that subscribe, and reads their resident memory. The
figures are the source of `runtime.core.capacity.COSTS`; `--check` compares the capacity calculator with servers at
settings that the figures were not taken from.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.usage import resident_bytes

__all__ = ["Load", "costs", "estimated", "resident"]

HOOKS = """\
from __future__ import annotations


async def upgrade(query: str):
    return {"id": query}


async def subscribe(ws, topic: str):
    return None
"""
SETTINGS = """\
[server]
host = "127.0.0.1"
origin = "http://127.0.0.1"
log_level = "warning"
[websocket]
upgrade_rate_limit = 0
fast_path = "{fast_path}"
compression = {compression}
"""
BATCH = 100  # topics of one subscribe frame
WAVE = 50  # connections that are opened at once
START_LIMIT = 60.0  # seconds
TOLERANCE = 0.3  # by which the calculator may be wrong
SETTLED = 0.5  # seconds without work before the memory is read


@dataclass(frozen=True, slots=True)
class Load:
    """What a server is given: so many connections, each with so many topics, `fanout` of them on one topic."""

    connections: int
    topics_per_connection: int = 0
    fanout: int = 1
    fast_path: str = "auto"
    compression: bool = False


def _write(root: Path, load: Load) -> None:
    root.joinpath("hooks.py").write_text(HOOKS, encoding="utf-8")
    settings = SETTINGS.format(fast_path=load.fast_path, compression=str(load.compression).lower())
    root.joinpath("realtime.toml").write_text(settings, encoding="utf-8")


@contextlib.contextmanager
def _server(load: Load) -> Iterator[tuple[int, int]]:
    """Run a server of its own; give its port and process group."""
    with tempfile.TemporaryDirectory(prefix="realtime-memory-") as folder:
        _write(Path(folder), load)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "realtime_cli", "serve", "--project", folder, "--port", str(port)]
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield port, process.pid
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


async def _open(port: int, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**12)
    writer.write(
        f"GET /ws?user-{number} HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    answer = await reader.readuntil(b"\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 101"):
        raise RuntimeError(f"the server refused connection {number}: {answer[:100]!r}")
    return reader, writer


def _frame(text: str) -> bytes:
    payload = text.encode()
    size = len(payload)
    head = bytes([0x81, 0x80 | size]) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
    return head + b"\0\0\0\0" + payload  # a mask of zeros changes nothing


async def _take(reader: asyncio.StreamReader) -> bytes:
    first, length = await reader.readexactly(2)
    del first
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2), "big")
    elif length == 127:
        length = int.from_bytes(await reader.readexactly(8), "big")
    return await reader.readexactly(length)


async def _client(load: Load, port: int, number: int) -> asyncio.StreamWriter:
    """Open one connection and subscribe to its topics; return when the last answer is there."""
    reader, writer = await _open(port, number)
    group = number // load.fanout
    topics = [f"topic:{group}:{index}" for index in range(load.topics_per_connection)]
    for start in range(0, len(topics), BATCH):
        writer.write(
            _frame(
                json.dumps({"type": "subscribe-batch", "topics": topics[start : start + BATCH], "ref": start})
            )
        )
    if load.compression:  # the answer cannot be read here: it follows the welcome
        await _take(reader)
        await _take(reader)
        return writer
    answered = 0
    while answered < len(topics):
        answered += (await _take(reader)).count(b'"subscribed"')
    return writer


@contextlib.asynccontextmanager
async def _clients(load: Load, port: int, first: int = 0) -> AsyncIterator[None]:
    writers: list[asyncio.StreamWriter] = []
    try:
        for start in range(first, load.connections, WAVE):
            wave = range(start, min(start + WAVE, load.connections))
            writers += await asyncio.gather(*(_client(load, port, number) for number in wave))
        await asyncio.sleep(SETTLED)
        yield
    finally:
        for writer in writers:
            writer.transport.abort()


async def _until_open(port: int) -> None:
    async with asyncio.timeout(START_LIMIT):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)


async def _resident(load: Load, first: int) -> tuple[int, int]:
    with _server(load) as (port, group):
        await _until_open(port)
        async with _clients(replace(load, connections=first), port):
            before = resident_bytes(group)
            async with _clients(load, port, first):
                return before, resident_bytes(group)


def resident(load: Load, first: int = 1) -> tuple[int, int]:
    """Return the resident bytes of a server with the `first` connections of a load, and with all of them.

    Raises:
        CannotMeasure: the system has no `/proc`.
        RuntimeError: the server refused a connection.
    """
    return asyncio.run(_resident(load, first))


def _grown(load: Load, first: int) -> float:
    """Return the bytes for each connection from the first ones on: what lay free in the heap is used up by then."""
    before, after = resident(load, first)
    return (after - before) / (load.connections - first)


def costs() -> dict[str, float]:
    """Measure the items one by one, each against a server that has everything but them."""
    few, many = 500, 3000
    connection = _grown(Load(many), few)
    shared, alone = 200, 200  # topics of each connection
    subscribed = _grown(Load(1500, shared, fanout=1500), 250) - connection
    own = _grown(Load(1000, alone), 250) - connection
    subscription = subscribed / shared
    return {
        "base": resident(Load(1))[0],
        "connection": connection,
        "connection on plain ASGI": _grown(Load(many, fast_path="off"), few),
        "compression": _grown(Load(600, 1, compression=True), 100) - connection,
        "subscription": subscription,
        "topic": own / alone - subscription,
    }


#: Settings that the figures were not taken from.
HELD_AGAINST = (
    Load(200, 1000, fanout=2),
    Load(6000, 20, fanout=100),
    Load(1500, 50, fanout=5, fast_path="off"),
    Load(8000, 2, fanout=8000),
)


def estimated(load: Load) -> float:
    """Return what the capacity calculator says that a worker takes under a load."""
    from realtime_cli.rules.calculator import Load as Asked
    from realtime_cli.rules.calculator import capacity_of
    from realtime_cli.rules.project import Project

    with tempfile.TemporaryDirectory(prefix="realtime-memory-") as folder:
        _write(Path(folder), load)
        project = Project.read(Path(folder), environ={})
        asked = Asked(load.connections, load.topics_per_connection, fanout=load.fanout)
        return capacity_of(project, asked).memory.typical


def _check() -> int:
    """Print what the calculator says beside what servers take; return 1 when it is wrong by more than 30 %."""
    wrong = 0
    for load in HELD_AGAINST:
        _, measured = resident(load)
        said = estimated(load)
        off = said / measured - 1
        wrong += abs(off) > TOLERANCE
        sys.stdout.write(
            f"{load}: calculated {said / 2**20:.0f} MiB, measured {measured / 2**20:.0f} MiB, {off:+.0%}\n"
        )
    return 1 if wrong else 0


def main(arguments: Sequence[str]) -> int:
    """Print the costs of the items in bytes, or hold the calculator against servers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="hold the calculator against servers")
    if parser.parse_args(arguments).check:
        return _check()
    for name, value in costs().items():
        sys.stdout.write(f"{name:24}{value:12,.0f}\n")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main(sys.argv[1:]))
