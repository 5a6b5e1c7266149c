"""The decorators record, and leave functions callable. Spec: live-api 1.3, 3.4, 4.2, 4.4."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runtime.core.errors import LiveError
from runtime.live import collector
from runtime.live.collector import Collector, collecting
from runtime.live.declare import Channel, Live, mark_of
from runtime.live.ratelimit import Rule
from runtime.testing import TestContext

live = Live()


async def plain(ctx: Any, n: int = 0) -> int:
    return n


def fresh() -> Any:
    async def handler(ctx: Any, n: int = 0) -> int:
        return n

    return handler


@pytest.mark.spec("LIVE-10")
async def test_every_decorated_function_is_callable_as_it_was() -> None:
    decorators = [
        live,
        live(),
        live.stream("x"),
        live.public,
        live.volatile,
        live.gate(lambda ctx, *args: False),
        live.scoped(lambda ctx, *args: True),
    ]
    for decorate in decorators:
        function = fresh()
        decorated = decorate(function)
        assert await decorated(TestContext(), 5) == 5
        assert mark_of(decorated) is not None

    @live(thread=True)
    def blocking(ctx: Any, n: int) -> int:
        return n

    assert blocking(TestContext(), 7) == 7
    assert mark_of(blocking).thread is True


def test_decorators_share_one_record_in_any_order() -> None:
    function = live.public(live.volatile(live(live.stream("x", merge="set")(fresh()))))
    mark = mark_of(function)
    assert (mark.kind, mark.public, mark.volatile, mark.options.merge) == ("stream", True, True, "set")
    assert mark_of(plain) is None
    assert mark_of(5) is None


def test_gates_run_from_the_top() -> None:
    first, second = (lambda ctx: 1), (lambda ctx: 2)
    function = live.gate(first)(live.gate(second)(live.stream("x")(fresh())))
    assert mark_of(function).gates == [first, second]


@pytest.mark.spec("LIVE-46", "LIVE-43")
@pytest.mark.parametrize(("user", "code"), [(None, "UNAUTHENTICATED"), ({"id": 1}, "FORBIDDEN")])
async def test_scoped_asks_with_the_arguments_of_the_call(user: Any, code: str) -> None:
    asked: list[Any] = []
    ran: list[Any] = []

    async def owner(ctx: Any, *args: Any) -> bool:
        asked.append(args)
        return args[0] == 7

    @live.scoped(owner)
    @live
    def handler(ctx: Any, n: int) -> str:
        ran.append(n)
        return "done"

    ctx = SimpleNamespace(user=user)
    assert await handler(ctx, 7) == "done"
    with pytest.raises(LiveError) as caught:
        await handler(ctx, 8)
    assert caught.value.code == code
    assert (asked, ran) == ([(7,), (8,)], [7])
    assert handler.__name__ == "handler"
    assert mark_of(handler).kind == "rpc"


@pytest.mark.parametrize(
    ("decorate", "message"),
    [
        (live, "live: a function is needed, not 5"),
        (live.stream("x"), "live.stream: a function is needed, not 5"),
        (live.public, "live.public: a function is needed, not 5"),
        (live.volatile, "live.volatile: a function is needed, not 5"),
        (live.gate(len), "live.gate: a function is needed, not 5"),
        (live.scoped(len), "live.scoped: a function is needed, not 5"),
        (live.gate, r"live.gate: a function \(ctx, \*args\) is needed, not 5"),
        (live.scoped, r"live.scoped: a function \(ctx, \*args\) is needed, not 5"),
        (live.middleware, r"live.middleware: a function \(ctx, next\) is needed, not 5"),
    ],
)
def test_what_is_no_function_is_refused(decorate: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        decorate(5)


def test_a_class_is_no_handler_and_an_async_body_runs_in_no_thread() -> None:
    with pytest.raises(TypeError, match="a function is needed"):
        live(Channel)
    with pytest.raises(TypeError, match=r"thread: fresh\.<locals>\.handler is async"):
        live(thread=True)(fresh())


def test_a_channel_knows_where_it_was_declared() -> None:
    channel = live.channel(lambda room: f"typing:{room}", merge="presence")
    mark = mark_of(channel)
    assert (mark.kind, mark.options.merge) == ("channel", "presence")
    assert channel.file == __file__
    assert channel.line == test_a_channel_knows_where_it_was_declared.__code__.co_firstlineno + 1


def test_declarations_for_the_whole_app_go_to_the_collector_of_the_module() -> None:
    def middleware(ctx: Any, next: Any) -> Any:
        return next()

    def hook(*args: Any) -> None: ...

    with collecting(Collector()) as mine:
        assert live.middleware(middleware) is middleware
        live.message_options(before_execute=hook, on_error=hook)
        live.admission({"x": ["MEMORY"]})
        live.rate_limits(Rule(5, 10), exempt=["a/b"])
        function = live(fresh())
        value = live.keep("x", list)
        assert live.keep("x", list) is value
    assert mine.middleware == [middleware]
    assert (mine.options.before_execute, mine.options.on_error) == (hook, hook)
    assert mine.admission is not None
    assert mine.rate_limits.rule("a/b") is None
    assert mine.rate_limits.rule("a/c") == Rule(5, 10)
    assert mine.marked == [function]
    with collecting(mine):
        live.admission(None)
        live.rate_limits(None)
    assert mine.admission is None
    assert mine.rate_limits.rule("a/c") is None


@pytest.mark.spec("LIVE-41")
def test_outside_of_live_modules_middleware_is_ambient_until_it_is_cleared() -> None:
    before = list(collector.ambient.middleware)
    try:
        live.middleware(plain)
        assert collector.ambient.middleware == [*before, plain]
        live.middleware.clear()
        assert collector.ambient.middleware == []
    finally:
        collector.ambient.middleware[:] = before
