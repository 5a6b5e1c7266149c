"""A plain Starlette application for uvicorn: a loop of sends for events, a JSON echo for calls."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import Any

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from bench.peers import frames

topics: dict[str, set[WebSocket]] = defaultdict(set)


async def publish(frame: dict[str, Any]) -> None:
    """Send events to every subscriber, so many per turn of the loop."""
    for turn in frames.turns(frame):
        for topic, number in turn:
            text = frames.event(topic, number)
            for websocket in list(topics[topic]):
                await websocket.send_text(text)
        await asyncio.sleep(0)


async def endpoint(websocket: WebSocket) -> None:
    """Serve one connection."""
    if not websocket.headers.get("origin"):  # as the `upgrade` hook of ours looks at the handshake
        await websocket.close()
        return
    await websocket.accept()
    await websocket.send_text(frames.welcome())
    held: list[str] = []
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                break
            if message.get("bytes") is not None:
                await websocket.send_bytes(frames.acknowledgement(message["bytes"]))
                continue
            frame = json.loads(message["text"])
            if "rpc" not in frame:
                for topic in frames.topics_of(frame):
                    held.append(topic)
                    topics[topic].add(websocket)
                    await websocket.send_text(frames.subscribed(topic))
            elif frame["rpc"] == "bench/echo":
                await websocket.send_text(frames.reply(frame, frame["args"][0]))
            else:
                await publish(frame)
                await websocket.send_text(frames.reply(frame, None))
    finally:
        for topic in held:
            topics[topic].discard(websocket)


async def home(request: object) -> PlainTextResponse:
    """Answer a plain request."""
    return PlainTextResponse("ok")


app = Starlette(routes=[WebSocketRoute("/ws", endpoint), Route("/", home)])
