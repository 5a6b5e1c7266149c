"""A presence of its own kind: plain dicts behind an answer that takes its time, as a store on the network does."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from runtime.core.connection import Connection
from runtime.core.platform import Platform
from runtime.core.sensitive import strip_internal
from runtime.core.tasks import TaskOwner
from runtime.testing import FakeClock

__all__ = ["SlowPresence"]

CHANNEL = "__presence:"


class SlowPresence:
    """Whoever joins or leaves waits some turns of the loop for it; one after the other, as a store answers."""

    def __init__(
        self,
        *,
        key: str = "id",
        select: Callable[[Any], Any] = strip_internal,
        heartbeat: float = 0.0,
        clock: FakeClock,
        hops: int = 4,
    ) -> None:
        self._key = key
        self._select = select
        self._heartbeat = heartbeat
        self._clock = clock
        self._hops = hops
        self._order = asyncio.Lock()
        self._tasks = TaskOwner("slow presence")
        self._beating = False
        #: Who is where: topic, key, then the data of each connection, the newest last.
        self._present: dict[str, dict[str, dict[Connection, Any]]] = {}
        self._where: dict[Connection, dict[str, str]] = {}
        self._anonymous: dict[Connection, str] = {}
        self._pending: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        self._platform: Platform | None = None
        self.hooks = SimpleNamespace(
            subscribe=self._on_subscribe, unsubscribe=self._on_unsubscribe, close=self._on_close
        )

    async def join(self, ws: Connection, topic: str, platform: Platform | None = None) -> None:
        if topic.startswith("__") or ws.closed:
            return
        platform = self._use(platform or ws.platform)
        user = {name: value for name, value in ws.user_data.items() if name != "remote_address"}
        data = self._select(user)
        if not isinstance(data, dict):
            raise TypeError(f"select must return a mapping, not {data!r}")
        data = copy.deepcopy(strip_internal(data))
        platform.parts.event(CHANNEL + topic, "presence_state", data, seq=False)  # refuses what is no JSON
        came = False
        try:
            async with self._order:
                await self._hop()
                if topic in self._where.get(ws, {}) or ws.closed:
                    return
                key = self._key_of(ws, data)
                came = True
                tabs = self._present.setdefault(topic, {}).setdefault(key, {})
                shown = next(reversed(tabs.values())) if tabs else None
                tabs[ws] = data
                self._where.setdefault(ws, {})[topic] = key
                if shown != data:
                    self._joined(topic, key, data)
                await self._hop()
                ws.subscribe(CHANNEL + topic)
                self._send_state(ws, topic, platform)
                await self._hop()
                self.flush_diffs()
        except asyncio.CancelledError:
            if came:
                self._let_go(ws, topic)
                self.flush_diffs()
            raise

    async def leave(self, ws: Connection, platform: Platform | None = None, topic: str | None = None) -> None:
        self._use(platform or ws.platform)
        topics = (
            [topic]
            if topic is not None
            else [name[len(CHANNEL) :] for name in ws.all_topics if name.startswith(CHANNEL)]
            + list(self._where.get(ws, ()))
        )
        async with self._order:
            await self._hop()
            for name in topics:
                self._let_go(ws, name)
            self.flush_diffs()

    async def sync(self, ws: Connection, topic: str, platform: Platform | None = None) -> None:
        platform = self._use(platform or ws.platform)
        async with self._order:
            await self._hop()
            if ws.subscribe(CHANNEL + topic):
                self._send_state(ws, topic, platform)

    async def list(self, topic: str) -> list[dict[str, Any]]:
        await self._hop()
        return list(copy.deepcopy(self._shown(topic)).values())

    async def count(self, topic: str) -> int:
        await self._hop()
        return len(self._present.get(topic, {}))

    def flush_diffs(self) -> None:
        pending, self._pending = self._pending, {}
        for topic, (joins, leaves) in pending.items():
            if self._platform is not None:
                self._platform.publish(CHANNEL + topic, "presence_diff", {"joins": joins, "leaves": leaves})

    async def clear(self) -> None:
        async with self._order:
            await self._hop()
            for ws in list(self._where):
                for topic in list(self._where[ws]):
                    self._gone(ws, topic)
            self.flush_diffs()

    async def close(self) -> None:
        if self._platform is not None:
            self._platform.parts.subscriptions.unwatch(self._unsubscribed)
        await self._tasks.close()
        self._present.clear()
        self._where.clear()

    def _use(self, platform: Platform) -> Platform:
        if self._platform is None:
            self._platform = platform
            platform.parts.subscriptions.watch(self._unsubscribed)
            if self._heartbeat:
                self._tasks.start(self._beat(), name="beat")
        return platform

    def _unsubscribed(self, ws: Connection, topic: str) -> None:
        if topic.startswith(CHANNEL) and topic[len(CHANNEL) :] in self._where.get(ws, {}):
            self._tasks.start(self.leave(ws, None, topic[len(CHANNEL) :]), name="leave")

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(self._heartbeat)
            for topic, people in list(self._present.items()):
                if self._platform is not None and people:
                    self._platform.publish(CHANNEL + topic, "heartbeat", list(people))

    async def _hop(self) -> None:
        for _ in range(self._hops):
            await asyncio.sleep(0)

    def _key_of(self, ws: Connection, data: dict[str, Any]) -> str:
        if data.get(self._key) is not None:
            return str(data[self._key])
        return self._anonymous.setdefault(ws, f"__conn:{len(self._anonymous) + 1}")

    def _shown(self, topic: str) -> dict[str, Any]:
        people = self._present.get(topic, {})
        return {key: next(reversed(tabs.values())) for key, tabs in people.items() if tabs}

    def _send_state(self, ws: Connection, topic: str, platform: Platform) -> None:
        platform.send(ws, CHANNEL + topic, "presence_state", self._shown(topic))

    def _joined(self, topic: str, key: str, data: Any) -> None:
        joins, leaves = self._pending.setdefault(topic, ({}, {}))
        leaves.pop(key, None)
        joins[key] = data

    def _let_go(self, ws: Connection, topic: str) -> None:
        """Take a connection out, whatever it was: present, observing, or neither."""
        self._gone(ws, topic)
        ws.unsubscribe(CHANNEL + topic)

    def _gone(self, ws: Connection, topic: str) -> None:
        key = self._where.get(ws, {}).pop(topic, None)
        if key is None:
            return
        tabs = self._present[topic][key]
        before = next(reversed(tabs.values()))
        del tabs[ws]
        if tabs:
            after = next(reversed(tabs.values()))
            if after != before:
                self._joined(topic, key, after)
            return
        del self._present[topic][key]
        joins, leaves = self._pending.setdefault(topic, ({}, {}))
        joins.pop(key, None)
        leaves[key] = before

    async def _on_subscribe(self, ws: Connection, topic: str, ctx: Any = None) -> None:
        if topic.startswith(CHANNEL):
            await self.sync(ws, topic[len(CHANNEL) :])
        else:
            await self.join(ws, topic)

    async def _on_unsubscribe(self, ws: Connection, topic: str, ctx: Any = None) -> None:
        await self.leave(ws, None, topic.removeprefix(CHANNEL))

    async def _on_close(self, ws: Connection, ctx: Any = None) -> None:
        await self.leave(ws)
