"""`live` and its decorators. They only record; the registry and the runners act on what they recorded.

Every decorated function stays callable as `await add(ctx, "x")`. Spec: live-api 1.3, 3.4, 4.4, 4.5, 8, 9.1, 9.2.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from runtime.live import collector
from runtime.live.access import Access
from runtime.live.admission import Admission
from runtime.live.aggregateclass import Aggregate, aggregate
from runtime.live.aggregates import AggregatesHandle
from runtime.live.bare import remember
from runtime.live.binarycalls import binary
from runtime.live.breakers import breaker
from runtime.live.cronjobs import cron
from runtime.live.derived import derived, effect
from runtime.live.idempotent import idempotent
from runtime.live.livemetrics import metrics
from runtime.live.locked import lock
from runtime.live.marks import Mark, ensure_mark, mark_of, set_mark
from runtime.live.messageoptions import set_message_options
from runtime.live.options import Predicate, ReplayOptions, StreamOptions, Topic, access_of
from runtime.live.pageload import Loadable, load, preload, set_loadable
from runtime.live.pushing import configure_push, notify, push
from runtime.live.ratelimit import RateLimits, Rule
from runtime.live.ratelimited import rate_limit
from runtime.live.room import RoomDeclaration
from runtime.live.roomclass import Room, action
from runtime.live.scoped import scoped
from runtime.live.streamwarnings import PublishRateRule, SilentTopicRule
from runtime.live.uploaddeclare import upload
from runtime.live.validated import validated
from runtime.live.webhook import webhook

if TYPE_CHECKING:
    from runtime.live.delta import Delta

__all__ = ["Channel", "Live", "Mark", "live", "mark_of"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Channel:
    """An ephemeral topic without a loader; made by `live.channel`. Spec: live-api 9.1."""

    def __init__(self, options: StreamOptions, file: str, line: int) -> None:
        self.file = file
        self.line = line
        mark = Mark(kind="channel", options=options)
        set_mark(self, mark)
        #: Load it for a page: nothing, until somebody publishes.
        self.load = Loadable(mark).load


class _Middlewares:
    """`@live.middleware` and `live.middleware.clear()`. Spec: live-api 4.2."""

    def __call__(self, function: F) -> F:
        """Run `function(ctx, next)` around every call, in order of registration."""
        if not callable(function):
            raise TypeError(f"live.middleware: a function (ctx, next) is needed, not {function!r}")
        collector.current().middleware.append(function)
        return function

    def clear(self) -> None:
        """Forget what was registered outside of live modules; for tests."""
        collector.ambient.middleware.clear()


class Live:
    """The decorators. Use the one instance, `live`: `@live`, `@live.stream("todos")`, ..."""

    #: Base of rooms written as classes, and what makes a method of one callable.
    Room = Room
    action = staticmethod(action)

    # Wrappers of handlers; the topmost runs first. Spec: live-api 5.
    scoped = staticmethod(scoped)
    validated = staticmethod(validated)
    rate_limit = staticmethod(rate_limit)
    idempotent = staticmethod(idempotent)
    lock = staticmethod(lock)
    breaker = staticmethod(breaker)

    # What takes bytes. Spec: live-api 6 and 7.
    binary = staticmethod(binary)
    upload = staticmethod(upload)

    # What is kept of publishes. Spec: live-api 11.
    Aggregate = Aggregate
    aggregate = staticmethod(aggregate)

    # What runs at its time. Spec: live-api 16.
    cron = staticmethod(cron)

    # What follows publishes. Spec: live-api 10.
    derived = staticmethod(derived)
    effect = staticmethod(effect)

    def __init__(self) -> None:
        #: The aggregates of the app that runs.
        self.aggregates = AggregatesHandle()
        #: Ready-made access predicates.
        self.access = Access()
        #: Wrap every call: `@live.middleware`.
        self.middleware = _Middlewares()

    @overload
    def __call__(self, function: F) -> F: ...

    @overload
    def __call__(self, *, thread: bool = False) -> Callable[[F], F]: ...

    def __call__(self, function: F | None = None, *, thread: bool = False) -> F | Callable[[F], F]:
        """Make a function callable by clients: `@live`, or `@live(thread=True)` for a plain function that blocks.

        Returns the function itself. A `thread=True` body runs in the worker threads with the same ctx.

        Raises:
            TypeError: not a function, or `thread=True` on an async one.
        """
        if function is None:
            return lambda inner: self._mark_rpc(inner, thread)
        return self._mark_rpc(function, thread)

    def _mark_rpc(self, function: F, thread: bool) -> F:
        if thread and inspect.iscoroutinefunction(inspect.unwrap(function)):
            raise TypeError(
                f"thread: {function.__qualname__} is async; thread=True is for plain functions that block"
            )
        mark = ensure_mark(function, "live")
        mark.thread = mark.thread or thread
        return function

    def stream(
        self,
        topic: Topic,
        *,
        merge: str = "crud",
        key: str | None = None,
        prepend: bool = False,
        max: int | None = None,
        replay: bool | ReplayOptions = False,
        access: Predicate | None = None,
        filter: Predicate | None = None,
        transform: Callable[[Any], Any] | None = None,
        volatile: bool = False,
        on_subscribe: Callable[..., Any] | None = None,
        on_unsubscribe: Callable[..., Any] | None = None,
        on_error: Callable[..., Any] | None = None,
        class_of_service: str | None = None,
        args: Any = None,
        delta: Delta | Mapping[str, Callable[..., Any]] | None = None,
        coalesce_by: Callable[[Any], Any] | None = None,
        stale_after: float | None = None,
        invalidate_on: str | Sequence[str] | None = None,
        version: int | None = None,
        migrate: Mapping[int, Callable[[Any], Any]] | None = None,
        resync_on_drop: bool | None = None,
    ) -> Callable[[F], F]:
        """Make a loader a stream: clients get what it returns, then every publish on `topic`, merged.

        Args:
            topic: a fixed name, or a plain function of the loader's arguments (optionally `ctx` first).
            merge: how clients fold events in: `crud`, `latest`, `set`, `presence`, `cursor`.
            key: identity field of crud items, default `id`.
            prepend: new items go first.
            max: bound of the list at the client, 0 = none.
            replay: keep the topic's last events, so that a client that was away gets what it missed instead of
                everything; `{"size": n}` says how many. Every publish on the topic needs its number then.
            access: `(ctx, *args)`, falsy refuses before anything is subscribed; `filter` is its other name.
            transform: `(item)`, applied to what is loaded.
            volatile: publishes carry no number.
            on_subscribe: `(ctx, topic)`, once per subscription. on_unsubscribe: `(ctx, topic, remaining)`.
            on_error: `(error, ctx, topic)` when the loader fails.
            class_of_service: class of `live.admission` under which new subscriptions may be refused.
            args: schema of all arguments together, as `tuple[str, int]`; without it the annotations are the schema.
            delta: what the stream knows of its changes, so that a client that comes back gets just those.
            coalesce_by: `(data)`, the key under which only the newest event waits for a client that is behind.
            stale_after: seconds without a publish after which everybody gets a fresh load.
            invalidate_on: topic patterns (`*` is one or more characters) whose publishes do the same.
            version: schema of the data. migrate: `{1: fn}`, from that version to the next, for older clients.
            resync_on_drop: a client that was too far behind for an event gets a fresh load; `None`: as the setting.

        Raises:
            ValueError: an option that cannot be; the message names it.
        """
        options = StreamOptions(
            topic=topic,
            merge=merge,
            key=key,
            prepend=prepend,
            max=max,
            replay=replay,
            access=access_of(access, filter),
            transform=transform,
            volatile=volatile,
            on_subscribe=on_subscribe,
            on_unsubscribe=on_unsubscribe,
            on_error=on_error,
            class_of_service=class_of_service,
            args=args,
            delta=delta,
            coalesce_by=coalesce_by,
            stale_after=stale_after,
            invalidate_on=() if invalidate_on is None else invalidate_on,
            version=version,
            migrate=migrate or {},
            resync_on_drop=resync_on_drop,
        )

        def decorate(function: F) -> F:
            mark = ensure_mark(function, "live.stream")
            mark.kind, mark.options = "stream", options
            set_loadable(function, mark)
            return function

        return remember(decorate, "live.stream", topic)

    def channel(
        self,
        topic: Topic,
        *,
        merge: str = "set",
        key: str | None = None,
        max: int | None = None,
        access: Predicate | None = None,
        volatile: bool = False,
        on_subscribe: Callable[..., Any] | None = None,
        on_unsubscribe: Callable[..., Any] | None = None,
    ) -> Channel:
        """Declare a topic without a loader: `typing = live.channel(lambda room: f"typing:{room}", merge="presence")`.

        Subscribers start with nothing (`None` for merge `set`, else an empty list) and get every publish.
        """
        options = StreamOptions(
            topic=topic,
            merge=merge,
            key=key,
            max=max,
            access=access,
            volatile=volatile,
            on_subscribe=on_subscribe,
            on_unsubscribe=on_unsubscribe,
        )
        frame = sys._getframe(1)
        return Channel(options, frame.f_code.co_filename, frame.f_lineno)

    def room(
        self,
        *,
        topic: Topic,
        init: Callable[..., Any],
        presence: Callable[[Any], Any] | None = None,
        cursors: bool | Mapping[str, float] = False,
        guard: Callable[..., Any] | None = None,
        on_join: Callable[..., Any] | None = None,
        on_leave: Callable[..., Any] | None = None,
        actions: Mapping[str, Callable[..., Any]] | None = None,
        topic_args: int | None = None,
        **options: Any,
    ) -> RoomDeclaration:
        """Declare a room: a data stream, who is there, their cursors, and actions that publish to it.

        Clients find `board.data(id)`, `board.presence(id)`, `board.cursors(id)` and `board.add_card(id, title)`.

        Args:
            topic: as for `live.stream`; its arguments say which room.
            init: the loader of the data, `(ctx, *args)`.
            presence: `(ctx)`, what the others see of a user; somebody for whom it is falsy is not shown.
            cursors: whether there is a stream of cursors, which `move_cursor(*room_args, data)` of the clients moves;
                `{"throttle": seconds}` says how long each rests between two moves, else 0.05.
            guard: `(ctx, *room_args)`; raises or returns `False` to keep somebody out of every part and action.
            on_join: `(ctx, *args)`, after each first load. on_leave: `(ctx, topic)`, when a user is gone.
            actions: names to functions `(ctx, *room_args, *args)`, in which `ctx.publish(event, data)` publishes to
                the room. They are callable through the room only.
            topic_args: how many leading arguments say which room; needed if `topic` takes a variable number.
            options: further options of `live.stream`, for the data; `access` holds for every part and action.

        Raises:
            ValueError: an option that cannot be; the message names it. TypeError: an unknown option.
        """
        frame = sys._getframe(1)
        return RoomDeclaration(
            topic=topic,
            init=init,
            presence=presence,
            cursors=cursors,
            guard=guard,
            on_join=on_join,
            on_leave=on_leave,
            actions=actions,
            topic_args=topic_args,
            options=options,
            file=frame.f_code.co_filename,
            line=frame.f_lineno,
        )

    def gate(self, predicate: Predicate) -> Callable[[F], F]:
        """Show a stream only while `predicate(ctx, *args)` holds; otherwise the client's value is null, no error."""
        if not callable(predicate):
            raise TypeError(f"live.gate: a function (ctx, *args) is needed, not {predicate!r}")

        def decorate(function: F) -> F:
            ensure_mark(function, "live.gate").gates.insert(0, predicate)
            return function

        return remember(decorate, "live.gate", predicate)

    def public(self, function: F) -> F:
        """Say that this function is meant to be callable without a guard. Changes nothing at run time."""
        ensure_mark(function, "live.public").public = True
        return function

    def volatile(self, function: F) -> F:
        """Say that clients call this without waiting for an answer; silences the dev warning about it."""
        ensure_mark(function, "live.volatile").volatile = True
        return function

    def message_options(
        self,
        *,
        before_execute: Callable[[Any, str, list[Any]], Any] | None = None,
        on_error: Callable[[str, BaseException, Any], Any] | None = None,
        on_json_message: Callable[[Any, dict[str, Any], Any], Any] | None = None,
        on_unhandled: Callable[[Any, str | bytes, Any], Any] | None = None,
        max_envelope_depth: int | None = None,
        max_json_depth: int | None = None,
        platform: Callable[[Any], Any] | None = None,
    ) -> None:
        """Set app-wide hooks of every call and of messages that are none. Spec: live-api 17.4.

        Args:
            before_execute: `(ws, path, args)`, awaited after the guard; raise `LiveError` to refuse.
            on_error: `(path, exception, ctx)` for exceptions that are no `LiveError`; its own are swallowed.
            on_json_message: `(ws, msg, platform)` for a text frame that is a JSON object and no call.
            on_unhandled: `(ws, data, platform)` for every other frame that is not the framework's.
            max_envelope_depth: how deep a call may be nested; else `[security] max_envelope_depth`.
            max_json_depth: how deep what `on_json_message` gets may be nested; by default as deep as a call.
            platform: `(platform)`, returns what live functions get as `ctx.platform` and publish with.

        Raises:
            TypeError, ValueError: an option that cannot be; the message names it.
        """
        set_message_options(
            before_execute=before_execute,
            on_error=on_error,
            on_json_message=on_json_message,
            on_unhandled=on_unhandled,
            max_envelope_depth=max_envelope_depth,
            max_json_depth=max_json_depth,
            platform=platform,
        )

    # Where else the app counts what the live layer does. Spec: live-api 18.2.
    metrics = staticmethod(metrics)

    #: What other services post: `live.webhook(topic, verify=..., transform=..., path=...)`.
    webhook = webhook

    # What pages that the server renders load. Spec: live-api 19.
    load = staticmethod(load)
    preload = staticmethod(preload)

    push = staticmethod(push)
    notify = staticmethod(notify)
    configure_push = staticmethod(configure_push)

    def admission(self, classes: Mapping[str, Any] | None) -> None:
        """Name classes of work and the pressure reasons (or a predicate) under which each is refused; `None` clears."""
        collector.current().admission = None if classes is None else Admission(classes)

    def silent_topic_warning(
        self,
        enabled: bool | None = None,
        *,
        threshold: float | None = None,
        suppress: Iterable[str] | None = None,
    ) -> None:
        """Say when dev warns of a topic with subscribers on which nothing comes, once per topic; `False` is never.

        Args:
            enabled: on as usual, or off. threshold: seconds, 30 without it. suppress: topics that may be silent.

        Raises:
            ValueError: an argument that cannot be.
        """
        collector.current().warnings["silent"] = SilentTopicRule.of(enabled, threshold, suppress)

    def publish_rate_warning(
        self, enabled: bool | None = None, *, threshold: float | None = None, interval: float | None = None
    ) -> None:
        """Say when dev warns of a topic with more events than a page can show, once per topic; `False` is never.

        Args:
            enabled: on as usual, or off. threshold: events per second, 200 without it. interval: seconds between two
                looks, 5 without it.

        Raises:
            ValueError: an argument that cannot be.
        """
        collector.current().warnings["rate"] = PublishRateRule.of(enabled, threshold, interval)

    def rate_limits(
        self,
        default: Rule | None = None,
        overrides: Mapping[str, Rule] | None = None,
        exempt: Iterable[str] | None = None,
    ) -> None:
        """Limit every RPC by path and caller; `live.rate_limits(None)` clears. Spec: live-api 5.3.

        Streams, binary calls and uploads are not limited, and a handler with a `live.rate_limit` of its own has only
        that.

        Args:
            default: the limit of every path without another.
            overrides: limits by path.
            exempt: paths without a limit of the app's.

        Raises:
            ValueError: an option that cannot be; the message names it.
        """
        collector.current().rate_limits = RateLimits(default, overrides, exempt)

    def keep(self, name: str, factory: Callable[..., T], *args: Any) -> T:
        """Return a module-level value that survives a reload: `cache = live.keep("cache", dict)`.

        `factory(*args)` is called once, and again only when the factory's code or an argument changed. A bare
        module-level value starts anew at every reload.

        Raises:
            CapacityExceeded: more than `MAX_LIVE_KEPT` values.
        """
        module = str(sys._getframe(1).f_globals.get("__name__", ""))
        return collector.current().keep.get(module, name, factory, args)


#: The decorators of the live API.
live = Live()
