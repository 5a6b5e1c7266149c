"""What a reload changed, and how the subscribers of changed streams get their new value. Spec: live-api 21.1."""

from __future__ import annotations

import asyncio
import itertools
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runtime.core.errors import LiveError
from runtime.core.sink import Frame
from runtime.core.tasks import reraise_own_cancellation
from runtime.live.problems import LoadProblem
from runtime.live.stream import StreamResult
from runtime.live.topics import resolve_topic
from runtime.wire import envelope, jsoncodec
from runtime.wire.stream import StreamReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.subscriptions import Subscriptions
    from runtime.live.context import Ctx
    from runtime.live.generation import Generation
    from runtime.live.pipeline import Pipeline
    from runtime.live.registry import Endpoint, Registry
    from runtime.live.runner import FunctionRunner
    from runtime.live.stream import StreamRunner
    from runtime.live.streamsubs import StreamSub

__all__ = ["Refresher", "ReloadResult", "compare"]

logger = logging.getLogger("realtime.reload")

# Loaders that run at once after a reload: a page of subscribers must not starve the calls beside it.
MAX_PARALLEL_REFRESHES = 16

# Refusals that say nothing about whether the subscriber may have the stream.
PASSING = frozenset({"RATE_LIMITED", "OVERLOADED", "TIMEOUT", "SERVICE_UNAVAILABLE"})


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
    """Loads the streams of modules that ran again and hands the result to their subscribers, a few at a time.

    A refresh is a call of the generation whose code it runs. What a further reload finds waiting is loaded with the
    code of that one; what it finds running is loaded anew if its code was replaced, and goes on otherwise.
    """

    __slots__ = ("_due", "_functions", "_generation", "_pipeline", "_running", "_streams", "_subscriptions")

    def __init__(
        self,
        functions: FunctionRunner,
        streams: StreamRunner,
        subscriptions: Subscriptions,
        pipeline: Pipeline,
        generation: Callable[[], Generation],
    ) -> None:
        self._functions = functions
        self._streams = streams
        self._subscriptions = subscriptions
        self._pipeline = pipeline
        self._generation = generation
        #: Subscriptions that wait for their refresh, oldest first; each is there once.
        self._due: dict[StreamSub, None] = {}
        self._running: dict[StreamSub, asyncio.Task[None]] = {}

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
                topic = resolve_topic(endpoint.options.topic, ctx, endpoint.decode(sub.args))
            except Exception:
                topic = None
            if topic != sub.topic:
                paths.add(endpoint.path)
        return sorted(paths)

    def refresh(self, modules: set[str], moved: set[str]) -> None:
        """Have all subscriptions to streams of `modules` loaded again, except those to the paths in `moved`."""
        registry = self._generation().registry
        for sub in list(self._streams.subs.of_modules(modules)):
            self._due.pop(sub, None)
            running = self._running.get(sub)
            if running is not None:
                running.cancel()
            endpoint = registry.find(sub.endpoint.path)
            if endpoint is None or endpoint.kind == "rpc":
                continue
            sub.endpoint = endpoint
            has_loader = endpoint.kind == "stream" and (endpoint.room is None or not endpoint.room.is_cursors)
            if has_loader and endpoint.path not in moved:
                self._due[sub] = None
        self._start_due()

    def refresh_one(self, sub: StreamSub) -> None:
        """Have one subscription loaded again, among the others that wait."""
        endpoint = sub.endpoint
        if endpoint.kind == "stream" and (endpoint.room is None or not endpoint.room.is_cursors):
            self._due.setdefault(sub, None)
            self._start_due()

    def close(self) -> None:
        """Start no more refreshes; those that run end with their generation."""
        self._due.clear()

    def _start_due(self) -> None:
        generation = self._generation()
        # Those that run and are due again are at most as many as may run.
        for sub in list(itertools.islice(self._due, 2 * MAX_PARALLEL_REFRESHES)):
            if len(self._running) >= MAX_PARALLEL_REFRESHES or generation.tasks.closed:
                return
            if sub in self._running:
                continue
            del self._due[sub]
            endpoint = generation.registry.find(sub.endpoint.path)
            if endpoint is not None and self._streams.subs.is_held(sub):
                self._start(sub, endpoint, generation)

    def _start(self, sub: StreamSub, endpoint: Endpoint, generation: Generation) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            del self._running[sub]
            generation.exit()
            self._start_due()

        generation.enter()
        task = generation.tasks.start(
            self._refresh_one(sub, endpoint, generation.registry), name=f"refresh {endpoint.path}"
        )
        self._running[sub] = task
        task.add_done_callback(ended)

    async def _refresh_one(self, sub: StreamSub, endpoint: Endpoint, registry: Registry) -> None:
        connection, topic = sub.connection, sub.topic
        if not connection.is_subscribed(topic):
            return
        ctx = self._functions.ctx_for(connection, thread=endpoint.thread)
        # What is published while the loader runs must not be overtaken by its older result.
        held = self._subscriptions.held_by
        mine = self._subscriptions.hold(connection, topic) if held(connection, topic) is None else None
        try:
            value = await self._pipeline.refresh(registry, endpoint, ctx, sub.args)
            if mine is not None and mine.overflowed:
                mine.restart()
                value = await self._pipeline.refresh(registry, endpoint, ctx, sub.args)
            frame = Frame(envelope.encode_envelope(topic, "refreshed", jsoncodec.encode(value), None))
            other = held(connection, topic)
            if other is not None and other is not mine:
                # A request of the client is under way: before its reply nobody listens there.
                other.keep(frame)
            elif connection.is_subscribed(topic):
                connection.write(frame)
        except LiveError as error:
            if error.code in PASSING:
                logger.warning("%s was not refreshed: %s", endpoint.path, error)
            else:
                self._refused(sub, ctx, error)
        except (Exception, asyncio.CancelledError):
            reraise_own_cancellation()
            logger.exception("%s failed to load again; its subscribers keep what they have", endpoint.path)
        finally:
            if mine is not None:
                self._subscriptions.release(connection, topic, mine)

    def _refused(self, sub: StreamSub, ctx: Ctx, error: LiveError) -> None:
        """End a subscription that would be refused if it were asked for now; the client keeps its value."""
        logger.warning(
            "%s refuses connection %s now (%s): its subscription has ended",
            sub.endpoint.path,
            sub.connection.id,
            error,
        )
        for _ in range(sub.count):
            self._streams.roll_back(StreamResult(StreamReply(b"null"), sub), ctx)
