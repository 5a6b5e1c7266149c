"""`ctx.send_signal`, `relay`, and what of a ctx cannot be changed. Spec: live-api 2, 2.6, 2.7."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runtime.core.errors import LiveError
from runtime.core.signal import Signal
from runtime.live.callables import call_in_thread
from runtime.live.context import Ctx, ThreadCtx, call_in
from runtime.live.scope import LiveScope
from tests.server.conftest import AppFactory
from tests.server.peers import turns
from tests.unit.core.parts import Core


def context(core: Core, **fields: Any) -> Any:
    scope = LiveScope(core.platform, core.turn, core.max_frame)
    return Ctx(scope, None, user=None, signal=Signal(), **fields)


@pytest.mark.spec("LIVE-22")
@pytest.mark.parametrize(
    "user_id", ["", "x" * 257, "a\x00b", "a\nb", "a\x7fb", 'a"b', "a\\b", None, 7, b"u1", ["u1"]]
)
async def test_an_id_that_cannot_name_a_user_is_refused(user_id: Any) -> None:
    core = Core()
    with pytest.raises(LiveError) as caught:
        context(core).send_signal(user_id, "notice", 1)
    assert caught.value.code == "INVALID_USER_ID"
    assert core.sequence.next(f"__signal:{user_id}") == 1


@pytest.mark.spec("LIVE-22")
@pytest.mark.parametrize("user_id", ["u1", "x" * 256, "müller", "名", "a b:c"])
async def test_a_signal_goes_to_the_users_topic_in_order_and_numbered(user_id: str) -> None:
    core = Core()
    topic = f"__signal:{user_id}"
    peer = core.connect(topic, "a")
    ctx = context(core)
    ctx.publish("a", "first")
    assert ctx.send_signal(user_id, "notice", {"n": 1}) is True
    ctx.publish("a", "last")
    assert ctx.send_signal("nobody", "notice") is False
    core.turn.flush()
    assert core.events(peer) == [
        ("a", "first", None, 1),
        (topic, "notice", {"n": 1}, 1),
        ("a", "last", None, 2),
    ]


async def test_a_thread_hands_signals_over() -> None:
    core = Core()
    peer = core.connect("__signal:u1")
    ctx = ThreadCtx(LiveScope(core.platform, core.turn, 0), None, user=None, signal=Signal())

    def body(ctx: Any) -> bool:
        with pytest.raises(LiveError):
            ctx.send_signal("", "notice")
        return bool(ctx.send_signal("nobody", "notice") and ctx.send_signal("u1", "notice", 1))

    with ThreadPoolExecutor(1) as executor:
        ctx.bind(asyncio.get_running_loop(), executor)
        assert await call_in_thread(executor, call_in, ctx, body, []) is True
    # Around the body, in the loop, the answer is known.
    assert ctx.send_signal("nobody", "notice") is False
    await turns(2)
    assert core.events(peer) == [("__signal:u1", "notice", 1, 1)]


async def test_what_stays_here_is_said_so_to_the_bus() -> None:
    core = Core()
    ctx = context(core)
    made: list[Any] = []
    ctx._enqueue = made.append
    ctx.publish("a", "e")
    ctx.publish("a", "e", relay=False)
    ctx.batch([{"topic": "a", "event": "e"}, {"topic": "a", "event": "e", "relay": False}])
    assert [event.relay for event in made] == [True, False, True, False]


async def test_the_idempotency_key_is_read_only() -> None:
    ctx = context(Core(), idempotency_key="k1")
    assert ctx.idempotency_key == "k1"
    with pytest.raises(AttributeError):
        ctx.idempotency_key = "k2"
    assert context(Core(), idempotency_key=7).idempotency_key is None


async def test_a_replaced_user_is_this_calls_and_a_changed_one_the_connections(make_app: AppFactory) -> None:
    source = """
        from runtime import live

        @live.middleware
        async def impersonate(ctx, next):
            if ctx.user.get("sudo"):
                ctx.user = {"id": "other"}
            ctx.tenant = "t1"
            return await next()

        @live
        async def who(ctx):
            return [ctx.user["id"], ctx.ws.user["id"], ctx.tenant]

        @live
        async def rename(ctx, name: str):
            ctx.user["id"] = name
    """
    app = await make_app({"live/a.py": source})
    sudo, plain = await app.connect({"id": "u1", "sudo": True}), await app.connect({"id": "u2"})
    assert (await sudo.request("a/who"))["data"] == ["other", "u1", "t1"]
    assert (await plain.request("a/who"))["data"] == ["u2", "u2", "t1"]
    await plain.request("a/rename", "u3")
    assert (await plain.request("a/who"))["data"] == ["u3", "u3", "t1"]
