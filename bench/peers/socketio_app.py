"""A python-socketio application for uvicorn: rooms for topics, events that carry the same envelopes and replies."""

from __future__ import annotations

import asyncio
from typing import Any

import socketio

from bench.peers import frames

server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")
app = socketio.ASGIApp(server)


@server.on("subscribe")
async def subscribe(sid: str, topic: str) -> None:
    """Enter a room."""
    await server.enter_room(sid, topic)
    await server.emit("subscribed", topic, to=sid)


@server.on("burst")
async def burst(sid: str, frame: dict[str, Any]) -> None:
    """Emit events to a room, so many per turn of the loop."""
    for turn in frames.turns(frame):
        for topic, number in turn:
            await server.emit("tick", frames.envelope(topic, number), room=topic)
        await asyncio.sleep(0)


@server.on("echo")
async def echo(sid: str, frame: dict[str, Any]) -> None:
    """Answer a call."""
    inner = {"id": frame["id"], "ok": True, "data": frame["args"][0]}
    await server.emit("reply", {"topic": "__rpc", "event": frame["id"], "data": inner}, to=sid)
