"""A bare websockets server: `websockets.broadcast` for events, a JSON echo for calls."""

from __future__ import annotations

import argparse
import asyncio
import json

from websockets.asyncio.server import ServerConnection, broadcast, serve

from bench.peers import frames

subscribers: set[ServerConnection] = set()


async def burst(count: int, per_turn: int) -> None:
    """Broadcast events, so many per turn of the loop."""
    for number in range(count):
        broadcast(subscribers, frames.event(number))
        if (number + 1) % per_turn == 0:
            await asyncio.sleep(0)


async def handle(connection: ServerConnection) -> None:
    """Serve one connection."""
    await connection.send(frames.welcome())
    try:
        async for text in connection:
            frame = json.loads(text)
            if frame.get("type") == "subscribe":
                subscribers.add(connection)
                await connection.send(frames.subscribed(frame))
            elif frame["rpc"] == "bench/burst":
                await burst(*frame["args"])
                await connection.send(frames.reply(frame, None))
            else:
                await connection.send(frames.reply(frame, frame["args"][0]))
    finally:
        subscribers.discard(connection)


async def main(port: int) -> None:
    """Serve until the process is ended."""
    async with serve(handle, "127.0.0.1", port, compression=None, ping_interval=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    try:
        import uvloop
    except ImportError:
        asyncio.run(main(arguments.port))
    else:
        uvloop.run(main(arguments.port))
