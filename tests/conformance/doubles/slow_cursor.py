"""Cursors of their own kind: plain dicts behind an answer that takes its time, as a store on the network does."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from runtime.core.connection import Connection
from runtime.core.platform import Platform
from runtime.core.sensitive import strip_internal
from runtime.core.tasks import TaskOwner
from runtime.testing import FakeClock

__all__ = ["SlowCursor"]

CHANNEL = "__cursor:"


class SlowCursor:
    """Every move goes to the store first, some turns of the loop away; one task per cursor keeps its window."""

    def __init__(
        self,
        *,
        throttle: float = 0.05,
        select: Callable[[Any], Any] = strip_internal,
        max_data_bytes: int = 8192,
        clock: FakeClock,
        hops: int = 3,
    ) -> None:
        self._throttle = throttle
        self._select = select
        self._max_data_bytes = max_data_bytes
        self._clock = clock
        self._hops = hops
        self._tasks = TaskOwner("slow cursor")
        self._keys: dict[Connection, str] = {}
        self._store: dict[str, dict[Connection, dict[str, Any]]] = {}
        self._moved: set[tuple[str, Connection]] = set()
        self._windows: dict[tuple[str, Connection], asyncio.Task[None]] = {}
        self._platform: Platform | None = None
        self.hooks = SimpleNamespace(
            subscribe=self._on_subscribe, message=self._on_message, close=self.remove
        )

    async def attach(self, ws: Connection, topic: str, platform: Platform | None = None) -> None:
        self._use(platform or ws.platform)
        await self._hop()
        ws.subscribe(CHANNEL + topic)
        self._show(ws, topic)

    async def detach(self, ws: Connection, topic: str, platform: Platform | None = None) -> None:
        self._use(platform or ws.platform)
        await self._hop()
        ws.unsubscribe(CHANNEL + topic)
        self._drop(ws, topic)

    async def update(self, ws: Connection, topic: str, data: Any, platform: Platform | None = None) -> None:
        platform = self._use(platform or ws.platform)
        if not isinstance(topic, str) or not 0 < len(topic) <= 256 or ws.closed:
            return
        try:
            size = len(json.dumps(data, separators=(",", ":"), allow_nan=False))
        except (TypeError, ValueError):
            return
        if size > self._max_data_bytes:
            return
        user = {name: value for name, value in ws.user_data.items() if name != "remote_address"}
        entry = {
            "key": self._keys.setdefault(ws, str(len(self._keys) + 1)),
            "user": strip_internal(self._select(user)),
            "data": copy.deepcopy(data),
        }
        await self._hop()
        if ws.closed:
            return
        self._store.setdefault(topic, {})[ws] = entry
        self._moved.add((topic, ws))
        if (topic, ws) not in self._windows:
            self._windows[topic, ws] = self._tasks.start(self._window(topic, ws, platform), name="window")

    async def _window(self, topic: str, ws: Connection, platform: Platform) -> None:
        """Tell of a cursor at once, and after each window in which it moved."""
        try:
            while (topic, ws) in self._moved:
                self._moved.discard((topic, ws))
                platform.publish(CHANNEL + topic, "update", self._store[topic][ws])
                await self._clock.sleep(self._throttle)
        finally:
            if self._windows.get((topic, ws)) is asyncio.current_task():
                del self._windows[topic, ws]

    async def remove(
        self, ws: Connection, platform: Platform | None = None, topic: str | None = None
    ) -> None:
        self._use(platform or ws.platform)
        await self._hop()
        for name in [topic] if topic is not None else list(self._store):
            self._drop(ws, name)

    async def snapshot(self, ws: Connection, topic: str, platform: Platform | None = None) -> None:
        self._use(platform or ws.platform)
        await self._hop()
        self._show(ws, topic)

    async def list(self, topic: str) -> list[dict[str, Any]]:
        await self._hop()
        return copy.deepcopy(list(self._store.get(topic, {}).values()))

    async def clear(self) -> None:
        await self._hop()
        for topic, entries in list(self._store.items()):
            for ws in list(entries):
                self._drop(ws, topic)

    async def close(self) -> None:
        if self._platform is not None:
            self._platform.parts.subscriptions.unwatch(self._unsubscribed)
            self._platform.parts.membership.unwatch(self._granted)
        await self._tasks.close()

    def _use(self, platform: Platform) -> Platform:
        if self._platform is None:
            self._platform = platform
            platform.parts.subscriptions.watch(self._unsubscribed)
            platform.parts.membership.watch(self._granted)
            for ws in list(platform.parts.connections.values()):
                for topic in ws.subscriptions:
                    self._granted(ws, topic)
        return platform

    def _granted(self, ws: Connection, topic: str) -> None:
        if not topic.startswith("__") and ws.subscribe(CHANNEL + topic):
            self._show(ws, topic)

    def _unsubscribed(self, ws: Connection, topic: str) -> None:
        if topic.startswith(CHANNEL):
            self._drop(ws, topic[len(CHANNEL) :])
        else:
            ws.unsubscribe(CHANNEL + topic)

    def _drop(self, ws: Connection, topic: str) -> None:
        entry = self._store.get(topic, {}).pop(ws, None)
        self._moved.discard((topic, ws))
        window = self._windows.pop((topic, ws), None)
        if window is not None:
            window.cancel()
        if entry is not None and self._platform is not None:
            self._platform.publish(CHANNEL + topic, "remove", {"key": entry["key"]})

    def _show(self, ws: Connection, topic: str) -> None:
        ws.platform.send(ws, CHANNEL + topic, "snapshot", list(self._store.get(topic, {}).values()))

    async def _hop(self) -> None:
        for _ in range(self._hops):
            await asyncio.sleep(0)

    async def _on_subscribe(self, ws: Connection, topic: str, ctx: Any = None) -> None:
        if topic.startswith(CHANNEL):
            await self.snapshot(ws, topic[len(CHANNEL) :])

    async def _on_message(self, ws: Connection, msg: Any, ctx: Any = None) -> bool:
        self._use(ws.platform)
        if not isinstance(msg, dict) or msg.get("type") not in ("cursor", "cursor-snapshot"):
            return False
        topic = msg.get("topic")
        if isinstance(topic, str) and CHANNEL + topic in ws.all_topics:
            if msg["type"] == "cursor":
                await self.update(ws, topic, msg.get("data", msg.get("position")))
            else:
                await self.snapshot(ws, topic)
        return True
