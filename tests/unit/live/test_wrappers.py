"""What all wrappers of handlers have in common: marks, order, paths, threads, misspelled options.

Spec: live-api 1.3, 5.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from runtime.core.errors import LiveError
from runtime.live.declare import Live, mark_of
from runtime.live.marks import Place, learn_path
from runtime.plugins import CircuitBreaker, Lock, MemoryIdempotencyStore
from runtime.testing import TestContext
from tests.server.conftest import AppFactory

live = Live()


def wrappers() -> dict[str, Any]:
    return {
        "scoped": live.scoped(lambda ctx, *args: True),
        "rate_limit": live.rate_limit(points=5, window=10),
        "idempotent": live.idempotent(
            key_from=lambda ctx, *args: f"k{args}", store=MemoryIdempotencyStore(), ttl=0
        ),
        "lock": live.lock("one", lock=Lock()),
        "validated": live.validated(int),
        "breaker": live.breaker(CircuitBreaker()),
    }


def handler() -> Any:
    async def add(ctx: Any, n: int, more: str = "") -> str:
        """Add."""
        return f"{n}{more}"

    return add


@pytest.mark.spec("LIVE-10")
@pytest.mark.parametrize("name", list(wrappers()))
@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_a_wrapped_function_is_callable_as_it_was(name: str, kind: str) -> None:
    function: Any = handler()
    if kind == "plain":

        def function(ctx: Any, n: int, more: str = "") -> str:
            """Add."""
            return f"{n}{more}"

    wrapped = wrappers()[name](live(function))
    assert await wrapped(TestContext(), 5, "!") == "5!"
    assert await wrapped(TestContext(), 5) == "5"
    assert (wrapped.__name__, wrapped.__doc__, wrapped.__wrapped__) == (function.__name__, "Add.", function)
    assert mark_of(wrapped) is mark_of(function)


@pytest.mark.parametrize("name", list(wrappers()))
async def test_marks_of_streams_travel_outwards(name: str) -> None:
    wrapped = live.public(wrappers()[name](live.stream("rows", merge="set")(handler())))
    mark = mark_of(wrapped)
    assert mark is not None
    assert mark.options is not None
    assert (mark.kind, mark.options.merge, mark.public, mark.limited) == (
        "stream",
        "set",
        True,
        name == "rate_limit",
    )


async def test_only_a_breaker_leaves_what_nobody_marked_unmarked() -> None:
    for name, wrap in wrappers().items():
        function = handler()
        assert (mark_of(wrap(function)) is None) == (name == "breaker")


async def test_any_order_works() -> None:
    for order in itertools.permutations(wrappers().values()):
        function: Any = handler()
        for wrap in order:
            function = wrap(function)
        assert await live(function)(TestContext(), 7) == "7"


async def test_the_topmost_runs_first() -> None:
    ran: list[str] = []

    class Schema:
        def validate(self, value: Any) -> Any:
            ran.append("validated")
            return value

    def noted(name: str, answer: Any) -> Any:
        def note(ctx: Any, *args: Any) -> Any:
            ran.append(name)
            return answer

        return note

    function = handler()
    for wrap in (
        live.validated(Schema()),
        live.lock(noted("lock", "k")),
        live.idempotent(key_from=noted("idempotent", None)),
        live.rate_limit(5, 10, key=noted("rate_limit", "me")),
        live.scoped(noted("scoped", True)),
    ):
        function = wrap(function)
    await function(TestContext(), 1)
    assert ran == ["scoped", "rate_limit", "idempotent", "lock", "validated"]


@pytest.mark.spec("LIVE-62")
@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (
            lambda: live.idempotent(key=lambda ctx: "k"),  # type: ignore[call-arg]  # what is tested
            "live.idempotent: 'key' is no option of it; live.lock uses key, live.idempotent uses key_from",
        ),
        (
            lambda: live.lock(key_from=lambda ctx: "k"),  # type: ignore[call-arg]  # what is tested
            "live.lock: 'key_from' is no option of it; live.idempotent uses key_from, live.lock uses key",
        ),
        (
            lambda: live.lock("k", maxwait=5),  # type: ignore[call-arg]  # what is tested
            "live.lock: 'maxwait' is no option of it; did you mean 'max_wait'?",
        ),
        (
            lambda: live.rate_limit(5, windows=10),  # type: ignore[call-arg]  # what is tested
            "live.rate_limit: 'windows' is no option of it; did you mean 'window'?",
        ),
        (
            lambda: live.breaker(CircuitBreaker(), otherwise=1),  # type: ignore[call-arg]  # what is tested
            "live.breaker: 'otherwise' is no option of it; it takes breaker, fallback",
        ),
        (
            lambda: live.validated(schemas=int),  # type: ignore[call-arg]  # what is tested
            "live.validated: 'schemas' is no option of it; did you mean 'schema'?",
        ),
        (
            lambda: live.scoped(predicates=1),  # type: ignore[call-arg]  # what is tested
            "live.scoped: 'predicates' is no option of it; did you mean 'predicate'?",
        ),
    ],
)
def test_a_misspelled_option_is_an_error_that_names_the_right_one(declare: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        declare()
    assert str(caught.value) == message


@pytest.mark.parametrize("name", list(wrappers()))
@pytest.mark.parametrize("what", [5, None, int, "text"])
def test_only_functions_are_wrapped(name: str, what: Any) -> None:
    with pytest.raises(TypeError, match=f"live.{name}: a function is needed"):
        wrappers()[name](what)


def test_ten_wrappers_learn_the_path_and_deeper_ones_do_not() -> None:
    function = handler()
    places: list[Place] = []
    for _ in range(12):
        function = live.rate_limit(5, 10)(function)
        places.append(function.__realtime_place__)
    assert len({place.path for place in places}) == 1
    learn_path(function, "a/add")
    assert [place.path == "a/add" for place in places] == [False] * 2 + [True] * 10
    assert places[0].path.endswith("handler.<locals>.add")


@pytest.mark.parametrize("user", [None, {}, 0, ""])
async def test_scoped_takes_a_user_that_says_nothing_for_nobody(user: Any) -> None:
    for who, code in ((user, "UNAUTHENTICATED"), ({"id": 1}, "FORBIDDEN")):
        with pytest.raises(LiveError) as caught:
            await live.scoped(lambda ctx, *args: None)(handler())(TestContext(who), 1)
        assert caught.value.code == code


PATHS = """
    from runtime import live
    from runtime.plugins.protocols import Slot

    keys = []

    class Store:
        async def acquire(self, idempotency_key, ttl=None):
            keys.append(idempotency_key)
            return Slot("result", result=None)

    once = live.idempotent(key_from=lambda ctx, *args: "k", store=Store())

    @live.lock("k")
    @once
    @live
    async def add(ctx): ...

    @once
    @live.stream("rows")
    async def rows(ctx): ...

    async def load(ctx, id): ...

    @once
    async def act(ctx, id): ...

    board = live.room(topic=lambda id: f"b:{id}", init=load, actions={"act": act})
"""


async def test_wrappers_know_the_path_that_they_are_registered_under(make_app: AppFactory) -> None:
    app = await make_app({"live/deep/a.py": PATHS})
    peer = await app.connect()
    for path in ("add", "rows", "board/__action/act"):
        assert (await peer.request(f"deep/a/{path}", *(["x"] if "act" in path else [])))["ok"]
    assert app.runtime.live.registry.modules["deep/a"].module.keys == [
        "rpc:deep/a/add:k",
        "rpc:deep/a/rows:k",
        "rpc:deep/a/board/__action/act:k",
    ]


THREADS = """
    import threading
    from runtime import LiveError, guard, live

    @live.middleware
    async def around(ctx, next):
        try:
            return await next()
        finally:
            ctx.publish("log", "after", threading.current_thread() is threading.main_thread())

    def key(ctx, n):
        ctx.publish("log", "key", threading.current_thread() is threading.main_thread())
        return f"k{n}"

    @live.lock(key)
    @live(thread=True)
    def inside(ctx, n: int):
        ctx.publish("log", "body", threading.current_thread() is threading.main_thread())
        return n

    @live(thread=True)
    @live.lock(key)
    def outside(ctx, n: int):
        ctx.publish("log", "body", threading.current_thread() is threading.main_thread())
        return n

    class Breaker:
        def is_open(self):
            return False

    @live(thread=True)
    @live.breaker(Breaker())
    def bare(ctx, n: int):
        return threading.current_thread() is threading.main_thread()

    @live.lock(key)
    @live(thread=True)
    def fails(ctx, n: int):
        raise LiveError("NO")
"""


@pytest.mark.spec("LIVE-36", "LIVE-13")
@pytest.mark.parametrize("path", ["inside", "outside"])
async def test_a_body_in_a_thread_keeps_its_wrappers_in_the_loop(make_app: AppFactory, path: str) -> None:
    app = await make_app({"live/a.py": THREADS})
    peer = await app.connect()
    peer.send({"type": "subscribe", "topic": "log", "ref": 1})
    assert (await peer.request(f"a/{path}", 3))["data"] == 3
    assert peer.parsed()[-1]["topic"] == "__rpc"
    assert peer.events("log") == [("key", True), ("body", False), ("after", True)]
    assert (await peer.request("a/bare", 3))["data"] is False
    assert (await peer.request("a/fails", 3))["code"] == "NO"


async def test_an_async_function_cannot_run_in_a_thread_whatever_stands_over_it() -> None:
    with pytest.raises(TypeError, match="thread=True is for plain functions"):
        live(thread=True)(live.lock("k")(handler()))


async def test_what_a_wrapper_refuses_is_refused_before_the_handler(make_app: AppFactory) -> None:
    source = """
        from runtime import live

        ran = []

        @live.scoped(lambda ctx, n: n > 0)
        @live.rate_limit(points=1, window=60)
        @live
        async def add(ctx, n: int):
            ran.append(n)
            return n
    """
    app = await make_app({"live/a.py": source})
    peer, user = await app.connect(), await app.connect({"id": 1})
    ran = app.runtime.live.registry.modules["a"].module.ran
    assert (await user.request("a/add", 0))["code"] == "FORBIDDEN"
    assert (await peer.request("a/add", 0))["code"] == "UNAUTHENTICATED"
    assert (await peer.request("a/add", "1"))["code"] == "VALIDATION"
    assert (await peer.request("a/add", 1))["data"] == 1
    assert (await peer.request("a/add", 2))["code"] == "RATE_LIMITED"
    assert ran == [1]


async def test_a_live_error_of_a_wrapped_handler_passes() -> None:
    async def refuse(ctx: Any, n: int) -> None:
        raise LiveError("TEAPOT")

    function: Any = refuse
    for wrap in wrappers().values():
        function = wrap(function)
    with pytest.raises(LiveError, match="TEAPOT"):
        await function(TestContext(), 1)
