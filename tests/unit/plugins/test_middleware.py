"""Middleware: the order, who stops a message, and what the functions share."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.plugins import Middleware, MiddlewareContext
from tests.unit.core.parts import Core

pytestmark = pytest.mark.spec("PLAT-144")
MESSAGE = {"topic": "chat", "event": "created", "data": {"n": 1}}


@pytest.fixture
def core() -> Core:
    return Core()


async def passes(ctx: MiddlewareContext, next: Any) -> None:
    await next()


async def test_they_run_in_order_and_around_each_other(core: Core) -> None:
    steps: list[str] = []

    def step(name: str) -> Any:
        async def fn(ctx: MiddlewareContext, next: Any) -> None:
            steps.append(f"{name} in")
            ctx.locals[name] = len(ctx.locals)
            await next()
            steps.append(f"{name} out")

        return fn

    ws = core.connect()
    ctx = await Middleware(step("a"), step("b")).run(ws, MESSAGE, core.platform)
    assert steps == ["a in", "b in", "b out", "a out"]
    assert ctx is not None
    assert (ctx.ws, ctx.message, ctx.platform) == (ws, MESSAGE, core.platform)
    assert (ctx.topic, ctx.event, ctx.data, ctx.locals) == ("chat", "created", {"n": 1}, {"a": 0, "b": 1})


async def test_without_a_call_of_next_a_message_is_stopped(core: Core) -> None:
    reached: list[str] = []

    def stop(ctx: MiddlewareContext, next: Any) -> None:
        reached.append("stop")

    def behind(ctx: MiddlewareContext, next: Any) -> Any:
        reached.append("behind")
        return next()

    assert await Middleware(passes, stop, behind).run(core.connect(), MESSAGE) is None
    assert reached == ["stop"]


async def test_a_second_next_does_nothing(core: Core) -> None:
    reached: list[str] = []

    async def twice(ctx: MiddlewareContext, next: Any) -> None:
        await next()
        await next()
        next()

    async def last(ctx: MiddlewareContext, next: Any) -> None:
        reached.append("last")
        await next()

    assert await Middleware(twice, last).run(core.connect(), MESSAGE) is not None
    assert reached == ["last"]


async def test_plain_functions_are_followed_by_the_rest(core: Core) -> None:
    steps: list[str] = []

    def calls(ctx: MiddlewareContext, next: Any) -> None:
        next()
        steps.append("first")

    def returns(ctx: MiddlewareContext, next: Any) -> Any:
        steps.append("second")
        return next()

    async def forgets_to_await(ctx: MiddlewareContext, next: Any) -> None:
        next()
        steps.append("third")

    assert await Middleware(calls, returns, forgets_to_await).run(core.connect(), MESSAGE) is not None
    assert steps == ["first", "second", "third"]


async def test_what_a_function_changes_the_next_sees(core: Core) -> None:
    async def rename(ctx: MiddlewareContext, next: Any) -> None:
        ctx.topic, ctx.event, ctx.data = "other", "moved", [ctx.data]
        await next()

    ctx = await Middleware(rename, passes).run(core.connect(), MESSAGE)
    assert ctx is not None
    assert (ctx.topic, ctx.event, ctx.data) == ("other", "moved", [{"n": 1}])
    assert repr(ctx) == "<MiddlewareContext 'other' 'moved'>"


@pytest.mark.spec("PLAT-177")
@pytest.mark.parametrize("message", ["text", b"bytes", None, {}])
async def test_any_message_will_do_and_the_platform_is_the_connections(core: Core, message: Any) -> None:
    ws = core.connect()
    ctx = await Middleware().run(ws, message)
    assert ctx is not None
    assert (ctx.topic, ctx.event, ctx.data, ctx.platform) == (None, None, None, ws.platform)


@pytest.mark.parametrize("is_behind", [True, False])
async def test_what_a_function_raises_comes_out(core: Core, is_behind: bool) -> None:
    async def fail(ctx: MiddlewareContext, next: Any) -> None:
        if is_behind:
            await next()
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await Middleware(passes, fail).run(core.connect(), MESSAGE)


async def test_a_function_added_during_a_run_takes_part_if_it_is_not_passed(core: Core) -> None:
    reached: list[str] = []
    chain = Middleware()

    async def late(ctx: MiddlewareContext, next: Any) -> None:
        reached.append("late")
        await next()

    async def adds(ctx: MiddlewareContext, next: Any) -> None:
        if not reached:
            chain.use(late)
        await next()

    async def adds_after(ctx: MiddlewareContext, next: Any) -> None:
        await next()
        chain.use(late)

    assert chain.use(adds) is chain
    assert await chain.run(core.connect(), MESSAGE) is not None
    assert reached == ["late"]
    other = Middleware(adds_after)
    chain = other
    assert await other.run(core.connect(), MESSAGE) is not None
    assert reached == ["late"]
    assert await other.run(core.connect(), MESSAGE) is not None
    assert reached == ["late", "late"]


@pytest.mark.parametrize("fn", [None, 3, "fn"])
def test_what_cannot_be_called_is_refused(fn: Any) -> None:
    with pytest.raises(ValueError, match="Middleware: fn must be callable"):
        Middleware(fn)
