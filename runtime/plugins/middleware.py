"""`Middleware`: what looks at a message before the app's own code does, in a fixed order. Spec: platform 7.12."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.core.connection import Connection
    from runtime.core.platform import Platform

__all__ = ["Middleware", "MiddlewareContext"]

Step = Callable[["MiddlewareContext", Callable[[], Awaitable[None]]], Any]


class MiddlewareContext:
    """One message on its way through the functions, which may change everything but `ws`, `message` and `platform`.

    `topic`, `event` and `data` start as those of `message`, `None` where it has none; `locals` is what the functions
    of this run tell each other.
    """

    __slots__ = ("data", "event", "locals", "message", "platform", "topic", "ws")

    def __init__(self, ws: Connection, message: Any, platform: Platform) -> None:
        self.ws = ws
        self.message = message
        self.platform = platform
        fields = message if isinstance(message, Mapping) else {}
        self.topic: Any = fields.get("topic")
        self.event: Any = fields.get("event")
        self.data: Any = fields.get("data")
        self.locals: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<MiddlewareContext {self.topic!r} {self.event!r}>"


class Middleware:
    """Functions that each let a message through by calling `next()`, or stop it by not doing so.

    A function is `fn(ctx, next)`, plain or asynchronous. What it does behind `await next()` it does after the
    functions behind it. A plain function calls `next()` and is followed by the rest when it has returned. The list has
    no bound: it is as long as the app's code makes it.

    Args:
        fns: the functions, first to last.

    Raises:
        ValueError: something that cannot be called.
    """

    __slots__ = ("_fns",)

    def __init__(self, *fns: Step) -> None:
        self._fns: list[Step] = []
        for fn in fns:
            self.use(fn)

    def use(self, fn: Step) -> Middleware:
        """Add a function at the end and return this; a run that has not got there yet takes it in.

        Raises:
            ValueError: `fn` cannot be called.
        """
        if not callable(fn):
            raise ValueError(f"Middleware: fn must be callable as fn(ctx, next), not {fn!r}")
        self._fns.append(fn)
        return self

    async def run(
        self, ws: Connection, message: Any, platform: Platform | None = None
    ) -> MiddlewareContext | None:
        """Send one message through the functions.

        Args:
            ws: where it came from.
            message: what came; of a mapping `topic`, `event` and `data` are in the context.
            platform: `ws.platform` if it is left out.

        Returns:
            The context if every function called `next()`, else `None`.

        Raises:
            Exception: whatever a function raises.
        """
        run = _Run(self._fns, MiddlewareContext(ws, message, platform or ws.platform))
        await run.go_on(0)
        return run.ctx if run.is_through else None


class _Run:
    """One message's way; `is_through` once the last function has called `next()`."""

    __slots__ = ("_fns", "ctx", "is_through")

    def __init__(self, fns: list[Step], ctx: MiddlewareContext) -> None:
        self._fns = fns
        self.ctx = ctx
        self.is_through = False

    async def go_on(self, index: int) -> None:
        """Call the function at `index`, which leads to those behind it."""
        if index >= len(self._fns):
            self.is_through = True
            return
        rest: _Rest | None = None

        def next() -> Awaitable[None]:
            nonlocal rest
            if rest is not None:
                return _Rest(None)
            rest = _Rest(lambda: self.go_on(index + 1))
            return rest

        answer = self._fns[index](self.ctx, next)
        if inspect.isawaitable(answer):
            await answer
        if rest is not None:
            await rest


class _Rest:
    """What `next()` returns: the functions behind. They run once, when it is first awaited."""

    __slots__ = ("_run",)

    def __init__(self, run: Callable[[], Awaitable[None]] | None) -> None:
        self._run = run

    def __await__(self) -> Generator[Any, None, None]:
        run, self._run = self._run, None
        if run is not None:
            yield from run().__await__()
