"""People with raw WebSocket connections to one server, for tests that read frames byte for byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from runtime.testing import RunningServer, running_server

__all__ = ["Crowd", "Person", "gathered"]

TIMEOUT = 5.0
SETTINGS = """
[server]
env = "test"

[websocket]
fast_path = "{fast_path}"
"""


class Person:
    """A raw WebSocket client."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame, separators=(",", ":")))

    async def until(self, text: str) -> list[str]:
        """Return the frames up to one that has `text` in it."""
        found: list[str] = []
        async with asyncio.timeout(TIMEOUT):
            while not found or text not in found[-1]:
                found.append(str(await self.socket.recv()))
        return found

    async def subscribe(self, topic: str) -> list[str]:
        """Ask for a topic; return the frames up to the answer."""
        await self.send(type="subscribe", topic=topic, ref=1)
        return await self.until('"ref":1')


class Crowd:
    """Lets people come to a server."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.people: list[Person] = []

    async def come(self, key: str, name: str = "") -> Person:
        """Return somebody who has connected as `?id=key`, and `&name=name` if there is one."""
        person = Person(await connect(f"{self.server.ws_url}?id={key}{name and f'&name={name}'}"))
        self.people.append(person)
        await person.until('"welcome"')
        return person

    async def subscribed(self, key: str, name: str, topic: str) -> Person:
        """Return somebody who has come and got on a topic."""
        person = await self.come(key, name)
        assert '"subscribed"' in (await person.subscribe(topic))[-1]
        return person

    def plugins(self, kind: type[Any]) -> list[Any]:
        """Return the plugins of a kind that the app uses now."""
        things = self.server.runtime.platform.parts.closing._things
        plugins = [getattr(thing, "plugin", None) for thing in things]
        return [plugin for plugin in plugins if isinstance(plugin, kind)]


@asynccontextmanager
async def gathered(project: Path, fast_path: str = "auto") -> AsyncIterator[Crowd]:
    """Serve a project on the named write path, to which whoever came stays connected until it ends."""
    (project / "realtime.toml").write_text(SETTINGS.format(fast_path=fast_path), encoding="utf-8")
    people: list[Person] = []
    try:
        async with running_server(project) as server:
            crowd = Crowd(server)
            people = crowd.people
            yield crowd
    finally:
        for person in people:
            await person.socket.close()
