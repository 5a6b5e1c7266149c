"""Which topics a client may name, and which the app may publish on. Platform 5.3, 5.4 and 5.5."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.core.settings import SecuritySettings
from runtime.wire import names
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer

HOOKS = """
    asked = []

    def subscribe(ws, topic):
        asked.append(topic)
        return topic != "__forbidden"
"""
LIVE = {"live/things.py": ""}


def asked(app: App) -> list[str]:
    found: list[str] = app.runtime.hooks.get("subscribe")._function.__globals__["asked"]  # type: ignore[union-attr]
    return found


async def answers(peer: Peer, frame: str | dict[str, Any], ref: int) -> list[dict[str, Any]]:
    """Send a frame, then one that is granted for sure; return what was answered before."""
    peer.send(frame)
    peer.send({"type": "subscribe", "topic": "behind", "ref": f"behind{ref}"})
    await peer.wait(lambda one: one.get("ref") == f"behind{ref}")
    return [one for one in peer.parsed() if one.get("ref") == ref]


def subscribe(topic: Any, ref: int = 1) -> dict[str, Any]:
    return {"type": "subscribe", "topic": topic, "ref": ref}


# ------------------------------------------------------------ 5.3: `__` from a client

SYSTEM = [
    json.dumps(subscribe("__signal:victim")),
    json.dumps(subscribe("__")),
    json.dumps(subscribe("___")),
    json.dumps(subscribe("__realtime")),
    json.dumps(subscribe("__presence:room:1")),
    json.dumps(subscribe("__replay:orders")),
    json.dumps(subscribe("__group:staff")),
    r'{"type":"subscribe","topic":"\u005f_signal:victim","ref":1}',
    r'{"type":"subscribe","topic":"\u005F\u005fsignal:victim","ref":1}',
    r'{"type":"subscribe","topic":"room:1","topic":"__signal:victim","ref":1}',
    json.dumps(subscribe("\uff3f\uff3fsignal:victim")),
    json.dumps(subscribe("_\u200b_signal:victim")),
    json.dumps(subscribe("\ufeff__signal:victim")),
]


@pytest.mark.spec("PLAT-105", "WIRE-41")
@pytest.mark.parametrize("frame", SYSTEM)
async def test_no_client_subscribes_to_a_system_topic(make_app: AppFactory, frame: str) -> None:
    app = await make_app({**LIVE, "hooks.py": HOOKS})
    peer = await app.connect({"id": "u1"})
    (denied,) = await answers(peer, frame, 1)
    assert (denied["type"], denied["reason"]) == ("subscribe-denied", "INVALID_TOPIC")
    assert app.runtime.metrics.total("security_refusals_total") == 1
    assert asked(app) == ["behind"]
    assert peer.connection.granted == {"behind"}
    app.runtime.platform.publish("__signal:victim", "secret", 1)
    assert "secret" not in "".join(peer.frames)


@pytest.mark.spec("PLAT-105")
async def test_in_a_batch_only_the_system_topic_is_denied(make_app: AppFactory) -> None:
    app = await make_app({**LIVE, "hooks.py": HOOKS})
    peer = await app.connect({"id": "u1"})
    topics = ["a", "__signal:victim", " __x", "\uff3f\uff3fx", "b", "__"]
    found = await answers(peer, {"type": "subscribe-batch", "topics": topics, "ref": 1}, 1)
    assert {one["topic"]: one.get("reason", "ok") for one in found} == {
        "a": "ok",
        "b": "ok",
        " __x": "ok",  # a legal topic that nobody trims into another
        "__signal:victim": "INVALID_TOPIC",
        "\uff3f\uff3fx": "INVALID_TOPIC",
        "__": "INVALID_TOPIC",
    }
    assert peer.connection.granted == {"a", "b", " __x", "behind"}
    assert "__x" not in peer.connection.all_topics


@pytest.mark.spec("PLAT-105", "PLAT-119")
async def test_with_the_switch_the_hook_decides(make_app: AppFactory) -> None:
    switch = SecuritySettings(allow_system_topic_subscribe=True)
    app = await make_app({**LIVE, "hooks.py": HOOKS}, security=switch)
    peer = await app.connect({"id": "u1"})
    (granted,) = await answers(peer, subscribe("__signal:u1"), 1)
    (denied,) = await answers(peer, subscribe("__forbidden", 2), 2)
    assert granted["type"] == "subscribed"
    assert denied["reason"] == "FORBIDDEN"
    assert asked(app)[:1] == ["__signal:u1"]
    assert app.runtime.metrics.get("security_optouts", "allow_system_topic_subscribe") == 1


@pytest.mark.spec("PLAT-105")
@pytest.mark.parametrize(
    "message",
    [
        {"type": "presence", "topic": "__presence:room:1", "data": {}},
        {"type": "cursor", "topic": "__cursor:room:1", "data": {"x": 1}},
        {"type": "unsubscribe", "topic": "__realtime"},
        {"type": "replay", "topic": "__signal:victim", "since": 0, "reqId": "r"},
        {"type": "resume", "sessionId": "s", "lastSeenSeqs": {"__signal:victim": 0}},
        {"type": "hello", "caps": ["batch"], "topics": ["__signal:victim"]},
    ],
)
async def test_other_messages_do_not_subscribe_either(make_app: AppFactory, message: dict[str, Any]) -> None:
    app = await make_app({**LIVE, "hooks.py": HOOKS})
    peer = await app.connect({"id": "u1"})
    app.runtime.platform.publish("__signal:victim", "secret", 1)
    before = set(peer.connection.all_topics)
    assert await answers(peer, message, 1) == []
    assert set(peer.connection.all_topics) == before | {"behind"}
    assert "secret" not in "".join(peer.frames)


@pytest.mark.spec("PLAT-105")
async def test_the_server_puts_connections_where_it_likes(make_app: AppFactory) -> None:
    app = await make_app(LIVE)
    peer = await app.connect({"id": "u1"})
    assert await app.runtime.platform.subscribe(peer.connection, "__staff") is None
    peer.connection.subscribe("__raw")
    assert {"__staff", "__raw"} <= set(peer.connection.all_topics)


# ------------------------------------------------------------ 5.5: printable ASCII

UNSEEN = [*"\u202a\u202e\u2066\u2069\u200b\u200f\u2028\u2029\ufeff"]
NEVER = ["", "t" * 257, "a\x00", "a\x1f", 'a"b', "a\\b", "\ud800", "a\udfffb", "a\nb", "ab\n", "\t"]
LATIN = ["é", "\u0440\u0430\u0443", "a\x7f", "\u00a0", "日本", "\u0430dmin"]
DECOMPOSED = ["e\u0301", "\u1112\u1161\u11ab", "\u212b"]


async def refused(app: App, topics: list[Any]) -> list[str]:
    peer = await app.connect({"id": "u1"})
    reasons = []
    for ref, topic in enumerate(topics):
        (answer,) = await answers(peer, subscribe(topic, ref), ref)
        reasons.append(answer.get("reason", "ok"))
    return reasons


@pytest.mark.spec("PLAT-107", "WIRE-40")
async def test_topics_of_clients_are_printable_ascii(make_app: AppFactory) -> None:
    app = await make_app(LIVE)
    bad = [*NEVER, *UNSEEN, *LATIN, *DECOMPOSED, "a\u202eb"]
    assert await refused(app, bad) == ["INVALID_TOPIC"] * len(bad)
    assert await refused(app, ["t" * 256, " ", "~", "!#[]^_`{|}"]) == ["ok"] * 4


@pytest.mark.spec("PLAT-107", "PLAT-119")
async def test_the_switch_lets_in_what_people_can_see(make_app: AppFactory) -> None:
    app = await make_app(LIVE, security=SecuritySettings(allow_non_ascii_topics=True))
    bad = [*NEVER, *UNSEEN, *DECOMPOSED, "a\u202eb", "é\u200b", "__é", "__"]
    assert await refused(app, bad) == ["INVALID_TOPIC"] * len(bad)
    good = [*LATIN, "t" * 256, "é" * 256]
    assert await refused(app, good) == ["ok"] * len(good)


@pytest.mark.spec("PLAT-107")
@pytest.mark.parametrize("topic", [7, None, True, ["a"], [["a"]], {"a": 1}, 1.5])
async def test_a_topic_that_is_no_text_is_no_subscription(make_app: AppFactory, topic: Any) -> None:
    source = "seen = []\ndef message(ws, data, msg):\n    seen.append(msg)\n"
    app = await make_app({**LIVE, "hooks.py": source})
    peer = await app.connect({"id": "u1"})
    assert await answers(peer, subscribe(topic), 1) == []  # falls through to the app
    found = await answers(peer, {"type": "subscribe-batch", "topics": [topic, "fine"], "ref": 2}, 2)
    reasons = sorted(one.get("reason", "ok") for one in found)
    assert reasons == ["INVALID_TOPIC", "ok"]
    assert peer.connection.granted == {"behind", "fine"}


@pytest.mark.spec("PLAT-107")
async def test_a_denial_repeats_no_more_than_256_characters(make_app: AppFactory) -> None:
    app = await make_app(LIVE)
    peer = await app.connect({"id": "u1"})
    (denied,) = await answers(peer, subscribe("x" * 5000), 1)
    assert denied["topic"] == "x" * 256


@pytest.mark.spec("PLAT-107")
def test_every_listed_character_is_refused_and_its_neighbours_are_not() -> None:
    ranges = [(0x200B, 0x200F), (0x2028, 0x202E), (0x2066, 0x2069), (0xFEFF, 0xFEFF), (0xD800, 0xDFFF)]
    for first, last in ranges:
        for code in range(first, last + 1):
            assert not names.is_wire_topic(f"a{chr(code)}b", allow_non_ascii=True), hex(code)
    for code in (0x200A, 0x2010, 0x2027, 0x202F, 0x2065, 0x206A, 0xFEFE, 0xFF00):
        assert names.is_wire_topic(f"a{chr(code)}b", allow_non_ascii=True), hex(code)


# ------------------------------------------------------------ 5.4: publishes of the app

PUBLISHING = """
    from runtime import live

    class Sly(str):
        def startswith(self, *given): return False

    @live
    async def publish(ctx, topic: str): return ctx.publish(topic, "created", {"secret": 1})

    @live
    async def joined(ctx, text: str): return ctx.publish(f"_{text}", "created", {"secret": 1})

    @live
    async def sly(ctx, topic: str): return ctx.publish(Sly(topic), "created", {"secret": 1})

    @live
    async def raw(ctx, topic: str): return ctx.publish(topic.encode(), "created", {"secret": 1})

    @live
    async def throttled(ctx, topic: str): return ctx.publish_throttled(topic, "created", {"secret": 1}, 1)

    @live
    async def debounced(ctx, topic: str): return ctx.publish_debounced(topic, "created", {"secret": 1}, 1)

    @live
    async def batch(ctx, topic: str):
        ctx.batch([{"topic": "fine", "event": "created", "data": {"secret": 1}},
                   {"topic": topic, "event": "created", "data": {"secret": 1}}])

    @live(thread=True)
    def threaded(ctx, topic: str): return ctx.publish(topic, "created", {"secret": 1})

    @live.stream(lambda ctx, topic: topic)
    async def dynamic(ctx, topic: str): return [1]
"""
DOORS = ["publish", "sly", "throttled", "debounced", "batch", "threaded"]


@pytest.mark.spec("PLAT-106")
@pytest.mark.parametrize("topic", ["__signal:victim", "__", "__realtime"])
@pytest.mark.parametrize("door", [*DOORS, "joined", "raw"])
async def test_no_door_of_ctx_leads_to_a_system_topic(make_app: AppFactory, door: str, topic: str) -> None:
    app = await make_app({"live/things.py": PUBLISHING})
    peer = await app.connect({"id": "u1"})
    for one in (topic, "fine"):
        peer.connection.subscribe(one)
    given = topic[1:] if door == "joined" else topic
    answer = await peer.request(f"things/{door}", given)
    assert answer["ok"] is False
    assert answer["code"] == ("INTERNAL_ERROR" if door == "raw" else "INVALID_TOPIC")
    refused = app.runtime.metrics.get("security_refusals_total", "system_publish")
    assert refused == (0 if door == "raw" else 1)
    assert '"secret"' not in "".join(peer.frames)


@pytest.mark.spec("PLAT-106")
@pytest.mark.parametrize("topic", ["__signal:victim", "__"])
async def test_a_stream_whose_topic_becomes_one_is_refused(make_app: AppFactory, topic: str) -> None:
    app = await make_app({"live/things.py": PUBLISHING})
    peer = await app.connect({"id": "u1"})
    answer = await peer.stream("things/dynamic", topic)
    assert (answer["ok"], answer["code"], answer["error"]) == (
        False,
        "INVALID_REQUEST",
        "Reserved topic prefix",
    )
    assert topic not in peer.connection.all_topics


@pytest.mark.spec("PLAT-106", "PLAT-119")
async def test_with_the_switch_ctx_publishes_to_system_topics(make_app: AppFactory) -> None:
    switch = SecuritySettings(allow_system_topic_publish=True)
    app = await make_app({"live/things.py": PUBLISHING}, security=switch)
    peer = await app.connect({"id": "u1"})
    peer.connection.subscribe("__mine")
    for door in DOORS:
        assert (await peer.request(f"things/{door}", "__mine"))["ok"] is True, door
    assert len(peer.events("__mine")) >= 4  # the debounced one waits


@pytest.mark.spec("PLAT-106")
@pytest.mark.parametrize(
    "source",
    [
        "@live.stream('__x')\nasync def f(ctx): ...",
        "f = live.channel('__x')",
        "f = live.webhook('__x', verify=lambda body, headers: {}, transform=lambda event: None)",
        "f = live.aggregate('a', {'n': {'init': lambda: 0, 'reduce': lambda a, e, d: a + 1}}, topic='__x')",
        "async def load(ctx): ...\nf = live.room(topic='__x', init=load)",
    ],
)
async def test_a_declared_system_topic_does_not_load(make_app: AppFactory, source: str) -> None:
    app = await make_app({"live/things.py": f"from runtime import live\n{source}\n"}, env="dev")
    (problem,) = app.runtime.problems
    assert problem.file == "live/things.py"
    assert "__x" in problem.message
    assert "__" in problem.message
