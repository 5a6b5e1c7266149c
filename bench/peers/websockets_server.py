"""A bare websockets server with the library's defaults: `broadcast` for events, a JSON echo for calls."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.http11 import Request, Response

from bench.peers import frames
from bench.peers.running import port_and_loop

topics: dict[str, set[ServerConnection]] = defaultdict(set)


async def publish(frame: dict[str, Any]) -> None:
    """Broadcast events, so many per turn of the loop."""
    for turn in frames.turns(frame):
        for topic, number in turn:
            broadcast(topics[topic], frames.event(topic, number))
        await asyncio.sleep(0)


def upgrade(connection: ServerConnection, request: Request) -> Response | None:
    """Look at the handshake, as the `upgrade` hook of ours does."""
    return None if request.headers.get("Origin") else connection.respond(403, "no origin\n")


async def handle(connection: ServerConnection) -> None:
    """Serve one connection."""
    await connection.send(frames.welcome())
    held: list[str] = []
    try:
        async for data in connection:
            if isinstance(data, bytes):
                await connection.send(frames.acknowledgement(data))
                continue
            frame = json.loads(data)
            if "rpc" not in frame:
                for topic in frames.topics_of(frame):
                    held.append(topic)
                    topics[topic].add(connection)
                    await connection.send(frames.subscribed(topic))
            elif frame["rpc"] == "bench/echo":
                await connection.send(frames.reply(frame, frame["args"][0]))
            else:
                await publish(frame)
                await connection.send(frames.reply(frame, None))
    finally:
        for topic in held:
            topics[topic].discard(connection)


async def main(port: int) -> None:
    """Serve until the process is ended."""
    async with serve(handle, "127.0.0.1", port, compression=None, process_request=upgrade) as server:
        await server.serve_forever()


if __name__ == "__main__":
    port, run = port_and_loop()
    run(main(port))
