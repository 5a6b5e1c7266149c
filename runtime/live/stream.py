"""One stream request: subscribe first, load second, and hold the topic's frames back in between.

Spec: wire 5.1, live-api 8.3.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from runtime.core.errors import LiveError, denial_error
from runtime.core.subscriptions import Hold
from runtime.live.access import allows
from runtime.live.callables import call_with_as_many
from runtime.live.catchup import CatchUp, newest
from runtime.live.dropresyncs import DropResyncs
from runtime.live.guards import denied
from runtime.live.migration import is_older, migrated
from runtime.live.sharedloads import SharedLoads, is_shared
from runtime.live.streamsubs import StreamSub
from runtime.live.streamvalue import Page, data_of, describe, mapped, reply_of
from runtime.live.streamwarnings import StreamWarnings
from runtime.live.topicreloads import TopicReloads
from runtime.live.topics import resolve_topic
from runtime.wire import names
from runtime.wire.stream import StreamReply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.core.connection import Connection
    from runtime.core.gate import Membership
    from runtime.core.subscriptions import Subscriptions
    from runtime.live.context import Ctx
    from runtime.live.derivedruns import DerivedRuns
    from runtime.live.options import StreamOptions
    from runtime.live.registry import Endpoint, Registry
    from runtime.live.roompresence import RoomPresence
    from runtime.live.runner import FunctionRunner
    from runtime.live.scope import LiveScope
    from runtime.live.streamsubs import StreamSubs
    from runtime.wire.rpc import CallFrame

__all__ = ["Page", "StreamResult", "StreamRunner"]

logger = logging.getLogger("realtime.stream")

# Loads of one request whose topic publishes more than may be held back while each runs.
MAX_LOADS = 3


@dataclass(slots=True, eq=False)
class StreamResult:
    """A reply and what it still holds: the frames of the topic that wait until the reply is written."""

    reply: StreamReply
    sub: StreamSub | None = None
    held: Hold | None = None


class StreamRunner:
    """Runs stream requests and the hooks around a subscription's life."""

    __slots__ = (
        "_catch_up",
        "_functions",
        "_max_frame",
        "_membership",
        "_scope",
        "_shared",
        "_subscriptions",
        "derived",
        "presence",
        "reloads",
        "resyncs",
        "subs",
        "warnings",
    )

    def __init__(
        self,
        scope: LiveScope,
        membership: Membership,
        subscriptions: Subscriptions,
        subs: StreamSubs,
        functions: FunctionRunner,
        presence: RoomPresence,
        max_frame: int,
    ) -> None:
        self._scope = scope
        self._membership = membership
        self._subscriptions = subscriptions
        self._functions = functions
        self._max_frame = max_frame
        self._catch_up = CatchUp(scope, max_frame)
        self._shared = SharedLoads(functions.tasks)
        self.presence = presence
        self.subs = subs
        #: Loads streams anew whose topic was silent, or for what was published elsewhere.
        self.reloads = TopicReloads(scope.platform, functions, subs, self.load_told)
        #: Loads streams anew for connections that have missed events of theirs.
        self.resyncs = DropResyncs(scope.platform, subs)
        #: What computes derived streams anew; set when the watchers of the worker are made.
        self.derived: DerivedRuns
        #: What dev says of silent and of busy topics.
        self.warnings = StreamWarnings(scope.platform, subs, scope.shapes)
        if scope.dev is not None:
            scope.dev.is_stream = subs.on_topic
        scope.shapes.connect(self._tell, subs.holders, subscriptions, scope.platform.parts.metrics)

    def sizes(self) -> dict[str, int]:
        """Return how full what streams use is, by the name of the bound."""
        found: dict[str, int] = {}
        for part in (self.subs, self.presence, self.warnings, self._catch_up, self.derived):
            for name, size in part.sizes().items():
                found[name] = max(size, found.get(name, 0))
        return found

    async def run(
        self, endpoint: Endpoint, ctx: Ctx, connection: Connection, frame: CallFrame
    ) -> StreamResult:
        """Answer one stream request.

        Raises:
            LiveError: a refusal, or the loader's own error; nothing of the request is left then.
        """
        options = _options(endpoint)
        args = endpoint.decode(frame.args)
        for gate in endpoint.gates:
            if not await allows(gate, ctx, args):
                return StreamResult(StreamReply(b"null", gated=True))
        topic = resolve_topic(options.topic, ctx, args)
        if endpoint.room is not None:
            await endpoint.room.admit(ctx, args)
        await self._admit(options, ctx, args)
        if frame.cursor is not None and self.subs.holds(connection, endpoint, topic):
            return StreamResult(await self._load(endpoint, ctx, args, topic, frame))
        self.derived.check(endpoint, topic, args)
        history = self._catch_up.history(options, topic)
        # Read before anything is held back: whoever comes back with this number gets all that was held.
        seq = await self._catch_up.number(history, options, topic)
        result = await self._subscribe(endpoint, connection, topic, frame.args)
        try:
            self.derived.enter(endpoint, topic, args, ctx.user)
            await self._catch_up.close_gap(connection, topic)
            if endpoint.room is not None and (sub := self._held_sub(result)) is not None:
                await self.presence.entered(sub, ctx)
            # Whoever left meanwhile has been told of with `on_unsubscribe`.
            if self._held_sub(result) is not None:
                await self._call_hook("on_subscribe", options.on_subscribe, (ctx, topic))
            missed = await self._catch_up.reply(history, options, topic, args, frame, result.held)
            if missed is not None:
                result.reply = describe(missed, options, topic)
            else:
                result.reply = await self._first_value(endpoint, ctx, args, topic, result, frame)
            if result.reply.seq is None:
                result.reply.seq = seq
            if endpoint.room is not None and (sub := self._held_sub(result)) is not None:
                await self.presence.loaded(sub, ctx, args)
            if self._held_sub(result) is not None:
                self.reloads.arm(endpoint, topic, options)
                self.resyncs.enter(connection, options)
                self.warnings.subscribed(topic)
        except BaseException:
            self.roll_back(result, ctx)
            raise
        return result

    def _held_sub(self, result: StreamResult) -> StreamSub | None:
        """Return the subscription that a request made, unless it has ended meanwhile."""
        return result.sub if result.sub is not None and self.subs.is_held(result.sub) else None

    async def load_once(self, endpoint: Endpoint, ctx: Ctx, args: list[Any]) -> Any:
        """Return the value of a stream to a plain call, which subscribes to nothing.

        Gate, access and admission decide as they do for a subscription: leaving the flag out is no way around them.
        """
        for gate in endpoint.gates:
            if not await allows(gate, ctx, args):
                return None
        await self._admit(_options(endpoint), ctx, args)
        return await self.load(endpoint, ctx, args)

    async def position(self, options: StreamOptions, topic: str, args: list[Any]) -> tuple[int | None, Any]:
        """Return number and version with which who loads the stream now can go on; `None` and `UNSET` without any.

        From here on the events of the topic are kept, if the stream wants that.
        """
        history = self._catch_up.history(options, topic)
        if history is not None:
            self._catch_up.record(options, topic)
        seq = await self._catch_up.number(history, options, topic)
        return seq, await self._catch_up.version(options, args)

    async def reload(self, endpoint: Endpoint, ctx: Ctx, args: list[Any]) -> Any:
        """Return a fresh value for a subscription that exists; pages give their data.

        Raises:
            LiveError: gate or access would refuse the subscription now.
        """
        for gate in endpoint.gates:
            if not await allows(gate, ctx, args):
                raise denied(ctx.user)
        access = _options(endpoint).access
        if access is not None and not await allows(access, ctx, args):
            raise denied(ctx.user)
        return data_of(await self.load(endpoint, ctx, args))

    async def _admit(self, options: StreamOptions, ctx: Ctx, args: list[Any]) -> None:
        if options.access is not None and not await allows(options.access, ctx, args):
            raise denied(ctx.user)
        shed = options.class_of_service
        if shed is None:
            return
        try:
            refused = ctx.shed(shed)
        except ValueError as error:
            raise LiveError("INVALID_REQUEST", str(error)) from error
        if refused:
            raise LiveError("OVERLOADED", f"Stream class '{shed}' shed under pressure")

    async def _subscribe(
        self, endpoint: Endpoint, connection: Connection, topic: str, args: list[Any]
    ) -> StreamResult:
        joined = not connection.is_subscribed(topic)
        reason = await self._membership.join(connection, topic)
        if reason is not None:
            problem = None if self._scope.dev is None else names.name_problem(topic)
            if problem is not None:
                place = f"{endpoint.path} ({endpoint.file}:{endpoint.line})"
                logger.warning(
                    "%s refuses a client with %s: its topic %.80r %s", place, reason, topic, problem
                )
            raise denial_error(reason)
        held = None
        if joined:
            connection.note(topic, stream=True)
        if joined and not self._subscriptions.is_loading(connection, topic):
            # From here to the reply the client does not listen yet: keep the frames for it.
            held = self._subscriptions.hold(connection, topic)
        self._catch_up.record(_options(endpoint), topic)
        try:
            sub = self.subs.add(connection, endpoint, topic, args)
        except LiveError:
            self._leave_unless_kept(connection, topic)
            raise
        self._scope.shapes.enter(topic, _options(endpoint))
        return StreamResult(StreamReply(b"null"), sub, held)

    async def _first_value(
        self,
        endpoint: Endpoint,
        ctx: Ctx,
        args: list[Any],
        topic: str,
        result: StreamResult,
        frame: CallFrame,
    ) -> StreamReply:
        options = _options(endpoint)
        if endpoint.kind == "channel":
            empty = b"null" if options.merge == "set" else b"[]"
            return describe(StreamReply(empty, channel=True), options, topic)
        for _ in range(MAX_LOADS):
            reply = await self._load(endpoint, ctx, args, topic, frame)
            if result.held is None or not result.held.overflowed:
                return reply
            # More was published meanwhile than may be held: only a newer load has it all.
            result.held.restart()
        raise LiveError("OVERLOADED", "The topic is too busy to be loaded; try again")

    async def _load(
        self, endpoint: Endpoint, ctx: Ctx, args: list[Any], topic: str, frame: CallFrame
    ) -> StreamReply:
        """Run the loader. A client that asked for what came after its number gets all of it instead."""
        options = _options(endpoint)
        is_page = frame.cursor is not None
        # Read before the loader runs: a change in between is in the next difference as well, rather than in none.
        version = UNSET if is_page else await self._catch_up.version(options, args)

        async def run() -> Any:
            return await self.load_told(endpoint, ctx, args, topic)

        # Steps of a migration may change items in place, so what is migrated is nobody else's.
        if is_page or not is_shared(options) or is_older(frame.schema_version, options):
            value = await run()
        else:
            value = await self._shared.load(endpoint, topic, frame.args, run)
        is_reload = _is_number(frame.seq) and not is_page
        if is_reload and options.keeps_events and options.merge == "latest":
            value = newest(value, options)
        value = migrated(value, options, frame.schema_version, warn=self._scope.dev is not None)
        reply = reply_of(value, self._max_frame)
        reply.version = version
        if is_reload:
            reply.replay = False
        reply.derived = self.derived.may_keep(endpoint, ctx.ws, topic)
        return describe(reply, options, topic)

    async def load_told(self, endpoint: Endpoint, ctx: Ctx, args: list[Any], topic: str) -> Any:
        """Do what `load` does; the stream's `on_error` is told of a failure."""
        try:
            return await self.load(endpoint, ctx, args)
        except Exception as error:
            await self._call_hook("on_error", _options(endpoint).on_error, (error, ctx, topic))
            raise

    async def load(self, endpoint: Endpoint, ctx: Ctx, args: list[Any]) -> Any:
        """Run the loader and its transform; pages keep their shape."""
        if endpoint.room is not None and endpoint.room.is_roster:
            return self.presence.roster(endpoint.room.room.topic_for(ctx, args))
        value = await self._functions.run(endpoint, ctx, args)
        transform = _options(endpoint).transform
        return value if transform is None else mapped(value, transform)

    def written(self, result: StreamResult, connection: Connection) -> None:
        """Deliver what was held back; called when the reply is in the outbox."""
        if result.held is not None and result.sub is not None:
            self._subscriptions.release(connection, result.sub.topic, result.held)

    def roll_back(self, result: StreamResult, ctx: Ctx) -> None:
        """Undo the subscription that a failed request made, and nothing that was there before it."""
        sub = result.sub
        if sub is None or not self.subs.drop_one(sub):
            return
        connection = sub.connection
        if sub.count == 0:
            self.presence.left(sub, at_once=True)
        if result.held is not None:
            self._subscriptions.release(connection, sub.topic, result.held)
        self._leave_unless_kept(connection, sub.topic)
        self._ended(sub, ctx, 1)

    def _leave_unless_kept(self, connection: Connection, topic: str) -> None:
        """Take the connection off a topic that only stream requests put it on, once none of them is left."""
        wanted = topic in connection.wire_topics or self.subs.has(connection, topic)
        if topic in connection.stream_topics and not wanted:
            connection.unsubscribe(topic)

    def renew_topics(self, modules: set[str], registry: Registry) -> None:
        """Treat the topics of reloaded streams as their new code says; without `replay` events are kept no longer."""
        for sub in self.subs.of_modules(modules):
            renewed = registry.find(sub.endpoint.path)
            keeps = renewed is not None and renewed.options is not None and renewed.options.keeps_events
            if _options(sub.endpoint).keeps_events and not keeps:
                self._catch_up.release(sub.topic)
            if renewed is not None and renewed.options is not None:
                self._scope.shapes.renew(sub.topic, renewed.options)
                self.reloads.disarm(sub.topic)
                self.reloads.arm(renewed, sub.topic, renewed.options)
            self.derived.renew(sub.topic, renewed, sub.args)

    def leave(self, connection: Connection, topic: str) -> None:
        """End the streams of `connection` on `topic`: an unsubscribe frame came, or the topic was taken away."""
        for sub in self.subs.leave(connection, topic):
            self.presence.left(sub)
            if sub.endpoint.derived is not None:
                self.derived.seen.left(connection, topic)
            self._ended(sub, self._functions.ctx_for(connection), sub.count)

    def leave_all(self, connection: Connection, leavable: Mapping[str, Endpoint]) -> None:
        """End all streams of a connection that is gone.

        `leavable`: streams by their fixed topic. Whoever was on one without the stream has left it, too.
        """
        ended = self.subs.leave_all(connection)
        for sub in ended:
            self.presence.left(sub)
            self._ended(sub, self._functions.ctx_for(connection), sub.count)
        raw = connection.all_topics.intersection(leavable).difference(sub.topic for sub in ended)
        for topic in sorted(raw):
            self._call_unsubscribed(
                leavable[topic], self._functions.ctx_for(connection), topic, connection, 1
            )

    def _ended(self, sub: StreamSub, ctx: Ctx, times: int) -> None:
        topic = sub.topic
        if not self.subs.on_topic(topic):
            self._scope.shapes.leave(topic)
            self.reloads.disarm(topic)
            self.warnings.left(topic)
            self.derived.leave(topic)
        self._call_unsubscribed(sub.endpoint, ctx, topic, sub.connection, times)

    def _call_unsubscribed(
        self, endpoint: Endpoint, ctx: Ctx, topic: str, connection: Connection, times: int
    ) -> None:
        hook = _options(endpoint).on_unsubscribe
        if hook is None:
            return
        remaining = self.subs.others(topic, connection)
        for _ in range(times):
            self._functions.tasks.start(
                self._call_hook("on_unsubscribe", hook, (ctx, topic, remaining)), name="on_unsubscribe"
            )

    def _tell(self, options: StreamOptions, error: Exception, topic: str) -> None:
        hook = self._call_hook("on_error", options.on_error, (error, None, topic))
        self._functions.tasks.start(hook, name="on_error")

    async def _call_hook(self, name: str, hook: Any, args: tuple[Any, ...]) -> None:
        if hook is None:
            return
        try:
            await call_with_as_many(hook, args)
        except Exception:
            logger.exception("%s of a stream failed", name)


def _options(endpoint: Endpoint) -> StreamOptions:
    options = endpoint.options
    if options is None:
        raise TypeError(f"{endpoint.path} is not a stream")
    return options


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
