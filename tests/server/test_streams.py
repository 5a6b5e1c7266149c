"""Streams: replies, order of checks, holding back, roll-back, channels, hooks. Spec: wire 5, live-api 8 and 9."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.conftest import AppFactory
from tests.server.peers import turns

STREAMS = """
    import asyncio
    from runtime import live, LiveError, Page

    log = []
    items = [{"id": 1, "text": "one"}]
    gate = asyncio.Event()

    @live.stream("todos")
    async def todos(ctx):
        return items

    @live.stream("latest", merge="latest", max=3)
    async def latest(ctx): return [1]

    @live.stream("value", merge="set")
    async def value(ctx): return {"n": 4}

    @live.stream("people", merge="presence")
    async def people(ctx): return []

    @live.stream("cursors", merge="cursor", key="user")
    async def cursors(ctx): return []

    @live.stream("top", key="slug", prepend=True, max=0)
    async def top(ctx): return []

    @live.stream(lambda room: f"room:{room}")
    async def room(ctx, room: str): return [{"id": "r" + room}]

    @live.stream("paged")
    async def paged(ctx):
        log.append(("paged", ctx.cursor))
        if ctx.cursor is None:
            return {"data": [{"id": 9}, {"id": 8}], "hasMore": True, "cursor": 8}
        return Page([{"id": 7}], False)

    @live.stream("failing", on_subscribe=lambda ctx, topic: log.append(("on", topic)),
                 on_unsubscribe=lambda ctx, topic, remaining: log.append(("off", topic, remaining)),
                 on_error=lambda error, ctx, topic: log.append(("error", str(error), topic)))
    async def failing(ctx):
        raise LiveError("NO_DATA", "No data today")

    @live.stream("slow", on_unsubscribe=lambda ctx, topic, remaining: log.append(("off", topic, remaining)))
    async def slow(ctx):
        log.append("loading")
        snapshot = list(items)
        await gate.wait()
        return snapshot

    typing = live.channel("typing")
    feed = live.channel(lambda ctx, room: f"feed:{room}", merge="latest")

    @live
    async def say(ctx, topic: str, n: int = 1):
        for i in range(n):
            ctx.publish(topic, "created", {"id": 100 + i})
        return n

    @live
    async def open_gate(ctx):
        gate.set()
"""


async def stream_reply(make_app: AppFactory, path: str, *args: Any) -> str:
    app = await make_app({"live/s.py": STREAMS})
    peer = await app.connect()
    await peer.stream(path, *args)
    return next(frame for frame in peer.frames if '"__rpc"' in frame)


@pytest.mark.spec("WIRE-90", "WIRE-95")
@pytest.mark.parametrize(
    ("path", "args", "inner"),
    [
        ("s/todos", [], '"data":[{"id":1,"text":"one"}],"topic":"todos","merge":"crud","key":"id"'),
        ("s/latest", [], '"data":[1],"topic":"latest","merge":"latest","max":3'),
        ("s/value", [], '"data":{"n":4},"topic":"value","merge":"set"'),
        ("s/people", [], '"data":[],"topic":"people","merge":"presence"'),
        ("s/cursors", [], '"data":[],"topic":"cursors","merge":"cursor","key":"user"'),
        ("s/top", [], '"data":[],"topic":"top","merge":"crud","key":"slug","prepend":true,"max":0'),
        ("s/room", ["a"], '"data":[{"id":"ra"}],"topic":"room:a","merge":"crud","key":"id"'),
        ("s/typing", [], '"data":null,"topic":"typing","merge":"set","channel":true'),
        ("s/feed", ["x"], '"data":[],"topic":"feed:x","merge":"latest","channel":true'),
        (
            "s/paged",
            [],
            '"data":[{"id":9},{"id":8}],"topic":"paged","merge":"crud","key":"id","hasMore":true,"cursor":8',
        ),
    ],
)
async def test_the_reply_has_the_keys_that_apply(
    make_app: AppFactory, path: str, args: list[Any], inner: str
) -> None:
    frame = await stream_reply(make_app, path, *args)
    assert frame == f'{{"topic":"__rpc","event":"q1","data":{{"id":"q1","ok":true,{inner}}}}}'


async def test_a_stream_called_as_rpc_loads_without_subscribing(make_app: AppFactory) -> None:
    app = await make_app({"live/s.py": STREAMS})
    peer = await app.connect()
    assert await peer.request("s/todos") == {"id": "q1", "ok": True, "data": [{"id": 1, "text": "one"}]}
    assert app.runtime.platform.subscribers("todos") == 0
    assert await peer.stream("s/say", "todos") == {"id": "q2", "ok": True, "data": 1}


@pytest.mark.spec("WIRE-102", "LIVE-96")
async def test_load_more_runs_the_loader_and_counts_nothing(make_app: AppFactory) -> None:
    app = await make_app({"live/s.py": STREAMS})
    peer = await app.connect()
    await peer.stream("s/paged")
    reply = await peer.stream("s/paged", cursor=8)
    assert reply == {
        "id": "q2",
        "ok": True,
        "data": [{"id": 7}],
        "topic": "paged",
        "merge": "crud",
        "key": "id",
        "hasMore": False,
    }
    assert app.runtime.metrics.get("stream_subscriptions") == 1


CHECKS = """
    from runtime import live, LiveError

    log = []

    def topic(ctx, name: str):
        log.append("topic")
        return name

    def may(ctx, name):
        log.append("access")
        return ctx.user is not None and ctx.user.get("ok")

    async def shown(ctx, name):
        log.append("gate")
        return name != "hidden"

    live.admission({"background": lambda pressure: shed, "never": []})
    shed = False

    @live.gate(shown)
    @live.stream(topic, access=may, class_of_service="background",
                 on_subscribe=lambda ctx, topic: log.append("subscribed"))
    async def checked(ctx, name: str):
        log.append("loader")
        return []

    @live.stream(lambda name: 5)
    async def number(ctx, name: str): return []

    @live.stream("x", class_of_service="nope")
    async def unknown_class(ctx): return []

    @live.stream(lambda name: name)
    async def named(ctx, name: str): return []
"""
HOOKS = """
    asked = []

    def subscribe(ws, topic):
        asked.append(topic)
        if topic == "forbidden": return False
        if topic == "quota": return "QUOTA"
        if topic == "login": return "UNAUTHENTICATED"
        if topic == "broken": raise RuntimeError("no database")
"""


@pytest.mark.spec("WIRE-91", "LIVE-78", "LIVE-79", "LIVE-80")
async def test_arguments_come_before_the_topic_and_reserved_topics_are_refused(make_app: AppFactory) -> None:
    app = await make_app({"live/c.py": CHECKS})
    peer = await app.connect({"ok": True})
    log = app.runtime.live.registry.modules["c"].module.log
    assert (await peer.stream("c/checked", 5))["code"] == "VALIDATION"
    assert log == []
    reply = await peer.stream("c/named", "__rpc")
    assert (reply["code"], reply["error"]) == ("INVALID_REQUEST", "Reserved topic prefix")
    assert (await peer.stream("c/number", "x"))["code"] == "INVALID_REQUEST"
    assert (await peer.stream("c/named", 'a"b'))["code"] == "INVALID_TOPIC"
    assert peer.connection.all_topics == {"__realtime"}


@pytest.mark.spec("WIRE-94", "LIVE-81", "LIVE-100", "LIVE-105")
async def test_gate_access_admission_and_denial_answer_as_the_spec_says(make_app: AppFactory) -> None:
    app = await make_app({"live/c.py": CHECKS, "hooks.py": HOOKS})
    module = app.runtime.live.registry.modules["c"].module
    nobody, somebody = await app.connect(None), await app.connect({"id": 1})
    allowed = await app.connect({"id": 2, "ok": True})
    assert await allowed.stream("c/checked", "hidden") == {
        "id": "q1",
        "ok": True,
        "data": None,
        "gated": True,
    }
    assert module.log == ["gate"]
    reply = await nobody.stream("c/checked", "a")
    assert (reply["code"], reply["error"]) == ("UNAUTHENTICATED", "Authentication required")
    reply = await somebody.stream("c/checked", "a")
    assert (reply["code"], reply["error"]) == ("FORBIDDEN", "Access denied")
    module.shed = True
    reply = await allowed.stream("c/checked", "a")
    assert (reply["code"], reply["error"]) == ("OVERLOADED", "Stream class 'background' shed under pressure")
    module.shed = False
    assert (await allowed.stream("c/unknown_class"))["code"] == "INVALID_REQUEST"
    for topic, code, text in [
        ("forbidden", "FORBIDDEN", "Access denied"),
        ("quota", "QUOTA", "Access denied"),
        ("login", "UNAUTHENTICATED", "Authentication required"),
        ("broken", "INTERNAL_ERROR", "Access denied"),
    ]:
        reply = await allowed.stream("c/checked", topic)
        assert (reply["code"], reply["error"]) == (code, text)
    assert "loader" not in module.log
    assert allowed.connection.all_topics == {"__realtime"}
    module.log.clear()
    assert (await allowed.stream("c/checked", "a"))["ok"] is True
    assert module.log == ["gate", "topic", "access", "subscribed", "loader"]


@pytest.mark.spec("WIRE-94")
async def test_leaving_the_stream_flag_out_is_no_way_around_access(make_app: AppFactory) -> None:
    app = await make_app({"live/c.py": CHECKS})
    module = app.runtime.live.registry.modules["c"].module
    somebody, allowed = await app.connect({"id": 1}), await app.connect({"id": 2, "ok": True})
    assert (await somebody.request("c/checked", "a"))["code"] == "FORBIDDEN"
    assert (await allowed.request("c/checked", "hidden"))["data"] is None
    module.shed = True
    assert (await allowed.request("c/checked", "a"))["code"] == "OVERLOADED"
    assert "loader" not in module.log
    module.shed = False
    assert (await allowed.request("c/checked", "a"))["data"] == []


async def test_the_gate_is_not_asked_again_for_a_topic_that_is_held(make_app: AppFactory) -> None:
    app = await make_app({"live/c.py": CHECKS, "hooks.py": HOOKS})
    peer = await app.connect({"ok": True})
    await peer.stream("c/named", "a")
    await peer.stream("c/checked", "a")
    gate_calls = app.runtime.hooks.get("subscribe")._function.__globals__["asked"]
    assert gate_calls == ["a"]


@pytest.mark.spec("WIRE-92", "LIVE-83")
async def test_frames_are_held_back_from_the_subscription_to_the_reply(make_app: AppFactory) -> None:
    app = await make_app({"live/s.py": STREAMS})
    loading, other = await app.connect(), await app.connect()
    other.send({"type": "subscribe", "topic": "slow", "ref": 1})
    loading.send({"rpc": "s/slow", "id": "k", "args": [], "stream": True})
    await turns()
    assert loading.connection.is_subscribed("slow")
    assert app.runtime.platform.subscribers("slow") == 2
    await other.request("s/say", "slow", 3)
    assert [e for e, _ in other.events("slow")] == ["created"] * 3
    assert loading.events("slow") == []
    await other.request("s/open_gate")
    await loading.reply("k")
    await turns()
    order = [f.get("event") or f.get("type") for f in loading.parsed()]
    assert order == ["welcome", "k", "created", "created", "created"]
    assert [data["id"] for _, data in loading.events("slow")] == [100, 101, 102]
    await other.request("s/say", "slow")
    assert len(loading.events("slow")) == 4


@pytest.mark.spec("WIRE-92")
async def test_an_overflow_of_held_frames_loads_once_more(make_app: AppFactory) -> None:
    app = await make_app({"live/s.py": STREAMS}, capacity={"MAX_HELD_FRAMES": 2})
    loading, other = await app.connect(), await app.connect()
    module = app.runtime.live.registry.modules["s"].module
    loading.send({"rpc": "s/slow", "id": "k", "args": [], "stream": True})
    await turns()
    module.items.append({"id": 2, "text": "published meanwhile"})
    await other.request("s/say", "slow", 3)
    await other.request("s/open_gate")
    reply = await loading.reply("k")
    assert module.log == ["loading", "loading"]
    assert reply["data"][-1]["text"] == "published meanwhile"
    assert loading.events("slow") == []


async def test_a_topic_busier_than_its_loader_is_refused_and_nothing_stays(make_app: AppFactory) -> None:
    source = """
        from runtime import live

        loads = []

        @live.stream("busy")
        async def busy(ctx):
            loads.append(1)
            for number in range(5):
                ctx.platform.publish("busy", "n", number)
            return []
    """
    app = await make_app({"live/b.py": source}, capacity={"MAX_HELD_FRAMES": 2})
    peer = await app.connect()
    reply = await peer.stream("b/busy")
    assert reply["code"] == "OVERLOADED"
    assert len(app.runtime.live.registry.modules["b"].module.loads) == 3
    assert not peer.connection.is_subscribed("busy")
    assert peer.events("busy") == []


async def test_a_topic_that_is_held_already_is_not_held_back(make_app: AppFactory) -> None:
    app = await make_app({"live/s.py": STREAMS})
    peer, other = await app.connect(), await app.connect()
    peer.send({"type": "subscribe", "topic": "slow", "ref": 1})
    peer.send({"rpc": "s/slow", "id": "k", "args": [], "stream": True})
    await turns()
    await other.request("s/say", "slow")
    assert peer.events("slow") == [("created", {"id": 100})]


@pytest.mark.spec("WIRE-93", "LIVE-82", "LIVE-101")
async def test_a_failing_loader_leaves_nothing_behind(make_app: AppFactory) -> None:
    app = await make_app({"live/s.py": STREAMS})
    peer = await app.connect()
    log = app.runtime.live.registry.modules["s"].module.log
    reply = await peer.stream("s/failing")
    assert (reply["code"], reply["error"]) == ("NO_DATA", "No data today")
    await turns()
    assert log == [("on", "failing"), ("error", "NO_DATA: No data today", "failing"), ("off", "failing", 0)]
    assert app.runtime.platform.subscribers("failing") == 0
    assert app.runtime.metrics.get("stream_subscriptions") == 0
    await peer.request("s/say", "failing")
    assert peer.events("failing") == []


@pytest.mark.spec("WIRE-93")
async def test_a_failing_loader_keeps_what_was_there_before(make_app: AppFactory) -> None:
    app = await make_app({"live/s.py": STREAMS})
    peer = await app.connect()
    peer.send({"type": "subscribe", "topic": "failing", "ref": 1})
    await peer.stream("s/failing")
    await peer.request("s/say", "failing")
    assert peer.events("failing") == [("created", {"id": 100})]


@pytest.mark.spec("WIRE-50")
async def test_leaving_while_a_loader_runs_ends_the_subscription_once(make_app: AppFactory) -> None:
    app = await make_app({"live/s.py": STREAMS})
    peer, other = await app.connect(), await app.connect()
    log = app.runtime.live.registry.modules["s"].module.log
    peer.send({"rpc": "s/slow", "id": "k", "args": [], "stream": True})
    await turns()
    peer.send({"type": "unsubscribe", "topic": "slow"})
    await other.request("s/open_gate")
    assert (await peer.reply("k"))["ok"] is True
    await turns()
    await other.request("s/say", "slow")
    assert peer.events("slow") == []
    assert log == ["loading", ("off", "slow", 0)]
    await peer.leave()
    await turns()
    assert log == ["loading", ("off", "slow", 0)]


LIFE = """
    from runtime import live

    log = []

    def on(ctx, topic): log.append(("on", ctx.user["id"]))
    def off(ctx, topic, remaining): log.append(("off", ctx.user["id"], remaining))

    @live.stream("people", merge="presence", on_subscribe=on, on_unsubscribe=off)
    async def people(ctx): return []
"""


@pytest.mark.spec("WIRE-105", "LIVE-86")
async def test_hooks_run_once_per_logical_subscription(make_app: AppFactory) -> None:
    app = await make_app({"live/p.py": LIFE})
    ann, bob = await app.connect({"id": "ann"}), await app.connect({"id": "bob"})
    log = app.runtime.live.registry.modules["p"].module.log
    await ann.stream("p/people")
    await ann.stream("p/people")
    await bob.stream("p/people")
    assert log == [("on", "ann"), ("on", "ann"), ("on", "bob")]
    log.clear()
    ann.send({"type": "unsubscribe", "topic": "people"})
    ann.send({"type": "unsubscribe", "topic": "people"})
    await turns()
    assert log == [("off", "ann", 1), ("off", "ann", 1)]
    log.clear()
    await bob.leave()
    await ann.leave()
    await turns()
    assert log == [("off", "bob", 0)]
    assert app.runtime.metrics.get("stream_subscriptions") == 0


@pytest.mark.spec("WIRE-106")
async def test_the_sequence_after_a_reconnect_leaves_one_subscription(make_app: AppFactory) -> None:
    app = await make_app({"live/s.py": STREAMS})
    peer = await app.connect()
    peer.send({"type": "subscribe-batch", "topics": ["todos"], "ref": 1})
    peer.send({"type": "unsubscribe", "topic": "todos"})
    await peer.stream("s/todos")
    peer.send({"type": "subscribe", "topic": "todos", "ref": 2})
    await peer.request("s/say", "todos")
    assert peer.events("todos") == [("created", {"id": 100})]
    assert app.runtime.platform.subscribers("todos") == 1


async def test_middleware_that_replaces_a_stream_reply_leaves_no_subscription(make_app: AppFactory) -> None:
    source = """
        from runtime import live

        @live.middleware
        async def replace(ctx, next):
            await next()
            return "instead"

        @live.stream("todos")
        async def todos(ctx): return []
    """
    app = await make_app({"live/s.py": source})
    peer = await app.connect()
    assert await peer.stream("s/todos") == {"id": "q1", "ok": True, "data": "instead"}
    assert app.runtime.platform.subscribers("todos") == 0


@pytest.mark.spec("WIRE-34", "LIVE-13", "LIVE-12")
async def test_publishes_of_a_handler_come_in_one_frame_before_its_reply(make_app: AppFactory) -> None:
    app = await make_app({"live/s.py": STREAMS})
    batching, plain = await app.connect(), await app.connect(caps=())
    for peer in (batching, plain):
        peer.send({"type": "subscribe", "topic": "todos", "ref": 1})
    await batching.request("s/say", "todos", 3)
    kinds = [f.get("type") or f["topic"] for f in batching.parsed()]
    assert kinds == ["welcome", "subscribed", "batch", "__rpc"]
    assert [f["seq"] for f in batching.parsed()[2]["events"]] == [1, 2, 3]
    assert [f.get("type") or f["topic"] for f in plain.parsed()] == ["welcome", "subscribed"] + ["todos"] * 3
    await batching.request("s/say", "todos")
    assert batching.frames[-2] == '{"topic":"todos","event":"created","data":{"id":100},"seq":4}'


@pytest.mark.spec("LIVE-11", "WIRE-59")
async def test_ctx_publish_refuses_system_topics(make_app: AppFactory) -> None:
    source = """
        from runtime import live

        @live
        async def sneak(ctx): ctx.publish("__realtime", "degraded")

        @live
        async def front_door(ctx): return ctx.platform.publish("__realtime", "degraded", {"at": 1})
    """
    app = await make_app({"live/s.py": source})
    peer = await app.connect()
    assert (await peer.request("s/sneak"))["code"] == "INVALID_TOPIC"
    assert (await peer.request("s/front_door"))["data"] is True
    assert peer.events("__realtime") == [("degraded", {"at": 1})]


async def test_mixed_publishes_keep_their_order(make_app: AppFactory) -> None:
    source = """
        from runtime import live

        @live
        async def mixed(ctx):
            ctx.publish("t", "a")
            ctx.platform.publish("t", "b")
            ctx.publish("t", "c")
            ctx.platform.send(ctx.ws, "t", "d")
    """
    app = await make_app({"live/s.py": source})
    peer = await app.connect()
    peer.send({"type": "subscribe", "topic": "t", "ref": 1})
    await peer.request("s/mixed")
    assert [event for event, _ in peer.events("t")] == ["a", "b", "c", "d"]


async def test_a_turn_leaves_in_one_write_per_peer(make_app: AppFactory) -> None:
    app = await make_app({"live/s.py": STREAMS})
    peer = await app.connect()
    peer.send({"type": "subscribe", "topic": "t", "ref": 1})
    await turns()
    before = len(peer.sink.writes)
    for number in range(20):
        app.runtime.platform.publish("t", "n", number)
    assert peer.connection.buffered_amount > 0
    await turns()
    assert peer.sink.writes[before:] == [20]
    assert peer.connection.buffered_amount == 0


@pytest.mark.parametrize(("env", "is_told"), [("dev", True), ("prod", False)])
async def test_in_dev_a_topic_that_cannot_be_one_is_told_with_its_place(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture, env: str, is_told: bool
) -> None:
    source = "from runtime import live\n\n@live.stream(lambda k: f'of:{k}')\nasync def of(ctx, k): ...\n"
    app = await make_app({"live/n.py": "# realtime-allow-public\n" + source}, env=env)
    peer = await app.connect()
    assert (await peer.stream("n/of", 'a"b'))["code"] == "INVALID_TOPIC"
    told = [one.getMessage() for one in caplog.records if one.name == "realtime.stream"]
    assert [text.split(", which")[0] for text in told] == is_told * [
        "n/of (live/n.py:4) refuses a client with INVALID_TOPIC: its topic 'of:a\"b' has the character '\"' at index 4"
    ]
