"""Runs one function of the app with its ctx: in the loop, or in the worker threads when it asked for that."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from runtime.core.tasks import TaskOwner
from runtime.live.callables import call, call_in_thread
from runtime.live.context import Ctx, ThreadCtx, call_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from runtime.core.connection import Connection
    from runtime.live.registry import Endpoint
    from runtime.live.scope import LiveScope
    from runtime.wire.rpc import CallFrame

__all__ = ["FunctionRunner"]


class FunctionRunner:
    """Makes the ctx of a call and runs the function of an endpoint with it."""

    __slots__ = ("_executor", "_scope", "tasks")

    def __init__(self, scope: LiveScope, executor: Executor) -> None:
        self._scope = scope
        self._executor = executor
        #: Hooks of streams that run after the fact.
        self.tasks = TaskOwner("live hooks")

    def ctx_for(self, connection: Connection, frame: CallFrame | None = None, *, thread: bool = False) -> Ctx:
        """Return a fresh ctx for one call of `connection`."""
        made = (ThreadCtx if thread else Ctx)(
            self._scope,
            connection,
            user=connection.user,
            signal=connection.signal,
            cursor=frame.cursor if frame is not None else None,
            idempotency_key=frame.idempotency_key if frame is not None else None,
            request_id=connection.request_id,
        )
        if isinstance(made, ThreadCtx):
            self.bind(made)
        return made

    def bind(self, ctx: ThreadCtx) -> None:
        """Let the body of a call that has `ctx` run in the worker threads, if it wants that."""
        ctx.bind(asyncio.get_running_loop(), self._executor)

    async def run(self, endpoint: Endpoint, ctx: Ctx, args: list[Any]) -> Any:
        """Call the endpoint's function with decoded arguments and return its result."""
        function = endpoint.fn
        if function is None:
            return None
        return await self.invoke(function, ctx, args, thread=endpoint.thread)

    async def invoke(
        self, function: Callable[..., Any], ctx: Ctx, args: list[Any], *, thread: bool = False
    ) -> Any:
        """Call a function of the app, `function(ctx, *args)`, and return its result."""
        if thread and not inspect.iscoroutinefunction(function):  # wrappers run in the loop
            return await call_in_thread(self._executor, call_in, ctx, function, args)
        return await call(call_in, ctx, function, args)
