"""Streams that catch up from the history of their topic. Spec: wire 5.4, transcript 11.6; live-api 8.6."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns

FEED = """
    import asyncio
    from runtime import live, Page

    loads = []
    rows = []
    gate = asyncio.Event()
    gate.set()

    @live.stream("feed", replay=True)
    async def items(ctx):
        loads.append("items")
        await gate.wait()
        return list(rows)

    @live.stream("lines", merge="latest", max=3, replay={"size": 4})
    async def lines(ctx):
        loads.append("lines")
        return [f"line {n}" for n in range(6)]

    @live.stream(lambda room: f"room:{room}", replay=True)
    async def room(ctx, room: str):
        loads.append(room)
        return []

    @live.stream("plain")
    async def plain(ctx):
        return []

    async def hello(ctx, topic):
        ctx.publish(topic, "created", {"id": "hello"})

    @live.stream("greeted", replay=True, on_subscribe=hello)
    async def greeted(ctx):
        return []

    async def shout(ctx, topic):
        for n in range(3):
            ctx.publish(topic, "created", {"id": n})

    @live.stream("loud", replay=True, on_subscribe=shout)
    async def loud(ctx):
        loads.append("loud")
        return []

    board = live.room(topic=lambda name: f"board:{name}", init=room, replay=True)

    @live
    async def add(ctx, number: int, topic: str = "feed"):
        rows.append({"id": number})
        ctx.publish(topic, "created", {"id": number})

    @live
    async def whisper(ctx, topic: str):
        ctx.publish("plain", "created", 1)
        ctx.publish(topic, "created", 1, volatile=True)
"""


async def started(make_app: AppFactory, **options: Any) -> tuple[App, Peer]:
    app = await make_app({"live/feed.py": FEED}, **options)
    return app, await app.connect()


def loads(app: App) -> list[str]:
    found: list[str] = app.runtime.live.registry.modules["feed"].module.loads
    return found


def add(app: App, *numbers: int, topic: str = "feed") -> None:
    for number in numbers:
        app.runtime.live.registry.modules["feed"].module.rows.append({"id": number})
        app.runtime.platform.publish(topic, "created", {"id": number})


@pytest.mark.spec("WIRE-119", "WIRE-121", "WIRE-113", "WIRE-99", "WIRE-106")
async def test_transcript_11_6_reconnect_with_resume_and_stream_replay(make_app: AppFactory) -> None:
    app, old = await started(make_app)
    add(app, *range(1, 41))
    assert (await old.stream("feed/items"))["seq"] == 40
    add(app, 41, 42, 43)
    await old.leave(1006)
    add(app, 44)
    peer = await app.connect(caps=())
    sent = [
        '{"type":"hello","caps":["batch"]}',
        '{"type":"resume","sessionId":"OLD","lastSeenSeqs":{"feed":43,"__presence:room":5}}',
        '{"type":"subscribe-batch","topics":["feed"],"ref":9}',
    ]
    for frame in sent:
        peer.send(frame)
    await turns(10)
    peer.send('{"type":"unsubscribe","topic":"feed"}')
    peer.send('{"rpc":"feed/items","id":"k3f9f","args":[],"stream":true,"seq":40}')
    await turns(10)
    peer.send('{"type":"subscribe","topic":"feed","ref":10}')
    await turns()
    assert peer.frames[1:] == [
        '{"topic":"__replay:feed","event":"msg","data":{"seq":44,"event":"created","data":{"id":44}}}',
        '{"topic":"__replay:feed","event":"end","data":null}',
        '{"type":"resumed","topics":{"feed":{"state":"filled","count":1}}}',
        '{"type":"subscribed","topic":"feed","ref":9}',
        '{"topic":"__rpc","event":"k3f9f","data":{"id":"k3f9f","ok":true,"data":['
        '{"seq":41,"topic":"feed","event":"created","data":{"id":41}},'
        '{"seq":42,"topic":"feed","event":"created","data":{"id":42}},'
        '{"seq":43,"topic":"feed","event":"created","data":{"id":43}},'
        '{"seq":44,"topic":"feed","event":"created","data":{"id":44}}],'
        '"topic":"feed","merge":"crud","key":"id","seq":44,"replay":true}}',
        '{"type":"subscribed","topic":"feed","ref":10}',
    ]
    assert app.runtime.platform.subscribers("feed") == 1
    assert loads(app) == ["items"]


@pytest.mark.spec("WIRE-119", "WIRE-99", "WIRE-100")
async def test_transcript_11_6_had_the_history_not_covered_it(make_app: AppFactory) -> None:
    app, peer = await started(make_app, capacity={"MAX_REPLAY_SIZE": 3})
    module = app.runtime.live.registry.modules["feed"].module
    await peer.stream("feed/items")
    for _ in range(44):
        app.runtime.platform.publish("feed", "created", {})
    module.rows[:] = [{"id": 44}, {"id": 43}]
    late = await app.connect()
    late.send('{"rpc":"feed/items","id":"k3f9f","args":[],"stream":true,"seq":40}')
    await late.reply("k3f9f")
    assert late.frames[-1] == (
        '{"topic":"__rpc","event":"k3f9f","data":{"id":"k3f9f","ok":true,"data":[{"id":44},{"id":43}],'
        '"topic":"feed","merge":"crud","key":"id","seq":44,"replay":false}}'
    )


@pytest.mark.spec("WIRE-99", "WIRE-100", "WIRE-114")
@pytest.mark.parametrize(
    ("seq", "numbers"),
    [
        (7, []),
        (5, [6, 7]),
        (3, [4, 5, 6, 7]),
        (2, None),
        (0, None),
        (8, None),
        (2**70, None),
        (-1, None),
        (5.0, None),
        ("5", None),
        (None, None),
        (True, None),
    ],
)
async def test_only_what_is_all_there_is_replayed(make_app: AppFactory, seq: Any, numbers: Any) -> None:
    app, peer = await started(make_app, capacity={"MAX_REPLAY_SIZE": 4})
    await peer.stream("feed/items")
    add(app, *range(1, 8))
    late = await app.connect()
    reply = await late.stream("feed/items", seq=seq)
    assert (reply["seq"], reply["topic"], reply["merge"], reply["key"]) == (7, "feed", "crud", "id")
    if numbers is None:
        assert reply["data"] == [{"id": number} for number in range(1, 8)]
        assert reply.get("replay") is (False if isinstance(seq, int | float) and seq is not True else None)
        return
    assert reply["replay"] is True
    assert reply["data"] == [
        {"seq": number, "topic": "feed", "event": "created", "data": {"id": number}} for number in numbers
    ]
    assert loads(app) == ["items"]


@pytest.mark.spec("WIRE-101")
async def test_a_latest_stream_never_gets_entries_twice(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    first = await peer.stream("feed/lines")
    assert first["data"] == [f"line {n}" for n in range(6)]
    assert "replay" not in first
    again = await (await app.connect()).stream("feed/lines", seq=first["seq"])
    assert (again["data"], again["replay"], again["seq"]) == ([], True, 0)
    assert loads(app) == ["lines"]
    app.runtime.platform.publish("lines", "said", "line 6")
    more = await (await app.connect()).stream("feed/lines", seq=first["seq"])
    assert (more["data"], more["replay"], more["seq"]) == (["line 3", "line 4", "line 5"], False, 1)


async def test_a_stream_may_say_how_much_is_kept(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    await peer.stream("feed/lines")
    for n in range(9):
        app.runtime.platform.publish("lines", "said", n)
    assert [m.seq for m in app.runtime.platform.replay.since_nowait("lines", 0)] == [6, 7, 8, 9]


async def test_each_topic_of_a_dynamic_stream_is_kept_from_its_first_subscription_on(
    make_app: AppFactory,
) -> None:
    app, peer = await started(make_app)
    app.runtime.platform.publish("room:a", "created", {"id": 1})
    assert (await peer.stream("feed/room", "a"))["seq"] == 1
    assert (await peer.stream("feed/room", "b"))["seq"] == 0
    app.runtime.platform.publish("room:a", "created", {"id": 2})
    late = await app.connect()
    assert [event["seq"] for event in (await late.stream("feed/room", "a", seq=1))["data"]] == [2]
    assert (await late.stream("feed/room", "a", seq=0))["replay"] is False
    assert (await late.stream("feed/room", "b", seq=0))["replay"] is True


async def test_the_data_of_a_room_is_kept_too(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    assert (await peer.stream("feed/board/__data", "x"))["seq"] == 0
    app.runtime.platform.publish("board:x", "created", {"id": 1})
    late = await app.connect()
    assert [event["seq"] for event in (await late.stream("feed/board/__data", "x", seq=0))["data"]] == [1]


async def test_without_replay_there_is_no_number(make_app: AppFactory) -> None:
    _, peer = await started(make_app)
    assert "seq" not in await peer.stream("feed/plain")
    assert (await peer.stream("feed/plain", seq=3))["replay"] is False


async def test_what_is_held_back_meanwhile_is_not_sent_twice(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    await peer.stream("feed/greeted")
    assert peer.events("greeted") == [("created", {"id": "hello"})]
    late = await app.connect()
    reply = await late.stream("feed/greeted", seq=0)
    assert [event["data"] for event in reply["data"]] == [{"id": "hello"}, {"id": "hello"}]
    await turns()
    assert late.events("greeted") == []
    app.runtime.platform.publish("greeted", "created", {"id": "live"})
    await turns()
    assert late.events("greeted") == [("created", {"id": "live"})]


async def test_more_than_can_be_held_before_the_reading_is_read_all_the_same(make_app: AppFactory) -> None:
    app, _ = await started(make_app, capacity={"MAX_HELD_FRAMES": 2})
    app.runtime.platform.replay.record_topic("loud", platform=app.runtime.platform)
    peer = await app.connect()
    reply = await peer.stream("feed/loud", seq=0)
    assert [event["seq"] for event in reply["data"]] == [1, 2, 3]
    assert loads(app) == []
    await turns()
    assert peer.events("loud") == []


@pytest.mark.spec("WIRE-99", "WIRE-92")
async def test_what_is_published_while_it_loads_comes_live_and_again_for_whoever_did_not_get_it(
    make_app: AppFactory,
) -> None:
    app, peer = await started(make_app)
    gate = app.runtime.live.registry.modules["feed"].module.gate
    gate.clear()
    loading = asyncio.ensure_future(peer.stream("feed/items"))
    await turns()
    app.runtime.platform.publish("feed", "created", {"id": "new"})
    gate.set()
    reply = await loading
    assert reply["seq"] == 0
    assert peer.events("feed") == [("created", {"id": "new"})]
    # Had the line broken between the reply and the event, the number of the reply would bring it back.
    late = await app.connect()
    assert [e["seq"] for e in (await late.stream("feed/items", seq=reply["seq"]))["data"]] == [1]


async def test_a_replay_that_no_client_would_take_is_loaded_in_full(make_app: AppFactory) -> None:
    from runtime.core.settings import WebSocketSettings

    app, peer = await started(make_app, websocket=WebSocketSettings(max_outbound_frame=4096))
    await peer.stream("feed/items")
    for _ in range(30):
        app.runtime.platform.publish("feed", "created", {"text": "x" * 100})
    reply = await (await app.connect()).stream("feed/items", seq=0)
    assert (reply["replay"], reply["data"]) == (False, [])


@pytest.mark.spec("WIRE-113")
async def test_a_stream_request_that_overtakes_the_subscribe_frame_closes_the_gap(
    make_app: AppFactory,
) -> None:
    app, peer = await started(make_app)
    await peer.stream("feed/items")
    add(app, 1)
    back = await app.connect()
    back.send({"type": "resume", "sessionId": "OLD", "lastSeenSeqs": {"feed": 1}})
    await turns(10)
    add(app, 2)
    assert [event["seq"] for event in (await back.stream("feed/items", seq=1))["data"]] == [2]
    back.send({"type": "subscribe", "topic": "feed", "ref": 1})
    await turns()
    events = [f.get("event") or f.get("type") for f in back.parsed()[1:]]
    assert events == ["end", "resumed", "msg", "end", "q1", "subscribed"]


@pytest.mark.spec("WIRE-113")
async def test_a_stream_that_was_on_the_topic_before_the_reading_leaves_no_gap_to_close(
    make_app: AppFactory,
) -> None:
    app, peer = await started(make_app)
    await peer.stream("feed/items")
    add(app, 1)
    back = await app.connect()
    await back.stream("feed/items")
    back.send({"type": "resume", "sessionId": "OLD", "lastSeenSeqs": {"feed": 1}})
    await turns(10)
    add(app, 2)
    back.send({"type": "subscribe", "topic": "feed", "ref": 1})
    await turns()
    assert [f.get("event") or f.get("type") for f in back.parsed()[2:]] == [
        "end",
        "resumed",
        "created",
        "subscribed",
    ]


class Unreadable:
    """A history whose reads fail."""

    def __init__(self, inner: Any, fails: str) -> None:
        self._inner = inner
        self._fails = fails

    def __getattr__(self, name: str) -> Any:
        if name == self._fails:
            raise ConnectionError("the store is gone")
        return getattr(self._inner, name)


@pytest.mark.parametrize("fails", ["since", "gap"])
async def test_a_history_that_cannot_be_read_means_a_full_load(
    make_app: AppFactory, fails: str, caplog: pytest.LogCaptureFixture
) -> None:
    app, peer = await started(make_app)
    await peer.stream("feed/items")
    add(app, 1)
    app.runtime.platform.replay = Unreadable(app.runtime.platform.replay, fails)
    reply = await (await app.connect()).stream("feed/items", seq=0)
    assert (reply["replay"], reply["data"]) == (False, [{"id": 1}])
    assert "cannot tell what a client has missed" in caplog.text


@pytest.mark.spec("LIVE-90")
async def test_without_a_history_it_works_and_says_so_once_per_topic(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app, peer = await started(make_app, env="dev")
    app.runtime.platform.replay = None
    caplog.clear()
    with caplog.at_level(logging.WARNING, "realtime.stream"):
        for _ in range(2):
            assert "seq" not in await peer.stream("feed/items")
        await peer.stream("feed/room", "a")
    assert [record.args for record in caplog.records] == [("feed",), ("room:a",)]


async def test_an_event_without_a_number_is_refused_at_the_publish_and_nothing_else_is_lost(
    make_app: AppFactory,
) -> None:
    _, peer = await started(make_app)
    await peer.stream("feed/items")
    await peer.stream("feed/plain")
    reply = await peer.request("feed/whisper", "feed")
    assert reply["ok"] is False
    await turns()
    assert peer.events("plain") == [("created", 1)]
    assert (await peer.request("feed/whisper", "plain"))["ok"] is True


@pytest.mark.spec("PLAT-137")
async def test_a_hot_reload_keeps_the_history(make_app: AppFactory) -> None:
    app, peer = await started(make_app, env="dev")
    before = (await peer.stream("feed/items"))["seq"]
    add(app, 1)
    file = app.write("live/feed.py", FEED.replace("list(rows)", "[]"))
    assert (await app.runtime.live.reload([file])).ok
    add(app, 2)
    late = await app.connect()
    reply = await late.stream("feed/items", seq=before)
    assert [event["data"] for event in reply["data"]] == [{"id": 1}, {"id": 2}]


async def test_a_stream_reloaded_without_replay_may_be_volatile(make_app: AppFactory) -> None:
    app, peer = await started(make_app, env="dev")
    await peer.stream("feed/items")
    file = app.write("live/feed.py", FEED.replace('"feed", replay=True', '"feed", volatile=True'))
    result = await app.runtime.live.reload([file])
    assert result.ok
    assert not app.runtime.platform.replay.is_recorded("feed")
    notice = await peer.wait(lambda frame: frame.get("event") == "reload")
    assert notice["data"]["resubscribe"] == ["feed/items"]
    assert (await peer.request("feed/whisper", "feed"))["ok"] is True


async def test_a_volatile_stream_ends_a_recording_of_its_topic(make_app: AppFactory) -> None:
    app, peer = await started(make_app, env="dev")
    file = app.write("live/feed.py", FEED.replace('"feed", replay=True', '"feed", volatile=True'))
    app.runtime.platform.replay.record_topic("feed", platform=app.runtime.platform)
    assert (await app.runtime.live.reload([file])).ok
    await peer.stream("feed/items")
    assert (await peer.request("feed/whisper", "feed"))["ok"] is True


SLOW_GATE = """
    import asyncio

    asked = []
    gate = asyncio.Event()

    async def subscribe(ws, topic):
        asked.append(topic)
        await gate.wait()
"""


@pytest.mark.spec("WIRE-106", "WIRE-55")
@pytest.mark.parametrize("in_a_batch", [False, True])
async def test_a_request_for_a_stream_does_not_overtake_the_leaving_before_it(
    make_app: AppFactory, in_a_batch: bool
) -> None:
    app = await make_app({"live/feed.py": FEED, "hooks.py": SLOW_GATE})
    peer = await app.connect()
    request = {"rpc": "feed/items", "id": "s", "args": [], "stream": True}
    peer.send({"type": "subscribe-batch", "topics": ["feed"], "ref": 1})
    peer.send({"type": "unsubscribe", "topic": "feed"})
    peer.send({"batch": [request]} if in_a_batch else request)
    assert (await peer.request("feed/add", 1))["ok"] is True  # other calls wait for nothing
    assert loads(app) == []
    gate = app.runtime.hooks.get("subscribe")._function.__globals__["gate"]
    gate.set()
    await peer.reply("__batch" if in_a_batch else "s")
    app.runtime.platform.publish("feed", "created", {"id": 2})
    await turns()
    assert peer.events("feed") == [("created", {"id": 2})]
    assert app.runtime.platform.subscribers("feed") == 1


async def test_a_request_that_would_wait_for_too_much_is_refused(make_app: AppFactory) -> None:
    app = await make_app({"live/feed.py": FEED, "hooks.py": SLOW_GATE}, capacity={"MAX_CONTROL_QUEUE": 1})
    peer = await app.connect()
    peer.send({"type": "subscribe", "topic": "feed", "ref": 1})
    peer.send({"type": "unsubscribe", "topic": "feed"})
    assert (await peer.stream("feed/items"))["code"] == "OVERLOADED"


@pytest.mark.parametrize("routes", [True, False, 1])
async def test_a_wrapped_platform_that_keeps_events_itself_is_left_to_it(
    make_app: AppFactory, routes: object
) -> None:
    source = f"""
        from runtime import live

        class Wrapped:
            wrapped_for_replay = {routes!r}

            def __init__(self, platform): self.platform = platform

            def publish(self, topic, event, data=None, **options):
                if topic == "kept":  # the only one that this app wants to keep
                    return self.platform.replay.publish_nowait(self.platform, topic, event, data)
                return self.platform.publish(topic, event, data, **options)

        live.message_options(platform=Wrapped)

        @live.stream("kept", replay=True)
        async def kept(ctx): return ["all"]

        @live.stream("other", replay=True)
        async def other(ctx): return ["all"]

        @live
        async def add(ctx, topic: str): ctx.publish(topic, "created", {{"id": 1}})
    """
    app = await make_app({"live/w.py": source})
    peer = await app.connect()
    first = {path: await peer.stream(f"w/{path}") for path in ("kept", "other")}
    for topic in first:
        await peer.request("w/add", topic)
    again = {path: await peer.stream(f"w/{path}", seq=reply["seq"]) for path, reply in first.items()}
    assert [entry["data"] for entry in again["kept"]["data"]] == [{"id": 1}]
    # Without the attribute the framework keeps the events of both.
    assert again["other"]["replay"] is (routes is not True)
