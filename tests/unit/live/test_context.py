"""`ctx`: publishing, its refusals, shedding, the call that runs. Spec: live-api 2."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runtime.core.connection import Signal
from runtime.core.errors import LiveError, PayloadTooLarge
from runtime.core.settings import SecuritySettings, Settings
from runtime.live.admission import Admission
from runtime.live.callables import call_in_thread
from runtime.live.context import Ctx, ThreadCtx, call_in, current_ctx
from runtime.live.options import StreamOptions
from runtime.live.scope import LiveScope
from tests.server.peers import turns
from tests.unit.core.parts import Core


def scope_of(core: Core) -> LiveScope:
    return LiveScope(core.platform, core.turn, core.max_frame)


def context(core: Core, ws: Any = None, *, kind: type[Ctx] = Ctx, scope: LiveScope | None = None) -> Any:
    return kind(scope or scope_of(core), ws, user=None, signal=Signal())


@pytest.mark.spec("LIVE-12", "WIRE-30")
async def test_publishes_of_one_turn_are_one_frame_in_order() -> None:
    core = Core()
    able, plain = core.connect("a", "b", caps=["batch"]), core.connect("a", "b")
    ctx = context(core)
    assert ctx.publish("a", "one", 1) is True
    ctx.publish("b", "two", 2)
    ctx.publish("a", "three")
    assert core.texts(able) == []
    await turns(2)
    assert [len(frame["events"]) for frame in core.frames(able)] == [3]
    assert (
        core.events(plain)
        == core.events(able)
        == [("a", "one", 1, 1), ("b", "two", 2, 1), ("a", "three", None, 2)]
    )
    assert core.metrics.get("publish_total", "ctx") == 3


@pytest.mark.spec("LIVE-14", "WIRE-25")
async def test_volatile_publishes_and_topics_of_volatile_streams_carry_no_number() -> None:
    core = Core()
    peer = core.connect("a", "quiet")
    scope = scope_of(core)
    scope.shapes.enter("quiet", StreamOptions("quiet", volatile=True))
    ctx = context(core, scope=scope)
    for options in ({}, {"volatile": True}, {"seq": False}, {}):
        ctx.publish("a", "e", **options)
    ctx.publish("quiet", "e")
    ctx.publish("quiet", "e", seq=True)
    core.turn.flush()
    assert [(topic, number) for topic, _, _, number in core.events(peer)] == [
        ("a", 1),
        ("a", None),
        ("a", None),
        ("a", 2),
        ("quiet", None),
        ("quiet", None),
    ]


class Sly(str):
    """A text that says of itself that it begins otherwise."""

    __slots__ = ()

    def startswith(self, *args: Any) -> bool:
        return False

    def __getitem__(self, *args: Any) -> str:
        return "a"


@pytest.mark.spec("LIVE-11", "PLAT-106")
async def test_no_sibling_of_publish_takes_a_system_topic() -> None:
    core = Core()
    peer = core.connect("__x", "a")
    ctx = context(core)
    good = {"topic": "a", "event": "e"}
    for topic in ("__x", "__", Sly("__x"), f"_{'_x'}"):
        for publish in (
            lambda topic: ctx.publish(topic, "e"),
            lambda topic: ctx.publish_throttled(topic, "e", 1, 1),
            lambda topic: ctx.publish_debounced(topic, "e", 1, 1),
            lambda topic: ctx.batch([good, {"topic": topic, "event": "e"}]),
        ):
            with pytest.raises(LiveError) as caught:
                publish(topic)
            assert caught.value.code == "INVALID_TOPIC"
    await core.clock.advance(5)
    core.turn.flush()
    assert core.events(peer) == []
    ctx.publish(Sly("a"), "e")
    core.turn.flush()
    assert core.events(peer) == [("a", "e", None, 1)]


@pytest.mark.spec("PLAT-106")
async def test_a_setting_lets_system_topics_pass() -> None:
    core = Core(settings=Settings(security=SecuritySettings(allow_system_topic_publish=True)))
    peer = core.connect("__x")
    context(core).publish("__x", "e")
    core.turn.flush()
    assert core.events(peer) == [("__x", "e", None, 1)]


@pytest.mark.spec("LIVE-11", "WIRE-59")
async def test_system_topics_are_the_platforms() -> None:
    core = Core()
    peer = core.connect("__x")
    ctx = context(core)
    for publish in (lambda: ctx.publish("__x", "e"), lambda: ctx.batch([{"topic": "__x", "event": "e"}])):
        with pytest.raises(LiveError, match=r"'__x' is a system topic; use ctx\.platform\.publish") as caught:
            publish()
        assert caught.value.code == "INVALID_TOPIC"
    assert core.events(peer) == []
    assert ctx.platform.publish("__x", "e") is True
    assert len(core.events(peer)) == 1


@pytest.mark.spec("WIRE-27")
async def test_what_cannot_be_published_is_refused_at_the_call() -> None:
    core = Core(max_frame=200)
    ctx = context(core)
    with pytest.raises(ValueError, match="topic"):
        ctx.publish('a"', "e")
    for topic in (None, b"a", 7):
        with pytest.raises(TypeError, match="topic: must be a string"):
            ctx.publish(topic, "e")
    with pytest.raises(ValueError, match="event"):
        ctx.publish("a", "")
    with pytest.raises(TypeError):
        ctx.publish("a", "e", object())
    with pytest.raises(PayloadTooLarge):
        ctx.publish("a", "e", "x" * 200)
    assert core.metrics.total("publish_total") == 0


async def test_a_batch_is_checked_before_any_of_it_is_published() -> None:
    core = Core()
    peer = core.connect("a")
    ctx = context(core)
    good = {"topic": "a", "event": "e", "data": 1}
    for bad, error in (
        ({"topic": 'a"', "event": "e"}, ValueError),
        ({"event": "e"}, ValueError),
        ({"topic": "a"}, ValueError),
        ({"topic": "a", "event": "e", "data": object()}, TypeError),
        ("a", TypeError),
    ):
        with pytest.raises(error, match="message 1: "):
            ctx.batch([good, bad])
    core.turn.flush()
    assert core.events(peer) == []
    ctx.batch(message for message in [good, {**good, "seq": False}, {**good, "volatile": True}, good])
    core.turn.flush()
    assert [number for *_, number in core.events(peer)] == [1, None, None, 2]


@pytest.mark.spec("LIVE-21")
async def test_shedding_follows_admission_and_pressure() -> None:
    core = Core()
    scope = scope_of(core)
    ctx = context(core, scope=scope)
    assert ctx.shed("anything") is False
    scope.admission = Admission({"background": ["PUBLISH_RATE"], "never": []})
    assert ctx.shed("background") is False
    with pytest.raises(ValueError, match="unknown class of service 'other'; known: background, never"):
        ctx.shed("other")
    core.platform.publish_batched([{"topic": "t", "event": "e"}] * 10_000)
    await core.clock.advance(1)
    core.parts.sampler.sample()
    assert ctx.shed("background") is True
    assert ctx.shed("never") is False


async def test_the_platform_carries_the_request_id_of_the_connection() -> None:
    core = Core()
    peer = core.connect(request_id="r1")
    assert context(core, peer).platform.request_id == "r1"
    assert context(core).platform.request_id == "worker-0"


@pytest.mark.spec("LIVE-24")
async def test_the_signal_of_a_call_is_that_of_its_connection() -> None:
    core = Core()
    peer = core.connect()
    ctx = Ctx(scope_of(core), peer, user=None, signal=peer.signal)
    waiting = asyncio.ensure_future(ctx.signal.wait())
    await turns(1)
    peer.mark_closed("gone")
    assert await waiting == "gone"
    assert ctx.signal.aborted


async def test_the_current_ctx_is_that_of_the_task() -> None:
    core = Core()
    assert current_ctx() is None

    async def handler(ctx: Any) -> Any:
        await turns(1)
        return current_ctx()

    async def call(ctx: Any) -> Any:
        return await call_in(ctx, handler, [])

    contexts = [context(core) for _ in range(2)]
    assert await asyncio.gather(*(asyncio.create_task(call(ctx)) for ctx in contexts)) == contexts
    assert current_ctx() is None


async def test_a_thread_publishes_through_the_loop_and_is_refused_in_the_thread() -> None:
    core = Core()
    peer = core.connect("a")
    ctx = context(core, kind=ThreadCtx)

    def body(ctx: Any) -> Any:
        with pytest.raises(LiveError):
            ctx.publish("__x", "e")
        with pytest.raises(TypeError):
            ctx.publish("a", "e", object())
        ctx.publish("a", "e", 1)
        ctx.batch([{"topic": "a", "event": "e", "data": 2}])
        return current_ctx()

    with ThreadPoolExecutor(1) as executor:
        ctx.bind(asyncio.get_running_loop(), executor)
        assert await call_in_thread(executor, call_in, ctx, body, []) is ctx
    await turns(3)
    assert [data for _, _, data, _ in core.events(peer)] == [1, 2]
    assert current_ctx() is None
