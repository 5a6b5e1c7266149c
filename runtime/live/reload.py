"""What a reload changed, and how the subscribers of changed streams get their new value. Spec: live-api 21.1."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtime.core.errors import LiveError
from runtime.core.sink import Frame
from runtime.live.problems import LoadProblem
from runtime.live.stream import Page
from runtime.live.topics import resolve_topic
from runtime.wire import envelope, jsoncodec

if TYPE_CHECKING:
    from runtime.core.platform import Platform
    from runtime.core.subscriptions import Subscriptions
    from runtime.live.context import Ctx
    from runtime.live.registry import Endpoint, Registry
    from runtime.live.runner import FunctionRunner
    from runtime.live.stream import StreamRunner
    from runtime.live.streamsubs import StreamSub

__all__ = ["Refresher", "ReloadResult", "compare"]

logger = logging.getLogger("realtime.reload")

# Loaders that run at once after a reload: a page of subscribers must not starve the calls beside it.
MAX_PARALLEL_REFRESHES = 16


@dataclass(slots=True)
class ReloadResult:
    """The outcome of one reload; names are module paths. `duration` in seconds."""

    modules: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    problems: list[LoadProblem] = field(default_factory=list)
    page_reload: bool = False
    duration: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether all of the new code is in force."""
        return not self.problems


def compare(before: Registry, after: Registry) -> ReloadResult:
    """Return what lies between two registries.

    `page_reload` is set when an export changed its kind: a page that imported it holds the wrong kind of object.
    """
    result = ReloadResult(problems=list(after.problems))
    for name, module in after.modules.items():
        old = before.modules.get(name)
        if old is not module:
            result.modules.append(name)
            if old is None:
                result.added.append(name)
    result.removed = [name for name in before.modules if name not in after.modules]
    for path, endpoint in after.endpoints.items():
        known = before.find(path)
        if known is not None and known is not endpoint:
            result.page_reload |= (known.kind, known.dynamic) != (endpoint.kind, endpoint.dynamic)
    return result


class Refresher:
    """Loads the streams of modules that ran again and hands the result to their subscribers."""

    __slots__ = ("_functions", "_platform", "_streams", "_subscriptions")

    def __init__(
        self,
        functions: FunctionRunner,
        streams: StreamRunner,
        subscriptions: Subscriptions,
        platform: Platform,
    ) -> None:
        self._functions = functions
        self._streams = streams
        self._subscriptions = subscriptions
        self._platform = platform

    def moved(self, modules: set[str], registry: Registry) -> list[str]:
        """Return the paths whose topic or merge options are new for somebody: their clients must subscribe anew."""
        paths: set[str] = set()
        for sub in self._streams.subs.of_modules(modules):
            endpoint = registry.find(sub.endpoint.path)
            if endpoint is None or endpoint.options is None or sub.endpoint.options is None:
                continue
            if endpoint.options.client_options() != sub.endpoint.options.client_options():
                paths.add(endpoint.path)
                continue
            try:
                ctx = self._functions.ctx_for(sub.connection)
                topic = resolve_topic(endpoint.options.topic, ctx, endpoint.signature.decode(sub.args))
            except Exception:
                topic = None
            if topic != sub.topic:
                paths.add(endpoint.path)
        return sorted(paths)

    async def refresh(self, modules: set[str], registry: Registry, moved: set[str]) -> None:
        """Run the loaders of all subscriptions to streams of `modules`, a few at a time."""
        slots = asyncio.Semaphore(MAX_PARALLEL_REFRESHES)

        async def one(sub: StreamSub, endpoint: Endpoint) -> None:
            async with slots:
                await self._refresh_one(sub, endpoint)

        async with asyncio.TaskGroup() as group:
            for sub in list(self._streams.subs.of_modules(modules)):
                endpoint = registry.find(sub.endpoint.path)
                if endpoint is None or endpoint.kind == "rpc":
                    continue
                sub.endpoint = endpoint
                has_loader = endpoint.kind == "stream" and (
                    endpoint.room is None or not endpoint.room.is_cursors
                )
                if has_loader and endpoint.path not in moved:
                    group.create_task(one(sub, endpoint))

    async def _refresh_one(self, sub: StreamSub, endpoint: Endpoint) -> None:
        connection, topic = sub.connection, sub.topic
        if not connection.is_subscribed(topic):
            return
        ctx = self._functions.ctx_for(connection, thread=endpoint.thread)
        # What is published while the loader runs must not be overtaken by its older result.
        held = self._subscriptions.held_by
        mine = self._subscriptions.hold(connection, topic) if held(connection, topic) is None else None
        try:
            value = await self._value(endpoint, ctx, sub)
            if mine is not None and mine.overflowed:
                mine.restart()
                value = await self._value(endpoint, ctx, sub)
            frame = Frame(envelope.encode_envelope(topic, "refreshed", jsoncodec.encode(value), None))
            other = held(connection, topic)
            if other is not None and other is not mine:
                # A request of the client is under way: before its reply nobody listens there.
                other.keep(frame)
            elif connection.is_subscribed(topic):
                connection.write(frame)
        except LiveError as error:
            logger.warning("%s was not refreshed after the reload: %s", endpoint.path, error)
        except Exception:
            logger.exception(
                "%s failed to load after the reload; its subscribers keep what they have", endpoint.path
            )
        finally:
            if mine is not None:
                self._subscriptions.release(connection, topic, mine)

    async def _value(self, endpoint: Endpoint, ctx: Ctx, sub: StreamSub) -> Any:
        value = await self._streams.load(endpoint, ctx, endpoint.signature.decode(sub.args))
        if isinstance(value, Page):
            return value.data
        if isinstance(value, dict) and "data" in value and "hasMore" in value:
            return value["data"]
        return value
