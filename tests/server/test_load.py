"""What pages that the server renders load: `live.load`, `live.preload`, `stream.load`. Spec: live-api 19."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from runtime import LiveError, Page, PlatformNotReady, current_ctx, guard, live
from runtime.core.errors import RealtimeError
from runtime.testing import eventually
from tests.server.conftest import AppFactory
from tests.server.peers import App

LOG: list[str] = []

CHAT = """
    # realtime-allow-public
    import asyncio
    from runtime import LiveError, Page, live, current_ctx, pipe
    from tests.server.test_load import LOG

    @live.middleware
    async def noted(ctx, next):
        LOG.append("middleware")
        return await next()

    def admit(ctx, *args):
        LOG.append(f"access {args}")
        return args[0] != "closed"

    def shown(item):
        LOG.append("transform")
        return {**item, "shown": True}

    def failed(error, ctx, topic):
        LOG.append(f"on_error {error} {topic}")

    @live.gate(lambda ctx, room, count=0: LOG.append("gate") or room != "gated")
    @live.stream(
        lambda room, count=0: f"chat:{room}", access=admit, transform=shown, on_error=failed, class_of_service="bulk",
        on_subscribe=lambda ctx, topic: LOG.append("on_subscribe"), version=3,
        migrate={1: lambda item: {"migrated": True}},
    )
    async def messages(ctx, room: str, count: int = 0):
        LOG.append(f"loader {room} {count!r} {ctx.user} {ctx.ws} {ctx.cursor} {ctx.request_id} {ctx.signal.aborted}")
        assert current_ctx() is ctx
        if room == "broken":
            raise ValueError("boom")
        if room == "missing":
            raise LiveError("NO_ROOM", "There is no such room", {"room": room})
        return [{"id": 1, "by": ctx.user}]

    first = pipe(messages, pipe.limit(0))

    @live.stream("pages")
    async def pages(ctx):
        return Page([1], True, "next")

    typing = live.channel(lambda room: f"typing:{room}", merge="presence")
    volume = live.channel("volume")

    @live
    async def add(ctx, a: int, b: int = 1):
        assert ctx.ws is None
        ctx.publish("sums", "created", {"id": a})
        return a + b

    @live(thread=True)
    def slow(ctx, a: int):
        assert current_ctx() is ctx
        return [a, ctx.platform.request_id]

    @live.rate_limit(1, 60)
    @live
    async def rare(ctx):
        return 1

    @live
    async def outer(ctx):
        inner = await live.load("chat/add", ctx.platform, args=[1])
        return [inner, current_ctx() is ctx]

    @live.binary()
    async def taken(ctx, data: bytes):
        return len(data)
"""
CLOSED = """
    from runtime import guard, live

    async def check(ctx):
        if ctx.user != "ann":
            raise ValueError("who?")

    _guard = guard(check)

    @live.stream("secrets")
    async def secrets(ctx):
        return ["secret"]
"""
HOOKS = """
    from runtime import live
    live.message_options(before_execute=lambda ws, path, args: 1 / 0)
    live.admission({"bulk": lambda pressure: True})
"""


@pytest.fixture
async def app(make_app: AppFactory) -> App:
    LOG.clear()
    return await make_app({"live/chat.py": CHAT, "live/closed.py": CLOSED, "hooks.py": HOOKS})


@pytest.mark.spec("LIVE-165")
async def test_a_load_runs_every_check_of_a_call_and_subscribes_to_nothing(app: App) -> None:
    platform = app.runtime.platform.view("page-1")
    rows = await live.load("chat/messages", platform, user="ann", args=["r1", 2])
    assert rows == [{"id": 1, "by": "ann", "shown": True}]
    assert LOG == [
        "middleware",
        "gate",
        "access ('r1', 2)",
        "loader r1 2 ann None None page-1 False",
        "transform",
    ], "neither admission nor before_execute, on_subscribe or a migration"
    assert app.runtime.platform.subscribers("chat:r1") == 0
    assert app.runtime.metrics.get("stream_subscriptions") == 0
    assert app.runtime.metrics.total("rpc_total") == 0, "not a call"


async def test_gate_access_and_arguments_decide_as_for_a_client(app: App) -> None:
    platform = app.runtime.platform
    assert await live.load("chat/messages", platform, args=["gated"]) is None
    with pytest.raises(LiveError) as refused:
        await live.load("chat/messages", platform, args=["closed"])
    assert refused.value.code == "UNAUTHENTICATED"
    with pytest.raises(LiveError) as refused:
        await live.load("chat/messages", platform, user="ann", args=["closed"])
    assert refused.value.code == "FORBIDDEN"
    for args in ([], ["r", "two"], ["r", 1, 2]):
        with pytest.raises(LiveError) as refused:
            await live.load("chat/messages", platform, args=args)
        assert refused.value.code == "VALIDATION"
    assert not [line for line in LOG if line.startswith("loader")]


@pytest.mark.spec("LIVE-166")
async def test_a_guarded_module_wants_to_know_who_asks(app: App) -> None:
    platform = app.runtime.platform
    with pytest.raises(RuntimeError, match="user=None"):
        await live.load("closed/secrets", platform)
    with pytest.raises(LiveError) as refused:
        await live.load("closed/secrets", platform, user=None)
    assert refused.value.code == "UNAUTHENTICATED", "the guard ran, for nobody"
    with pytest.raises(LiveError) as refused:
        await live.load("closed/secrets", platform, user="bob")
    assert refused.value.code == "FORBIDDEN"
    assert await live.load("closed/secrets", platform, user="ann") == ["secret"]


@pytest.mark.spec("LIVE-167")
@pytest.mark.parametrize("fallback", [None, [], {"x": 1}])
async def test_a_fallback_takes_the_place_of_every_error(app: App, fallback: Any) -> None:
    platform = app.runtime.platform
    told: list[Exception] = []

    async def on_error(error: Exception) -> None:
        told.append(error)
        raise RuntimeError("swallowed")

    for path, args in (
        ("chat/messages", ["broken"]),
        ("chat/messages", ["missing"]),
        ("chat/messages", ["closed"]),
        ("chat/messages", []),
        ("chat/nothing", []),
        ("closed/secrets", []),
    ):
        assert await live.load(path, platform, args=args, fallback=fallback, on_error=on_error) is fallback
    kinds = [error.code if isinstance(error, LiveError) else type(error).__name__ for error in told]
    assert kinds == ["ValueError", "NO_ROOM", "UNAUTHENTICATED", "VALIDATION", "NOT_FOUND", "RuntimeError"]
    assert await live.load("chat/add", platform, args=[1], fallback=fallback) == 2


async def test_what_a_fallback_hides_is_logged_if_nobody_is_told(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "realtime.live"):
        assert await live.load("chat/nothing", app.runtime.platform, fallback=0) == 0
    assert "chat/nothing" in caplog.text
    assert "NOT_FOUND" in caplog.text


async def test_the_streams_own_on_error_hears_of_a_failed_loader(app: App) -> None:
    platform = app.runtime.platform
    with pytest.raises(ValueError, match="boom"):
        await live.load("chat/messages", platform, args=["broken"])
    assert await live.load("chat/messages", platform, args=["missing"], fallback=1) == 1
    told = [line for line in LOG if line.startswith("on_error")]
    assert told == ["on_error boom chat:broken", "on_error NO_ROOM: There is no such room chat:missing"]


async def test_functions_channels_and_pages_can_be_loaded(app: App) -> None:
    platform = app.runtime.platform.view("page-2")
    assert await live.load("chat/add", platform, args=[2, 3]) == 5
    assert await live.load("chat/slow", platform, args=[7]) == [7, "page-2"]
    assert await live.load("chat/typing", platform, args=["r"]) == []
    assert await live.load("chat/volume", platform) is None
    assert await live.load("chat/pages", platform) == Page([1], True, "next")
    assert await live.load("chat/outer", platform) == [2, True], "the inner load leaves the outer ctx"
    assert current_ctx() is None
    assert await live.load("chat/rare", platform, user={"id": "ann"}) == 1
    with pytest.raises(LiveError) as refused:
        await live.load("chat/rare", platform, user={"id": "ann"})
    assert refused.value.code == "RATE_LIMITED"
    with pytest.raises(LiveError) as refused:
        await live.load("chat/taken", platform)
    assert refused.value.code == "INVALID_REQUEST"
    with pytest.raises(LiveError) as refused:
        await live.load("chat/nothing", platform)
    assert refused.value.code == "NOT_FOUND"


async def test_a_declared_stream_has_the_form_of_an_attribute(app: App) -> None:
    platform = app.runtime.platform
    chat = app.runtime.live.registry.modules["chat"].module
    assert await chat.messages.load(platform, user="bob", args=["r1"]) == [
        {"id": 1, "by": "bob", "shown": True}
    ]
    assert await chat.first.load(platform, args=["r1"]) == []
    assert await chat.typing.load(platform, args=["r1"]) == []
    assert await live.load(chat.messages, platform, args=["gated"]) is None
    assert await live.load(chat.add, platform, args=[4]) == 5
    assert await chat.messages.load(platform, args=["broken"], fallback=9, on_error=LOG.append) == 9
    assert isinstance(LOG[-1], ValueError)

    @live.stream("unknown")
    async def unknown(ctx: Any) -> list[Any]:
        return []

    for what in (unknown, test_a_declared_stream_has_the_form_of_an_attribute, 7):
        with pytest.raises(TypeError, match="give the path"):
            await live.load(what, platform)
    with pytest.raises(TypeError, match="give the path"):
        await unknown.load(platform)  # type: ignore[attr-defined]


ROOMS = """
    # realtime-allow-public
    from runtime import LiveError, live

    def check(ctx, board):
        return ctx.user == "ann"

    async def cards(ctx, board: str):
        return [board]

    board = live.room(
        topic=lambda board: f"board:{board}", init=cards, guard=check,
        presence=lambda ctx: {"name": "x"}, actions={"add": lambda ctx, board, text: text},
    )

    class Desk(live.Room):
        topic = lambda desk: f"desk:{desk}"
        async def init(self, ctx, desk: str):
            return {desk: True}
        merge = "set"
"""


@pytest.mark.spec("LIVE-165")
async def test_the_data_of_a_room_can_be_loaded(make_app: AppFactory) -> None:
    app = await make_app({"live/rooms.py": ROOMS})
    rooms, platform = app.runtime.live.registry.modules["rooms"].module, app.runtime.platform
    assert await rooms.board.data.load(platform, user="ann", args=["b1"]) == ["b1"]
    assert await rooms.Desk.data.load(platform, args=["d"]) == {"d": True}
    assert await live.load("rooms/board/__presence", platform, user="ann", args=["b1"]) == []
    assert await live.load("rooms/board/__action/add", platform, user="ann", args=["b1", "t"]) == "t"
    with pytest.raises(RuntimeError, match="guarded"):
        await rooms.board.data.load(platform, args=["b1"])
    with pytest.raises(LiveError) as refused:
        await rooms.board.data.load(platform, user="bob", args=["b1"])
    assert refused.value.code == "FORBIDDEN"


MIDDLEWARE = """
    # realtime-allow-public
    from runtime import LiveError, live

    @live.middleware
    async def changing(ctx, next):
        if ctx.user == "nobody":
            return "instead"
        if ctx.user == "refused":
            raise LiveError("NOT_TODAY")
        return [*await next(), "more"]

    @live.stream("s", replay=True)
    async def rows(ctx):
        return [1]
"""


async def test_middleware_sees_and_changes_the_value(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": MIDDLEWARE})
    platform = app.runtime.platform
    assert await live.load("m/rows", platform) == [1, "more"]
    assert (await live.preload("m/rows", platform)).data == [1, "more"]
    assert await live.load("m/rows", platform, user="nobody") == "instead"
    with pytest.raises(LiveError, match="NOT_TODAY"):
        await live.load("m/rows", platform, user="refused")


KEPT = """
    # realtime-allow-public
    from runtime import Page, live

    VERSION = [5]
    async def version(): return VERSION[0]
    async def diff(since): return []

    @live.stream(lambda room: f"log:{room}", merge="crud", key="n", max=9, replay=True, version=2)
    async def log(ctx, room: str):
        ctx.publish(f"log:{room}", "created", {"n": 99})
        return Page([{"n": 1}], True, "c1")

    @live.stream("doc", merge="set", delta={"version": version, "diff": diff})
    async def doc(ctx):
        VERSION[0] += 1
        return {"text": "x"}

    @live.stream("plain")
    async def plain(ctx):
        return {"data": [1], "hasMore": False}
"""


async def test_a_preloaded_value_knows_where_a_page_goes_on(make_app: AppFactory) -> None:
    app = await make_app({"live/k.py": KEPT})
    platform = app.runtime.platform
    start = await platform.replay.seq("log:a")
    log = await live.preload("k/log", platform, args=["a"])
    assert (log.path, log.args, log.data, log.has_more, log.cursor) == (
        "k/log",
        ("a",),
        [{"n": 1}],
        True,
        "c1",
    )
    assert log.options == {"merge": "crud", "key": "n", "max": 9, "replay": True}
    assert (log.seq, log.schema_version, log.is_dynamic) == (start, 2, True)
    kept = await platform.replay.since("log:a", log.seq)
    assert [one.event for one in kept] == ["created"], "what came while it loaded is known from here on"
    doc = await live.preload("k/doc", platform)
    assert (doc.version, doc.data, doc.is_dynamic, doc.seq) == (5, {"text": "x"}, False, None)
    plain = await live.preload("k/plain", platform)
    assert (plain.data, plain.has_more, plain.cursor, plain.seq) == ([1], False, None, None)
    assert plain.value == {"data": [1], "hasMore": False}


async def test_a_load_ends_in_the_code_in_which_it_began(make_app: AppFactory) -> None:
    source = """
        # realtime-allow-public
        import asyncio
        from runtime import live
        from tests.server.test_load import LOG
        release = live.keep("release", asyncio.Event)

        @live.stream("s")
        async def rows(ctx):
            LOG.append("loading")
            await release.wait()
            return NUMBER
    """
    app = await make_app({"live/m.py": source.replace("NUMBER", "1")})
    LOG.clear()
    running = asyncio.create_task(live.load("m/rows", app.runtime.platform))
    await eventually(lambda: LOG)
    old = app.runtime.live.generation
    app.write("live/m.py", source.replace("NUMBER", "2"))
    await app.runtime.live.reload([app.project / "live/m.py"])
    assert old.running == 1
    app.runtime.live.registry.modules["m"].module.release.set()
    assert await running == 1
    assert old.running == 0
    assert await live.load("m/rows", app.runtime.platform) == 2


async def test_arguments_that_cannot_be_and_apps_that_do_not_run_are_named(make_app: AppFactory) -> None:
    with pytest.raises(PlatformNotReady, match="before the app was started"):
        await live.load("chat/messages")
    app = await make_app({"live/k.py": KEPT})
    assert (await live.load("k/plain"))["data"] == [1], "the app that runs"
    with pytest.raises(TypeError, match="args"):
        await live.load("k/log", app.runtime.platform, args="a")
    with pytest.raises(TypeError, match="platform"):
        await live.load("k/log", "platform", args=["a"])  # type: ignore[arg-type]
    assert issubclass(PlatformNotReady, RealtimeError)
    assert guard(authenticated=True)


FOLLOWING = """
    # realtime-allow-public
    from runtime import Lifetime, Reducer, Tumbling, live

    runs = []

    @live.derived(["orders"])
    async def summary() -> dict:
        runs.append("summary")
        return {"runs": len(runs)}

    @live.derived(lambda shop: [f"orders:{shop}"])
    async def of_shop(ctx, shop: str) -> dict:
        return {"shop": shop, "user": ctx.user, "ws": ctx.ws}

    errors = live.aggregate(
        "errors", {"count": Reducer(init=lambda: 0, reduce=lambda acc, event, data: acc + 1)}, topic="error-stats",
    )

    class Stats(live.Aggregate):
        source, topic = "orders", "order-stats"
        windows = {"total": Lifetime(), "today": Tumbling(period="daily", tz="UTC")}
        count = Reducer(init=lambda: 0, reduce=lambda acc, event, data: acc + data)
"""


@pytest.mark.spec("LIVE-165")
async def test_derived_streams_and_windows_of_aggregates_can_be_loaded(make_app: AppFactory) -> None:
    app = await make_app({"live/f.py": FOLLOWING})
    platform = app.runtime.platform
    module = app.runtime.live.registry.modules["f"].module
    for amount in (2, 3):
        platform.publish("orders", "created", amount)
    platform.publish("errors", "raised", None)
    assert set(await live.load("f/summary", platform)) == {"runs"}
    assert set(await module.summary.load(platform)) == {"runs"}
    shop = await live.load("f/of_shop", platform, user="ann", args=["s1"])
    assert shop == {"shop": "s1", "user": "ann", "ws": None}
    assert await module.of_shop.load(platform, args=["s2"]) == {"shop": "s2", "user": None, "ws": None}
    assert await live.load("f/errors", platform) == {"count": 1}
    assert await module.errors.load(platform) == {"count": 1}
    for loaded in (await module.Stats.today.load(platform), await module.Stats.total.load(platform)):
        assert loaded == {"count": 5}
    assert await live.load("f/Stats/__window/today", platform) == {"count": 5}
    assert await live.load(module.Stats.today, platform) == {"count": 5}
    assert app.runtime.metrics.get("stream_subscriptions") == 0
