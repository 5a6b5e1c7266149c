"""An aiohttp application: a loop of `send_str` for events, a JSON echo for calls."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import Any

from aiohttp import WSMsgType, web

from bench.peers import frames
from bench.peers.running import port_and_loop

topics: dict[str, set[web.WebSocketResponse]] = defaultdict(set)


async def publish(frame: dict[str, Any]) -> None:
    """Send events to every subscriber, so many per turn of the loop."""
    for turn in frames.turns(frame):
        for topic, number in turn:
            text = frames.event(topic, number)
            for connection in list(topics[topic]):
                await connection.send_str(text)
        await asyncio.sleep(0)


async def handle(request: web.Request) -> web.WebSocketResponse:
    """Serve one connection."""
    if not request.headers.get("Origin"):  # as the `upgrade` hook of ours looks at the handshake
        raise web.HTTPForbidden
    connection = web.WebSocketResponse(compress=False)
    await connection.prepare(request)
    await connection.send_str(frames.welcome())
    held: list[str] = []
    try:
        async for message in connection:
            if message.type is WSMsgType.BINARY:
                await connection.send_bytes(frames.acknowledgement(message.data))
                continue
            frame = json.loads(message.data)
            if "rpc" not in frame:
                for topic in frames.topics_of(frame):
                    held.append(topic)
                    topics[topic].add(connection)
                    await connection.send_str(frames.subscribed(topic))
            elif frame["rpc"] == "bench/echo":
                await connection.send_str(frames.reply(frame, frame["args"][0]))
            else:
                await publish(frame)
                await connection.send_str(frames.reply(frame, None))
    finally:
        for topic in held:
            topics[topic].discard(connection)
    return connection


async def main(port: int) -> None:
    """Serve until the process is ended."""
    app = web.Application()
    app.router.add_get("/ws", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    port, run = port_and_loop()
    run(main(port))
