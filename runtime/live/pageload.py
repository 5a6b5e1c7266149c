"""`live.load` and `live.preload`: what a stream or a function gives, for a page that the server renders.

In process and without a connection: middleware, guard, arguments, gate, access, loader, transform; nothing is
subscribed to. Spec: live-api 19.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec import UNSET as ABSENT

from runtime.core.currentplatform import get_platform
from runtime.core.errors import LiveError, PlatformNotReady
from runtime.core.signal import Signal
from runtime.live.access import allows
from runtime.live.callables import call
from runtime.live.context import Ctx, ThreadCtx, keeping_current
from runtime.live.guards import denied, run_guard
from runtime.live.marks import mark_of
from runtime.live.pipeline import through
from runtime.live.streamvalue import Page, data_of
from runtime.live.topics import resolve_topic
from runtime.live.wiring import wiring_of
from runtime.plugins.options import UNSET

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from concurrent.futures import Executor

    from runtime.core.platform import Platform
    from runtime.live.generation import Generation
    from runtime.live.options import StreamOptions
    from runtime.live.registry import Endpoint
    from runtime.live.runner import FunctionRunner
    from runtime.live.scope import LiveScope
    from runtime.live.stream import StreamRunner
    from runtime.live.tracing import Tracing

__all__ = ["Loadable", "PageLoads", "PathHolder", "Preloaded", "load", "path_of", "preload", "set_loadable"]

logger = logging.getLogger("realtime.live")

#: Characters of a path that an error shows.
MAX_SHOWN_PATH: Final = 128


@dataclass(slots=True, frozen=True)
class Preloaded:
    """A loaded value together with what a page needs to go on from it: see `live.preload`.

    `value` is what was loaded, a `Page` for a page; `data` what is in it.
    """

    path: str
    args: tuple[Any, ...]
    value: Any
    #: What clients do with events, `None` for a plain function.
    options: Mapping[str, Any] | None = None
    #: The number of the last event that the value has, `None` where events have none.
    seq: int | None = None
    #: The version of the value, `msgspec.UNSET` for a stream without versions.
    version: Any = ABSENT
    schema_version: int | None = None
    is_dynamic: bool = False

    @property
    def data(self) -> Any:
        """The value, or what is in it if it is a page."""
        return data_of(self.value)

    @property
    def has_more(self) -> bool:
        """Whether there is a further page."""
        if isinstance(self.value, Page):
            return bool(self.value.has_more)
        return self.value is not self.data and bool(self.value["hasMore"])

    @property
    def cursor(self) -> Any:
        """Where the next page begins."""
        if isinstance(self.value, Page):
            return self.value.cursor
        return None if self.value is self.data else self.value.get("cursor")


class _OfPage:
    """What the ctx of a load has that is not of a connection."""

    page_platform: Platform
    _scope: LiveScope

    @property
    def platform(self) -> Platform:
        """The platform that the page was given."""
        wrap = self._scope.wrap
        return self.page_platform if wrap is None else wrap(self.page_platform)


class _PageCtx(_OfPage, Ctx):
    """The ctx of a load."""


class _ThreadPageCtx(_OfPage, ThreadCtx):
    """The ctx of a load whose function runs in a thread."""


class PageLoads:
    """The loads of one worker. Found as `platform.parts.wiring.loads`."""

    __slots__ = ("_executor", "_functions", "_generation", "_scope", "_streams", "tracing")

    def __init__(
        self,
        scope: LiveScope,
        functions: FunctionRunner,
        streams: StreamRunner,
        executor: Executor,
        generation: Callable[[], Generation],
    ) -> None:
        self._scope = scope
        self._functions = functions
        self._streams = streams
        self._executor = executor
        self._generation = generation
        #: Makes spans of loads; `None` where nothing does.
        self.tracing: Tracing | None = None

    async def load(self, path: str, platform: Platform, user: Any, args: Sequence[Any]) -> Preloaded:
        """Return the value of `path`, after the checks of a call; `user` may be `UNSET`.

        Raises:
            LiveError: `NOT_FOUND`, `INVALID_REQUEST` for what cannot be loaded, and what the checks and the loader say.
            RuntimeError: the path is guarded, and nobody said who asks.
        """
        generation = self._generation()
        registry = generation.registry
        endpoint = registry.find(path)
        if endpoint is None:
            raise LiveError("NOT_FOUND", f"There is no live path {path[:MAX_SHOWN_PATH]!r}")
        if endpoint.kind in ("binary", "upload"):
            raise LiveError("INVALID_REQUEST", f"{path!r} takes bytes from a client and cannot be loaded")
        if user is UNSET:
            if endpoint.guarded:
                raise RuntimeError(
                    f"{path!r} is guarded, so a load has to say who asks: load(..., user=request.state.user), "
                    "or user=None for nobody"
                )
            user = None
        ctx = self._ctx(endpoint, platform, user)
        made = Preloaded(path, tuple(args), None, is_dynamic=endpoint.dynamic)

        async def innermost() -> Any:
            nonlocal made
            made = await self._checked(endpoint, ctx, list(args))
            return made.value

        generation.enter()
        try:
            with keeping_current():
                work: Awaitable[Any] = through(registry, ctx, innermost)
                if self.tracing is not None and self.tracing.is_active(
                    self._scope.platform.parts.clock.monotonic()
                ):
                    work = self.tracing.around(work, path, "load", ctx.request_id, name="live.load")
                value = await work
        finally:
            generation.exit()
        return made if value is made.value else replace(made, value=value)

    def _ctx(self, endpoint: Endpoint, platform: Platform, user: Any) -> Ctx:
        made = (_ThreadPageCtx if endpoint.thread else _PageCtx)(
            self._scope, None, user=user, signal=Signal(), request_id=platform.request_id
        )
        made.page_platform = platform
        if isinstance(made, _ThreadPageCtx):
            made.bind(asyncio.get_running_loop(), self._executor)
        return made

    async def _checked(self, endpoint: Endpoint, ctx: Ctx, given: list[Any]) -> Preloaded:
        """Do what stands inside the middleware."""
        if endpoint.guard is not None:
            await run_guard(endpoint.guard, ctx)
        args = endpoint.decode(list(given))
        if endpoint.options is None:
            if endpoint.room is not None:
                ctx = await endpoint.room.admit(ctx, args)
            value = await self._functions.run(endpoint, ctx, args)
            return Preloaded(endpoint.path, tuple(given), value, is_dynamic=endpoint.dynamic)
        options = endpoint.options
        for gate in endpoint.gates:
            if not await allows(gate, ctx, args):
                return _of_stream(endpoint, options, given, None)
        if endpoint.room is not None:
            await endpoint.room.admit(ctx, args)
        if options.access is not None and not await allows(options.access, ctx, args):
            raise denied(ctx.user)
        topic = resolve_topic(options.topic, ctx, args)
        # Both are read before the loader runs: a change in between comes again to who goes on from here.
        seq, version = await self._streams.position(options, topic, args)
        if endpoint.kind == "channel":
            value = None if options.merge == "set" else []
        else:
            value = await self._streams.load_told(endpoint, ctx, args, topic)
        return _of_stream(endpoint, options, given, value, seq, version)


def _of_stream(
    endpoint: Endpoint,
    options: StreamOptions,
    args: Sequence[Any],
    value: Any,
    seq: int | None = None,
    version: Any = ABSENT,
) -> Preloaded:
    return Preloaded(
        endpoint.path,
        tuple(args),
        value,
        options.client_options(),
        seq,
        version,
        options.version,
        endpoint.dynamic,
    )


async def load(
    what: str | Callable[..., Any] | Any,
    platform: Platform | None = None,
    *,
    user: Any = UNSET,
    args: Sequence[Any] = (),
    fallback: Any = UNSET,
    on_error: Callable[[Exception], Any] | None = None,
) -> Any:
    """Return what a stream or a live function gives, without a connection: for a page that the server renders.

    Middleware, the guard, the arguments, the gate and access predicates decide as they do for a client. Nothing is
    subscribed to. A closed gate gives `None`, a paginated stream its `Page`.

    Args:
        what: the path, as in `"chat/messages"`, or the declared stream or function itself.
        platform: `request.state.platform` or any other of the app; that of the running app without it.
        user: `ctx.user`. It has to be given for what is guarded, also when it is `None`.
        args: the arguments as a client would send them, a JSON value each.
        fallback: returned when anything fails, after `on_error` was told; without it, what fails is raised.
        on_error: `(exception)`, told of what the fallback hides; it may be async. Without it that is logged.

    Raises:
        LiveError: without a fallback: `NOT_FOUND` for an unknown path, a refusal, or the loader's own error.
        RuntimeError: `user` is missing for what is guarded. PlatformNotReady: no app was started.
    """
    try:
        return (await preload(what, platform, user=user, args=args)).value
    except Exception as error:
        if fallback is UNSET:
            raise
        await _tell(on_error, what, error)
        return fallback


async def preload(
    what: str | Callable[..., Any] | Any,
    platform: Platform | None = None,
    *,
    user: Any = UNSET,
    args: Sequence[Any] = (),
) -> Preloaded:
    """Return what `load` returns, with what a page needs to go on from it: give it to `live_data` in the template.

    The page then asks only for what has changed since, where the stream has `replay` or `delta`; then its loader runs
    once for a page, and not again when the page connects.

    Args:
        what, platform, user, args: as for `live.load`.

    Raises:
        LiveError, RuntimeError, PlatformNotReady: as `live.load` without a fallback.
    """
    chosen = get_platform() if platform is None else platform
    if chosen is None:
        raise PlatformNotReady("load was called before the app was started; do it in a request or in a hook")
    if not hasattr(chosen, "parts"):
        raise TypeError(f"load: platform must be that of the app (request.state.platform), not {chosen!r}")
    if isinstance(args, str | bytes) or not hasattr(args, "__iter__"):
        raise TypeError(f"load: args must be a list of arguments, not {args!r}")
    return await wiring_of(chosen).loads.load(path_of(what), chosen, user, list(args))


def path_of(what: Any) -> str:
    """Return the path of something declared, or `what` if it is one.

    Raises:
        TypeError: nothing that clients can call, or not registered yet.
    """
    if isinstance(what, str):
        return what
    holder = what if isinstance(what, Loadable) else mark_of(what)
    path = holder.path if holder is not None else None
    if path is None:
        raise TypeError(
            f"load: give the path, or a stream or function that a loaded live module exports, not {what!r}"
        )
    return path


class PathHolder(Protocol):
    """What learns its path when it is registered."""

    @property
    def path(self) -> str | None:
        """The path, `None` for what is not registered."""


class Loadable:
    """The form of `live.load` on something declared: `messages.load(platform, user=..., args=[...])`.

    `path` is that of `holder`, with `segment` behind it for one of several parts.
    """

    __slots__ = ("_holder", "_segment")

    def __init__(self, holder: PathHolder, segment: str = "") -> None:
        self._holder = holder
        self._segment = segment

    @property
    def path(self) -> str | None:
        """The path it has been registered under."""
        path = self._holder.path
        return None if path is None else path + self._segment

    async def load(
        self,
        platform: Platform | None = None,
        *,
        user: Any = UNSET,
        args: Sequence[Any] = (),
        fallback: Any = UNSET,
        on_error: Callable[[Exception], Any] | None = None,
    ) -> Any:
        """Do what `live.load` does with this path."""
        return await load(self, platform, user=user, args=args, fallback=fallback, on_error=on_error)


def set_loadable(function: Any, holder: PathHolder) -> None:
    """Give a declared function its attribute `load`; wrappers over it get it too."""
    function.load = Loadable(holder).load


async def _tell(on_error: Callable[[Exception], Any] | None, what: Any, error: Exception) -> None:
    if on_error is None:
        logger.error("load of %r failed, the page gets its fallback", what, exc_info=error)
        return
    try:
        await call(on_error, error)
    except Exception:
        logger.exception("the on_error of a load failed")
