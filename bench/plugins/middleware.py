"""A chain of functions beside the same functions called one after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from bench.plugins.crowd import Crowd
from bench.plugins.harness import Case, Run, Side
from runtime.plugins import Middleware, MiddlewareContext

__all__ = ["CASES"]

MESSAGE = {"topic": "chat", "event": "said", "data": "hello"}
LENGTH = 5


async def _step(ctx: MiddlewareContext, next: Callable[[], Awaitable[None]]) -> None:
    ctx.locals["steps"] = ctx.locals.get("steps", 0) + 1
    await next()


async def _floor_step(ctx: dict[str, Any]) -> bool:
    ctx["steps"] = ctx.get("steps", 0) + 1
    return True


def _chain(length: int) -> Run:
    async def run(count: int) -> None:
        ws, chain = Crowd().come("user-number-00001"), Middleware(*[_step] * length)
        for _ in range(count):
            await chain.run(ws, MESSAGE)

    return run


def _loop(length: int) -> Run:
    async def run(count: int) -> None:
        steps = [_floor_step] * length
        for _ in range(count):
            ctx = dict(MESSAGE)
            for step in steps:
                if not await step(ctx):
                    break

    return run


_FLOOR = "the functions called in a loop"
CASES = [
    Case("middleware", "`run` through one function", Side("ours", _chain(1)), Side(_FLOOR, _loop(1))),
    Case(
        "middleware",
        f"`run` through {LENGTH} functions",
        Side("ours", _chain(LENGTH)),
        Side(_FLOOR, _loop(LENGTH)),
    ),
]
