"""A plain Starlette application for uvicorn: a loop of sends for events, a JSON echo for calls."""

from __future__ import annotations

import asyncio
import json

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bench.peers import frames

subscribers: set[WebSocket] = set()


async def burst(count: int, per_turn: int) -> None:
    """Send events to every subscriber, so many per turn of the loop."""
    for number in range(count):
        text = frames.event(number)
        for websocket in list(subscribers):
            await websocket.send_text(text)
        if (number + 1) % per_turn == 0:
            await asyncio.sleep(0)


async def endpoint(websocket: WebSocket) -> None:
    """Serve one connection."""
    await websocket.accept()
    await websocket.send_text(frames.welcome())
    try:
        while True:
            frame = json.loads(await websocket.receive_text())
            if frame.get("type") == "subscribe":
                subscribers.add(websocket)
                await websocket.send_text(frames.subscribed(frame))
            elif frame["rpc"] == "bench/burst":
                await burst(*frame["args"])
                await websocket.send_text(frames.reply(frame, None))
            else:
                await websocket.send_text(frames.reply(frame, frame["args"][0]))
    except WebSocketDisconnect:
        pass
    finally:
        subscribers.discard(websocket)


async def home(request: object) -> PlainTextResponse:
    """Answer a plain request."""
    return PlainTextResponse("ok")


app = Starlette(routes=[WebSocketRoute("/ws", endpoint), Route("/", home)])
