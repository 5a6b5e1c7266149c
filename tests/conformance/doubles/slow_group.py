"""A group whose members are records in a store that is far away; this worker only mirrors its own."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

from runtime.core.connection import Connection
from runtime.core.platform import Platform
from runtime.plugins.protocols import Role
from tests.conformance.doubles.line import Line

__all__ = ["SlowGroup"]

logger = logging.getLogger("doubles.group")


class SlowGroup:
    """Implements `GroupProtocol`. A join is one script in the store; when it cannot be finished here, it is undone."""

    def __init__(
        self,
        name: str,
        *,
        max_members: int | None = None,
        meta: Mapping[str, Any] | None = None,
        on_join: Callable[..., Any] | None = None,
        on_leave: Callable[..., Any] | None = None,
        on_full: Callable[..., Any] | None = None,
        on_close: Callable[..., Any] | None = None,
    ) -> None:
        self.topic = f"__group:{name}"
        self._most = max_members
        self._callbacks = {"join": on_join, "leave": on_leave, "full": on_full, "close": on_close}
        self._line = Line()
        self._records: dict[int, Role] = {}
        self._meta = dict(meta or {})
        self._ended = False
        self._next = 0
        self._mine: dict[Connection, tuple[int, Role]] = {}
        self._joining: dict[Connection, asyncio.Future[None]] = {}
        self._undoing: set[asyncio.Task[None]] = set()

    async def join(self, ws: Connection, platform: Platform | None = None, role: Role = "member") -> bool:
        _check(role)
        while ws in self._joining:
            await asyncio.wait([self._joining[ws]])
        if ws in self._mine:
            return True
        self._next += 1
        number = self._next
        done = self._joining[ws] = asyncio.get_running_loop().create_future()
        try:
            answer = await self._line.run(lambda: self._join_script(number, role))
            if answer == 1:
                self._enter(ws, platform or ws.platform, number, role)
                await self._call("join", ws, role)
        except asyncio.CancelledError:
            self._undo(ws, number, platform or ws.platform)
            raise
        finally:
            del self._joining[ws]
            done.set_result(None)
        if answer == 0:
            await self._call("full", ws, role)
        return ws in self._mine

    def _join_script(self, number: int, role: Role) -> int:
        if self._ended:
            return -1
        if self._most is not None and len(self._records) >= self._most:
            return 0
        self._records[number] = role
        return 1

    def _enter(self, ws: Connection, platform: Platform, number: int, role: Role) -> None:
        platform.publish(self.topic, "join", {"role": role})
        ws.subscribe(self.topic)
        platform.send(ws, self.topic, "members", [{"role": one} for one in self._records.values()])
        self._mine[ws] = (number, role)

    def _undo(self, ws: Connection, number: int, platform: Platform) -> None:
        async def undo() -> None:
            if ws in self._mine:
                await self.leave(ws, platform)
            else:
                # The script may still be on its way: this one comes behind it.
                await self._line.run(lambda: self._records.pop(number, None))

        task = asyncio.get_running_loop().create_task(undo())
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)

    async def leave(self, ws: Connection, platform: Platform | None = None) -> None:
        found = self._mine.pop(ws, None)
        if found is None:
            return
        number, role = found
        ws.unsubscribe(self.topic)
        removal = asyncio.ensure_future(self._line.run(lambda: self._records.pop(number, None)))
        try:
            await asyncio.shield(removal)
        finally:
            (platform or ws.platform).publish(self.topic, "leave", {"role": role})
        await self._call("leave", ws, role)

    async def publish(
        self, platform: Platform | None, event: str, data: Any = None, role: Role | None = None
    ) -> None:
        if role is not None:
            _check(role)
        if await self._line.run(lambda: self._ended):
            return
        assert platform is not None
        if role is None:
            platform.publish(self.topic, event, data)
            return
        for ws, (_, has) in list(self._mine.items()):
            if has == role:
                platform.send(ws, self.topic, event, data)

    async def send(self, platform: Platform | None, ws: Connection, event: str, data: Any = None) -> None:
        if ws not in self._mine:
            raise ValueError("not a member")
        (platform or ws.platform).send(ws, self.topic, event, data)

    def local_members(self) -> list[tuple[Connection, Role]]:
        return [(ws, role) for ws, (_, role) in self._mine.items()]

    def has(self, ws: Connection) -> bool:
        return ws in self._mine

    async def members(self) -> list[dict[str, str]]:
        return await self._line.run(lambda: [{"role": role} for role in self._records.values()])

    async def count(self) -> int:
        return await self._line.run(lambda: len(self._records))

    async def get_meta(self) -> dict[str, Any]:
        return await self._line.run(lambda: dict(self._meta))

    async def set_meta(self, meta: Mapping[str, Any]) -> None:
        copied = dict(meta)

        def script() -> None:
            self._meta = copied

        await self._line.run(script)

    async def close(self, platform: Platform | None = None) -> None:
        def script() -> bool:
            was, self._ended = self._ended, True
            self._records.clear()
            return was

        if await self._line.run(script):
            return
        members, self._mine = list(self._mine), {}
        found = platform or (members[0].platform if members else None)
        if found is not None:
            found.publish(self.topic, "close")
        for ws in members:
            ws.unsubscribe(self.topic)
        await self._call("close")

    async def _call(self, name: str, *args: Any) -> None:
        callback = self._callbacks[name]
        if callback is None:
            return
        try:
            answer = callback(*args)
            if inspect.isawaitable(answer):
                await answer
        except Exception:
            logger.exception("a callback failed")


def _check(role: Any) -> None:
    if role not in ("member", "admin", "viewer"):
        raise ValueError(f"role: {role!r} is none")
