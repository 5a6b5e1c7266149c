"""Middleware around calls. Spec: live-api 4.2."""

from __future__ import annotations

import pytest

from tests.server.conftest import AppFactory
from tests.server.peers import turns

APP = """
    from runtime import LiveError, live

    log = live.keep("log", list)

    @live.middleware
    async def outer(ctx, next):
        log.append("outer in")
        try:
            result = await next()
        except LiveError as error:
            log.append(f"outer saw {error.code}")
            raise
        log.append("outer out")
        return result

    @live.middleware
    def inner(ctx, next):
        log.append("inner")
        ctx.tenant = "t1"
        return next()

    @live.middleware
    async def special(ctx, next):
        match ctx.user:
            case "twice":
                await next()
                return await next()
            case "refused":
                raise LiveError("CLOSED", "Come back later")
            case "short":
                return {"from": "middleware"}
            case "ignored":
                await next()
                return None
        return await next()

    @live
    async def add(ctx, n: int):
        log.append(f"add {ctx.tenant} {n}")
        return n

    @live.stream("rows")
    async def rows(ctx):
        log.append("load")
        return [1]
"""


async def started(make_app: AppFactory, user: str | None):
    app = await make_app({"live/a.py": APP, "live/b.py": "from runtime import live\n"})
    module = app.runtime.live.registry.modules["a"].module
    return app, await app.connect(user), module.log


@pytest.mark.spec("LIVE-41")
async def test_it_wraps_in_the_order_of_registration(make_app: AppFactory) -> None:
    _, peer, log = await started(make_app, None)
    assert (await peer.request("a/add", 5))["data"] == 5
    assert log == ["outer in", "inner", "add t1 5", "outer out"]
    log.clear()
    assert (await peer.stream("a/rows"))["data"] == [1]
    assert log == ["outer in", "inner", "load", "outer out"]


@pytest.mark.spec("LIVE-41")
async def test_next_may_be_called_once(make_app: AppFactory) -> None:
    _, peer, log = await started(make_app, "twice")
    assert (await peer.request("a/add", 5))["code"] == "INTERNAL_ERROR"
    assert log == ["outer in", "inner", "add t1 5"]


@pytest.mark.spec("LIVE-41")
async def test_raising_refuses_the_call_and_the_outer_ones_see_it(make_app: AppFactory) -> None:
    _, peer, log = await started(make_app, "refused")
    reply = await peer.request("a/add", 5)
    assert (reply["code"], reply["error"]) == ("CLOSED", "Come back later")
    assert log == ["outer in", "inner", "outer saw CLOSED"]


async def test_what_it_returns_without_next_is_the_result(make_app: AppFactory) -> None:
    app, peer, log = await started(make_app, "short")
    for reply in (await peer.request("a/add", 5), await peer.stream("a/rows")):
        assert {"ok": True, "data": {"from": "middleware"}}.items() <= reply.items()
    assert "load" not in log
    assert app.runtime.platform.subscribers("rows") == 0


async def test_a_stream_whose_reply_it_throws_away_leaves_no_subscription(make_app: AppFactory) -> None:
    app, peer, _ = await started(make_app, "ignored")
    assert (await peer.stream("a/rows"))["data"] is None
    await turns()
    assert app.runtime.platform.subscribers("rows") == 0
    assert app.runtime.metrics.get("stream_subscriptions") == 0


async def test_a_stream_that_is_asked_for_twice_in_one_call_is_undone(make_app: AppFactory) -> None:
    app, peer, _ = await started(make_app, "twice")
    assert (await peer.stream("a/rows"))["code"] == "INTERNAL_ERROR"
    await turns()
    assert app.runtime.platform.subscribers("rows") == 0
    assert app.runtime.metrics.get("stream_subscriptions") == 0


NOT_RPC = """
    from runtime import live
    from runtime.live.marks import mark_of

    ran = []

    async def avatar(ctx, data): ran.append(data)
    async def file(ctx): ran.append("file")

    for function, kind in ((avatar, "binary"), (file, "upload")):
        live(function)
        mark_of(function).kind = kind
"""


@pytest.mark.spec("LIVE-200", "WIRE-77")
@pytest.mark.parametrize("path", ["a/avatar", "a/file"])
async def test_binary_and_upload_handlers_are_no_calls(make_app: AppFactory, path: str) -> None:
    app = await make_app({"live/a.py": NOT_RPC})
    peer = await app.connect()
    for keys in ({}, {"stream": True}):
        reply = await peer.request(path, "x", **keys)
        assert (reply["code"], reply["error"]) == ("INVALID_REQUEST", "Not an RPC endpoint")
    peer.send({"rpc": path, "args": ["x"]})
    peer.send({"batch": [{"rpc": path, "id": "b", "args": ["x"]}]})
    await peer.wait(lambda frame: "Not an RPC endpoint" in str(frame) and "'b'" in str(frame))
    assert app.runtime.live.registry.modules["a"].module.ran == []


@pytest.mark.spec("LIVE-200", "WIRE-76")
async def test_the_call_beyond_a_thousand_in_flight_is_overload(make_app: AppFactory) -> None:
    source = """
        import asyncio
        from runtime import live

        door = asyncio.Event()
        running = []

        @live
        async def wait(ctx, n: int):
            running.append(n)
            await door.wait()
            return n
    """
    app = await make_app({"live/a.py": source})
    module = app.runtime.live.registry.modules["a"].module
    peer, other = await app.connect(), await app.connect()
    for n in range(1001):
        peer.send({"rpc": "a/wait", "id": f"i{n}", "args": [n]})
    refused = await peer.reply("i1000")
    assert (refused["code"], refused["error"]) == ("OVERLOADED", "Too many calls in flight")
    assert len(module.running) == 1000
    other.send({"rpc": "a/wait", "id": "o", "args": [7]})
    await turns()
    module.door.set()
    assert (await other.reply("o"))["data"] == 7
    assert (await peer.reply("i999"))["data"] == 999
    assert (await peer.request("a/wait", 1))["ok"]
