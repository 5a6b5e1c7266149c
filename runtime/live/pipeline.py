"""The order of checks of one call, in one place. Spec: wire 4.3, live-api 3.1.

path, args, registry | middleware | guard | before_execute | stream, or: registry rate limit, arguments, wrappers,
handler. What stands left of the first bar raises before any code of the app runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.core.errors import LiveError
from runtime.live.binarycalls import check_payload
from runtime.live.callables import call
from runtime.live.guards import run_guard
from runtime.live.ratelimit import identity_of
from runtime.live.streamvalue import Page
from runtime.wire import names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runtime.core.connection import Connection
    from runtime.live.context import Ctx
    from runtime.live.ratelimit import Buckets
    from runtime.live.registry import Endpoint, Registry
    from runtime.live.runner import FunctionRunner
    from runtime.live.stream import StreamRunner
    from runtime.wire.rpc import CallFrame

__all__ = ["Pipeline", "resolve", "through"]


def resolve(registry: Registry, frame: CallFrame) -> Endpoint:
    """Return the endpoint that `frame` calls.

    Raises:
        LiveError: `INVALID_REQUEST` or `NOT_FOUND`, with the texts of wire 4.3 and never the path.
    """
    endpoint = registry.find(frame.path)
    if endpoint is None and not names.is_rpc_path(frame.path):
        raise LiveError("INVALID_REQUEST", "Invalid path")
    if not isinstance(frame.args, list):
        raise LiveError("INVALID_REQUEST", "args must be an array")
    if endpoint is None:
        raise LiveError("NOT_FOUND", "Not found")
    if frame.is_binary:
        if endpoint.kind != "binary":
            raise LiveError("INVALID_REQUEST", "Not a binary endpoint")
        check_payload(endpoint, frame.args[0])
    elif endpoint.kind == "binary" or endpoint.kind == "upload":
        raise LiveError("INVALID_REQUEST", "Not an RPC endpoint")
    return endpoint


class Pipeline:
    """Runs calls through middleware, guard and the rest, to a result or an exception."""

    __slots__ = ("_buckets", "_functions", "_streams")

    def __init__(self, functions: FunctionRunner, streams: StreamRunner, buckets: Buckets) -> None:
        self._functions = functions
        self._streams = streams
        self._buckets = buckets

    async def run(
        self, registry: Registry, endpoint: Endpoint, ctx: Ctx, connection: Connection, frame: CallFrame
    ) -> Any:
        """Return the handler's result, a `StreamResult` for a stream request, or what middleware put in its place."""
        if not registry.middleware:
            return await self._guarded(registry, endpoint, ctx, connection, frame)
        produced: list[Any] = []
        final: Any = None
        is_over = False

        async def innermost() -> Any:
            result = await self._guarded(registry, endpoint, ctx, connection, frame)
            produced.append(result)
            if is_over:  # middleware did not wait for it: the call was answered without it
                self._abandon(produced, final, ctx)
            return result

        try:
            final = await through(registry, ctx, innermost)
        finally:
            is_over = True
            self._abandon(produced, final, ctx)
        return final

    async def refresh(self, registry: Registry, endpoint: Endpoint, ctx: Ctx, args: list[Any]) -> Any:
        """Return a fresh value of a stream that `ctx.ws` is subscribed to, after the checks of a new request.

        Args:
            registry: the one in force.
            endpoint: the stream in it.
            ctx: a ctx of the subscribed connection.
            args: the stream's arguments as the client sent them.

        Raises:
            LiveError: middleware, guard, gate, access or the loader refuse, or the arguments fit no longer.
        """

        async def innermost() -> Any:
            if endpoint.guard is not None:
                await run_guard(endpoint.guard, ctx)
            if registry.options.before_execute is not None:
                await call(registry.options.before_execute, ctx.ws, endpoint.path, args)
            decoded = endpoint.decode(args)
            if endpoint.room is not None:
                await endpoint.room.admit(ctx, decoded)
            return await self._streams.reload(endpoint, ctx, decoded)

        return await through(registry, ctx, innermost)

    def _abandon(self, produced: list[Any], final: Any, ctx: Ctx) -> None:
        """Undo the subscription of a stream whose reply middleware replaced or refused."""
        for result in produced:
            if result is not final and hasattr(result, "reply"):
                self._streams.roll_back(result, ctx)

    async def _guarded(
        self, registry: Registry, endpoint: Endpoint, ctx: Ctx, connection: Connection, frame: CallFrame
    ) -> Any:
        if endpoint.guard is not None:
            await run_guard(endpoint.guard, ctx)
        before = registry.options.before_execute
        if before is not None:
            await call(before, connection, endpoint.path, frame.args)
        if endpoint.kind != "rpc" and frame.stream:
            return await self._streams.run(endpoint, ctx, connection, frame)
        if registry.rate_limits is not None and not endpoint.limited and not frame.is_binary:
            rule = registry.rate_limits.rule(endpoint.path)
            if rule is not None:
                self._buckets.take(endpoint.path, identity_of(ctx.user, connection.id), rule)
        args = endpoint.decode(frame.args)
        if endpoint.room is not None:
            ctx = await endpoint.room.admit(ctx, args)
        if endpoint.kind == "rpc" or frame.is_binary:
            return await self._functions.run(endpoint, ctx, args)
        value = await self._streams.load_once(endpoint, ctx, args)
        return value.as_mapping() if isinstance(value, Page) else value


async def through(registry: Registry, ctx: Ctx, innermost: Callable[[], Awaitable[Any]]) -> Any:
    """Run `innermost` inside the middleware, the first registered outermost."""
    run = innermost
    for middleware in reversed(registry.middleware):
        run = _wrap(middleware, ctx, run)
    return await run()


def _wrap(
    middleware: Callable[[Any, Callable[[], Any]], Any], ctx: Ctx, inner: Callable[[], Awaitable[Any]]
) -> Callable[[], Awaitable[Any]]:
    called = False

    async def following() -> Any:
        nonlocal called
        if called:
            raise RuntimeError("next() was called twice in one middleware")
        called = True
        return await inner()

    async def run() -> Any:
        return await call(middleware, ctx, following)

    return run
