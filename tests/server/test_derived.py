"""Derived streams in whole apps. Spec: live-api 10.1 and 10.3, wire 5.3."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from runtime import LiveError, live, publish
from runtime.live import collector
from runtime.plugins.replay import Replay
from runtime.testing import FakeClock, capacity_override
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns

LIVE = """
    # realtime-allow-public
    import asyncio
    from runtime import current_ctx, live, LiveError, on_error

    orders = {"n": 1}
    runs, users, errors, asked = [], [], [], []
    gate = asyncio.Event()
    gate.set()

    @on_error
    def report(path, error):
        errors.append((path, str(error)))

    @live.middleware
    async def middleware(ctx, next):
        asked.append(ctx.user)
        return await next()

    @live.derived(["orders", "stock"])
    async def total():
        runs.append("total")
        found = {"n": orders["n"]}
        await gate.wait()
        return found

    @live.derived("later", debounce=0.5)
    async def late(ctx):
        runs.append("late")
        users.append((ctx.user, ctx.ws, current_ctx() is ctx))
        return orders["n"]

    @live.derived(lambda org: [f"members:{org}", f"mail:{org}"], access=lambda ctx, org: ctx.user != "eve")
    async def of_org(ctx, org: str):
        runs.append(org)
        users.append((ctx.user, ctx.ws))
        await gate.wait()
        if org == "broken" and ctx.ws is None: raise LiveError("BROKEN", "no such org")
        return f"{org} {orders['n']}"

    @live.derived("rows", merge="crud")
    async def rows(ctx):
        return [{"id": 1, "n": orders["n"]}]

    @live.derived("risky")
    async def risky():
        if orders["n"] == 13: raise RuntimeError("bad luck")
        if orders["n"] == 14: return object()
        return orders["n"]

    @live.derived(lambda *args: {"a": [], "b": "text", "c": ["x", 7], "d": None, "e": ["good"]}[args[0]])
    async def odd(ctx, *args):
        return list(args)

    @live.derived("chain")
    async def first(): return "first"

    @live.derived(["m/first"])
    async def second(): return "second"

    @live.derived(["pong"])
    async def ping():
        runs.append("ping")
        return 1

    @live.derived("m/ping")
    async def pong(ctx):
        ctx.publish("pong", "back")
        return 2

    @live(thread=True)
    @live.derived("heavy")
    def heavy(ctx):
        runs.append("heavy")
        return orders["n"]

    @live(thread=True)
    @live.derived("heavy")
    def heavy_bare():
        return orders["n"] * 2

    @live.derived("orders")
    @live.scoped(lambda ctx: True)
    async def wrapped(ctx): return orders["n"]

    @live.gate(lambda ctx: ctx.user == "ann")
    @live.derived("orders")
    async def gated(): return orders["n"]

    @live
    async def sell(ctx, topic: str, n: int):
        orders["n"] = n
        ctx.publish(topic, "created", {"n": n})
"""


@pytest.fixture(autouse=True)
def nothing_ambient() -> Iterator[None]:
    collector.ambient.wiring.clear()
    yield
    collector.ambient.wiring.clear()


async def started(make_app: AppFactory, **options: Any) -> tuple[App, Peer, Any]:
    app = await make_app({"live/m.py": LIVE}, **options)
    return app, await app.connect("ann"), app.runtime.live.registry.modules["m"].module


async def sell(peer: Peer, topic: str, n: int) -> None:
    await peer.request("m/sell", topic, n)
    await turns(20)


def watched(app: App) -> set[str]:
    return set(app.runtime.platform.parts.publisher.watchers)


@pytest.mark.spec("LIVE-108", "WIRE-96")
async def test_a_fixed_value_follows_every_publish_on_its_sources(make_app: AppFactory) -> None:
    _, ann, m = await started(make_app)
    reply = await ann.stream("m/total")
    assert {**reply, "id": 0} == {
        "id": 0,
        "ok": True,
        "data": {"n": 1},
        "topic": "m/total",
        "merge": "set",
        "derived": True,
    }
    await sell(ann, "orders", 2)
    m.orders["n"] = 3
    publish("stock", "anything", None)
    await turns(20)
    assert ann.events("m/total") == [("set", {"n": 2}), ("set", {"n": 3})]
    publish("other", "created")
    await turns(20)
    assert len(ann.events("m/total")) == 2


@pytest.mark.spec("LIVE-108")
async def test_silence_on_the_sources_is_waited_for_and_every_publish_begins_it_anew(
    make_app: AppFactory,
) -> None:
    clock = FakeClock()
    _, ann, m = await started(make_app, clock=clock)
    await ann.stream("m/late")
    m.runs.clear()
    m.users.clear()
    for n in (2, 3, 4):
        await sell(ann, "later", n)
        await clock.advance(0.4)
    assert (m.runs, ann.events("m/late")) == ([], [])
    await clock.advance(0.2)
    await turns(20)
    assert (m.runs, ann.events("m/late")) == (["late"], [("set", 4)])
    assert m.users == [(None, None, True)], "nobody in particular asked for it"
    await clock.advance(5)
    assert m.runs == ["late"]
    await sell(ann, "later", 5)
    await clock.advance(0.5)
    await turns(20)
    assert ann.events("m/late") == [("set", 4), ("set", 5)]


@pytest.mark.spec("LIVE-109", "WIRE-96")
async def test_there_is_one_value_for_each_tuple_of_arguments_while_somebody_is_subscribed(
    make_app: AppFactory,
) -> None:
    app, ann, m = await started(make_app)
    bob = await app.connect("bob")
    before = watched(app)
    reply = await ann.stream("m/of_org", "o1")
    assert (reply["topic"], reply["data"], reply["derived"]) == ("m/of_org~o1", "o1 1", True)
    await bob.stream("m/of_org", "o1")
    await bob.stream("m/of_org", "o2")
    assert watched(app) - before == {"members:o1", "mail:o1", "members:o2", "mail:o2"}
    m.runs.clear()
    m.users.clear()
    await sell(ann, "mail:o1", 2)
    await sell(ann, "members:o2", 3)
    assert m.runs == ["o1", "o2"], "one run for all subscribers"
    assert m.users == [("ann", None), ("bob", None)], "of whoever came first"
    assert ann.events("m/of_org~o1") == bob.events("m/of_org~o1") == [("set", "o1 2")]
    assert bob.events("m/of_org~o2") == [("set", "o2 3")]
    ann.send({"type": "unsubscribe", "topic": "m/of_org~o1"})
    m.users.clear()
    await sell(ann, "mail:o1", 4)
    assert bob.events("m/of_org~o1")[-1] == ("set", "o1 4")
    assert m.users == [("ann", None)]
    await bob.leave()
    assert watched(app) == before
    m.runs.clear()
    await sell(ann, "mail:o1", 5)
    assert m.runs == []
    # Who comes first now is somebody else.
    cat = await app.connect("cat")
    await cat.stream("m/of_org", "o1")
    await sell(ann, "mail:o1", 6)
    assert m.users[-1] == ("cat", None)


@pytest.mark.spec("LIVE-109")
async def test_a_refused_or_failed_subscription_leaves_nothing_behind(make_app: AppFactory) -> None:
    app, ann, _ = await started(make_app)
    before = watched(app)
    eve = await app.connect("eve")
    assert (await eve.stream("m/of_org", "o1"))["code"] == "FORBIDDEN"
    assert (await ann.stream("m/odd", "z"))["code"] == "INTERNAL_ERROR", "its sources raise"
    assert (await ann.stream("m/of_org", 7))["code"] == "VALIDATION"
    assert watched(app) == before
    assert app.runtime.metrics.get("stream_subscriptions") == 0


@pytest.mark.spec("WIRE-96")
@pytest.mark.parametrize(
    ("args", "topic"),
    [
        (["e"], "m/odd~e"),
        (["e", "x~y"], "m/odd~e~xy"),
        (["e", 7, 1.5, 2.0, True, False, None], "m/odd~e~7~1.5~2~true~false~null"),
        (["e", ""], "m/odd~e~"),
    ],
)
async def test_the_topic_has_each_argument_as_text(make_app: AppFactory, args: list[Any], topic: str) -> None:
    _, ann, _ = await started(make_app)
    reply = await ann.stream("m/odd", *args)
    assert (reply["topic"], reply["data"]) == (topic, args)


async def test_arguments_that_are_no_part_of_a_topic_are_refused(make_app: AppFactory) -> None:
    _, ann, _ = await started(make_app)
    for arg in ([1], {"a": 1}):
        assert (await ann.stream("m/odd", "e", arg))["code"] == "INVALID_REQUEST"
    for text in ('"', "x" * 300, "\n"):
        assert (await ann.stream("m/odd", "e", text))["code"] in ("INVALID_TOPIC", "INVALID_REQUEST")


async def test_other_arguments_with_the_topic_of_somebody_are_refused_and_end_nothing(
    make_app: AppFactory,
) -> None:
    app, ann, _ = await started(make_app)
    bob = await app.connect("bob")
    await ann.stream("m/of_org", "acme")
    refused = await bob.stream("m/of_org", "ac~me")
    assert (refused["code"], refused["error"]) == (
        "INVALID_REQUEST",
        "Other arguments have this topic already",
    )
    await sell(bob, "mail:acme", 2)
    assert (ann.events("m/of_org~acme"), bob.events("m/of_org~acme")) == ([("set", "acme 2")], [])
    # What is the same text is the same argument, as in a topic of any other stream.
    await ann.stream("m/odd", "e", 7)
    assert (await bob.stream("m/odd", "e", "7"))["ok"]


@pytest.mark.spec("LIVE-109")
async def test_the_oldest_arguments_are_forgotten_at_the_bound(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app, ann, _ = await started(make_app)
    with capacity_override(MAX_DERIVED_ARGS=2):
        for org in ("o1", "o2", "o3"):
            await ann.stream("m/of_org", org)
        for org in ("o1", "o2", "o3"):
            await sell(ann, f"mail:{org}", 2)
        assert [len(ann.events(f"m/of_org~{org}")) for org in ("o1", "o2", "o3")] == [0, 1, 1]
        assert "MAX_DERIVED_ARGS" in caplog.text
        # Whoever asks for it again has it again; those who leave what was forgotten end nothing else.
        await (await app.connect("bob")).stream("m/of_org", "o1")
        ann.send({"type": "unsubscribe", "topic": "m/of_org~o2"})
        await sell(ann, "mail:o1", 3)
        assert ann.events("m/of_org~o1") == [("set", "o1 3")]
        await sell(ann, "mail:o3", 3)
        assert len(ann.events("m/of_org~o3")) == 2


@pytest.mark.spec("LIVE-110")
async def test_what_fails_is_reported_and_the_next_value_comes_all_the_same(make_app: AppFactory) -> None:
    _, ann, m = await started(make_app)
    await ann.stream("m/risky")
    await ann.stream("m/of_org", "broken")
    for n in (13, 14):
        await sell(ann, "risky", n)
    assert [path for path, _ in m.errors] == ["derived", "derived"]
    assert m.errors[0][1] == "bad luck"
    await sell(ann, "risky", 15)
    assert ann.events("m/risky") == [("set", 15)]
    await sell(ann, "mail:broken", 1)
    assert m.errors[2:] == [("derived", "BROKEN: no such org")]
    assert ann.events("m/of_org~broken") == []


@pytest.mark.spec("LIVE-110")
async def test_without_a_handler_failures_are_logged(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app, ann, _ = await started(make_app)
    app.runtime.live.wiring.apply({"on_error": None})
    await sell(ann, "risky", 13)
    assert "derived failed" in caplog.text
    assert "bad luck" in caplog.text


@pytest.mark.spec("LIVE-42")
async def test_middleware_sees_the_subscription_and_no_recomputation(make_app: AppFactory) -> None:
    _, ann, m = await started(make_app)
    await ann.stream("m/total")
    m.asked.clear()
    publish("orders", "created")
    await turns(20)
    assert (m.runs, m.asked) == (["total", "total"], [])


async def test_runs_do_not_overlap_and_what_is_old_before_it_is_there_is_left_out(
    make_app: AppFactory,
) -> None:
    _, ann, m = await started(make_app)
    await ann.stream("m/total")
    m.runs.clear()
    m.gate.clear()
    for n in (2, 3, 4):
        await sell(ann, "orders", n)
    assert m.runs == ["total"], "one at a time"
    m.gate.set()
    await turns(20)
    assert m.runs == ["total", "total"], "one run for all that came meanwhile"
    assert ann.events("m/total") == [("set", {"n": 4})]


async def test_a_value_is_shown_also_when_publishes_never_stop_coming(make_app: AppFactory) -> None:
    _, ann, m = await started(make_app)
    await ann.stream("m/total")
    for n in range(2, 10):
        m.gate.clear()
        await sell(ann, "orders", n)
        await sell(ann, "orders", n)
        m.gate.set()
        m.gate.clear()
        await turns(3)
    m.gate.set()
    await turns(20)
    seen = [value["n"] for _, value in ann.events("m/total")]
    assert len(seen) > 3
    assert seen[-1] == 9
    assert seen == sorted(seen)


async def test_what_was_asked_for_by_somebody_who_left_is_not_published(make_app: AppFactory) -> None:
    app, ann, m = await started(make_app)
    await ann.stream("m/of_org", "o1")
    ann.send({"type": "subscribe", "topic": "m/of_org~o1", "ref": 1})
    bob = await app.connect("bob")
    bob.send({"type": "subscribe", "topic": "m/of_org~o1", "ref": 1})
    m.gate.clear()
    await sell(ann, "mail:o1", 2)
    ann.send({"type": "unsubscribe", "topic": "m/of_org~o1"})
    m.gate.set()
    await turns(20)
    assert bob.events("m/of_org~o1") == []


async def test_what_is_published_while_somebody_loads_reaches_them_after_their_value(
    make_app: AppFactory,
) -> None:
    _, ann, m = await started(make_app)
    m.gate.clear()
    ann.send({"rpc": "m/total", "id": "a", "args": [], "stream": True})
    await turns(10)
    m.orders["n"] = 2
    publish("orders", "created")
    await turns(10)
    m.gate.set()
    assert (await ann.reply("a"))["data"] == {"n": 1}
    await turns(20)
    assert ann.events("m/total") == [("set", {"n": 2})]
    topics = [frame["topic"] for frame in ann.parsed() if "event" in frame]
    assert topics[-2:] == ["__rpc", "m/total"]


async def test_a_list_is_replaced_whole(make_app: AppFactory) -> None:
    _, ann, _ = await started(make_app)
    reply = await ann.stream("m/rows")
    assert (reply["merge"], reply["key"], reply["derived"]) == ("crud", "id", True)
    await sell(ann, "rows", 2)
    assert ann.events("m/rows") == [("refreshed", [{"id": 1, "n": 2}])]


@pytest.mark.parametrize("kind", ["a", "b", "c", "d"])
async def test_sources_that_are_no_list_of_topics_are_warned_of_in_dev(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    app, ann, _ = await started(make_app, env="dev")
    before = watched(app)
    for _ in range(2):
        assert (await ann.stream("m/odd", kind))["data"] == [kind]
    assert watched(app) == before
    lines = [r.message for r in caplog.records if "the sources of m/odd are no list of topics" in r.message]
    assert len(lines) == 1
    assert "live/m.py:" in lines[0]


async def test_values_can_follow_each_other(make_app: AppFactory) -> None:
    _, ann, _ = await started(make_app)
    await ann.stream("m/second")
    publish("chain", "begin")
    await turns(30)
    assert ann.events("m/second") == [("set", "second")]


@pytest.mark.spec("LIVE-112")
async def test_values_that_follow_each_other_in_a_circle_stop(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app, _, m = await started(make_app)
    for number in (1, 2):
        m.runs.clear()
        publish("pong", "begin")
        await turns(400)
        # Every second publish is the other's; what comes from outside begins anew.
        assert len(m.runs) == 4
        assert app.runtime.metrics.get("watcher_depth_exceeded_total") == number
    assert "MAX_WATCHER_DEPTH" in caplog.text


async def test_threads_compute_too(make_app: AppFactory) -> None:
    _, ann, _ = await started(make_app)
    assert (await ann.stream("m/heavy"))["data"] == 1
    assert (await ann.stream("m/heavy_bare"))["data"] == 2
    await ann.request("m/sell", "heavy", 4)
    async with asyncio.timeout(5):
        while not (ann.events("m/heavy") and ann.events("m/heavy_bare")):
            await turns()
    assert ann.events("m/heavy") + ann.events("m/heavy_bare") == [("set", 4), ("set", 8)]


async def test_other_decorators_stand_over_and_under_it(make_app: AppFactory) -> None:
    app, ann, _ = await started(make_app)
    assert (await ann.stream("m/wrapped"))["derived"]
    assert (await ann.stream("m/gated"))["derived"]
    bob = await app.connect("bob")
    assert (await bob.stream("m/gated"))["gated"]
    await sell(ann, "orders", 2)
    assert ann.events("m/wrapped") == ann.events("m/gated") == [("set", 2)]


async def test_a_plain_call_gives_the_value_and_follows_nothing(make_app: AppFactory) -> None:
    app, ann, _ = await started(make_app)
    before = watched(app)
    assert (await ann.request("m/of_org", "o1"))["data"] == "o1 1"
    assert (await ann.request("m/total"))["data"] == {"n": 1}
    assert watched(app) == before


@pytest.mark.spec("LIVE-9")
async def test_what_init_publishes_is_followed(make_app: AppFactory) -> None:
    hooks = """
        def init(platform):
            platform.publish("orders", "created", 1)
    """
    app = await make_app({"live/m.py": LIVE, "hooks.py": hooks})
    await turns(20)
    assert "total" in app.runtime.live.registry.modules["m"].module.runs


async def test_the_app_stops_while_something_waits_and_something_runs(make_app: AppFactory) -> None:
    app, ann, m = await started(make_app)
    await ann.stream("m/of_org", "o1")
    m.gate.clear()
    await sell(ann, "later", 2)
    await sell(ann, "mail:o1", 2)
    await app.runtime.stop()
    assert watched(app) & {"mail:o1", "later"} == set()


async def test_after_a_reload_the_new_code_follows_the_new_sources(make_app: AppFactory) -> None:
    clock = FakeClock()
    app, ann, _ = await started(make_app, clock=clock)
    for path, args in (("m/total", []), ("m/of_org", ["o1"]), ("m/late", []), ("m/rows", [])):
        assert (await ann.stream(path, *args))["ok"]
    await sell(ann, "later", 2)
    renewed = (
        LIVE.replace('["orders", "stock"]', '["sales"]')
        .replace('found = {"n": orders["n"]}', 'found = {"new": orders["n"]}')
        .replace('f"mail:{org}"]', 'f"post:{org}"]')
        .replace('f"{org} {orders', 'f"new {org} {orders')
        .replace('@live.derived("rows", merge="crud")', "@live")
    )
    await app.runtime.live.reload([app.write("live/m.py", renewed)])
    await turns(30)
    got = {topic: len(ann.events(topic)) for topic in ("m/total", "m/of_org~o1", "m/late", "m/rows")}
    for topic, n in (("orders", 5), ("mail:o1", 5), ("rows", 5)):
        await sell(ann, topic, n)
    assert {topic: len(ann.events(topic)) for topic in got} == got, "the old sources are nobody's any more"
    await sell(ann, "sales", 6)
    await sell(ann, "post:o1", 7)
    assert ann.events("m/total")[-1] == ("set", {"new": 6})
    assert ann.events("m/of_org~o1")[-1] == ("set", "new o1 7")
    await clock.advance(1)
    await turns(20)
    assert ann.events("m/late")[-1] == ("set", 7), "what waited is run by the new code"
    assert "rows" not in watched(app)
    await app.runtime.live.reload([app.write("live/m.py", "# realtime-allow-public\n")])
    assert watched(app) == set()


async def test_the_function_stays_callable(make_app: AppFactory) -> None:
    _, _, m = await started(make_app)
    assert await m.total() == {"n": 1}
    assert await m.risky() == 1


@pytest.mark.spec("LIVE-89")
async def test_values_are_kept_for_replay_where_the_topic_is(make_app: AppFactory) -> None:
    """What a derived stream publishes goes through the same door as everything else."""
    app, ann, _ = await started(make_app)
    replay = Replay()
    app.runtime.platform.replay = replay
    replay.record_topic("m/total", 10, app.runtime.platform)
    await sell(ann, "orders", 2)
    await sell(ann, "orders", 3)
    kept = await replay.since("m/total", 0)
    assert kept is not None
    assert [one.event for one in kept] == ["set", "set"]


async def test_pages_load_it_without_following_anything(make_app: AppFactory) -> None:
    app, _, m = await started(make_app)
    before = watched(app)
    assert await live.load("m/total") == {"n": 1}
    assert await m.of_org.load(app.runtime.platform, user="ann", args=["o1"]) == "o1 1"
    with pytest.raises(LiveError, match="FORBIDDEN"):
        await live.load("m/of_org", user="eve", args=["o1"])
    assert watched(app) == before


async def test_a_value_that_two_streams_of_one_page_show_is_computed_once(make_app: AppFactory) -> None:
    _, ann, m = await started(make_app)
    for _ in range(2):
        assert (await ann.stream("m/of_org", "o1"))["derived"]
    m.runs.clear()
    await sell(ann, "mail:o1", 2)
    assert (m.runs, ann.events("m/of_org~o1")) == (["o1"], [("set", "o1 2")])


async def test_a_client_may_come_back_to_what_it_left(make_app: AppFactory) -> None:
    """The reply is not marked then: a client would keep a value that nobody has told it of changes to."""
    _, ann, _ = await started(make_app)
    assert (await ann.stream("m/total"))["derived"]
    ann.send({"type": "unsubscribe", "topic": "m/total"})
    assert "derived" not in await ann.stream("m/total")
    assert (await ann.stream("m/of_org", "o1"))["derived"], "of this one it has no value"
