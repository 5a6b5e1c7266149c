"""What dev says of silent and of busy topics. Spec: live-api 8.13."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.core.settings import DevSettings
from runtime.live.declare import live
from runtime.testing import FakeClock
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns

STREAMS = """
    from runtime import live

    @live.stream("quiet")
    async def quiet(ctx): return []

    @live.stream("quick", volatile=True)
    async def quick(ctx): return []

    @live.stream("newest", coalesce_by=lambda data: data)
    async def newest(ctx): return []
"""


async def started(
    make_app: AppFactory, env: str = "dev", more: str = "", **options: Any
) -> tuple[App, Peer, FakeClock]:
    clock = FakeClock()
    app = await make_app({"live/feed.py": STREAMS + more}, clock=clock, env=env, **options)
    return app, await app.connect(), clock


def said(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record.args[0] for record in caplog.records if record.name == "realtime.stream" and record.args]


@pytest.mark.spec("LIVE-103")
async def test_a_topic_without_an_event_is_named_once(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app, peer, clock = await started(make_app)
    other = await app.connect()
    for one in (peer, other):
        await one.stream("feed/quiet")
    await clock.advance(29)
    assert said(caplog) == []
    await clock.advance(2)
    assert said(caplog) == ["quiet"]
    assert "although feed/quiet (live/feed.py:4) is subscribed to" in caplog.text
    await other.stream("feed/quiet")
    await clock.advance(100)
    assert said(caplog) == ["quiet"]


@pytest.mark.spec("LIVE-103")
@pytest.mark.parametrize("why", ["published", "left", "serve"])
async def test_a_topic_with_an_event_or_without_subscribers_is_not_named(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture, why: str
) -> None:
    app, peer, clock = await started(make_app, env="test" if why == "serve" else "dev")
    await peer.stream("feed/quiet")
    if why == "published":
        app.runtime.platform.publish("quiet", "created", {"id": 1})
        await turns()
        await peer.leave()
        peer = await app.connect()
        await peer.stream("feed/quiet")
    elif why == "left":
        await peer.leave()
    await clock.advance(100)
    assert said(caplog) == []


@pytest.mark.spec("LIVE-103")
@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("\n    live.silent_topic_warning(False)\n", []),
        ("\n    live.silent_topic_warning(suppress=['quiet'])\n", []),
        ("\n    live.silent_topic_warning(threshold=100)\n", []),
        ("\n    live.silent_topic_warning(threshold=5)\n", ["quiet"]),
        ("\n    live.silent_topic_warning(True)\n", ["quiet"]),
    ],
)
async def test_the_app_says_when_a_topic_is_silent(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture, more: str, named: list[str]
) -> None:
    _, peer, clock = await started(make_app, more=more)
    await peer.stream("feed/quiet")
    await clock.advance(31)
    assert said(caplog) == named


@pytest.mark.spec("LIVE-103")
@pytest.mark.parametrize(
    ("more", "env", "named"),
    [
        ("", "dev", ["busy"]),
        ("", "test", []),
        ("\n    live.publish_rate_warning(False)\n", "dev", []),
        ("\n    live.publish_rate_warning(threshold=400)\n", "dev", []),
        ("\n    live.publish_rate_warning(threshold=50, interval=1)\n", "dev", ["busy", "calm"]),
    ],
)
async def test_a_busy_topic_is_named_once_unless_that_is_meant(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture, more: str, env: str, named: list[str]
) -> None:
    app, peer, clock = await started(make_app, env=env, more=more)
    for name in ("quick", "newest", "quiet"):
        await peer.stream(f"feed/{name}")
    caplog.clear()
    for _ in range(12):
        for topic, count in (("busy", 300), ("quick", 300), ("newest", 300), ("calm", 100)):
            for _ in range(count):
                app.runtime.platform.publish(topic, "e", seq=topic != "quick")
        await clock.advance(1)
    assert [topic for topic in said(caplog) if topic != "quiet"] == named


@pytest.mark.spec("LIVE-103")
def test_wrong_settings_are_refused() -> None:
    for call in (
        lambda: live.silent_topic_warning(3),  # type: ignore[arg-type]
        lambda: live.silent_topic_warning(threshold=0),
        lambda: live.silent_topic_warning(threshold=float("nan")),
        lambda: live.silent_topic_warning(suppress="quiet"),
        lambda: live.silent_topic_warning(False, threshold=3),
        lambda: live.publish_rate_warning(threshold=-1),
        lambda: live.publish_rate_warning(interval=True),
        lambda: live.publish_rate_warning("off"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=r"live\.(silent_topic|publish_rate)_warning: "):
            call()


async def test_reloaded_settings_count_for_who_waits(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app, peer, clock = await started(make_app)
    await peer.stream("feed/quiet")
    await clock.advance(5)
    changed = STREAMS + "\n    live.silent_topic_warning(threshold=10)\n"
    await app.runtime.live.reload([app.write("live/feed.py", changed)])
    await turns(10)
    caplog.clear()
    await clock.advance(11)
    assert "quiet" in said(caplog) or "nothing was published" in caplog.text


@pytest.mark.spec("LIVE-103")
async def test_a_busy_topic_is_named_with_the_place_of_its_stream(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app, peer, clock = await started(make_app)
    await peer.stream("feed/quiet")
    for _ in range(6):
        for _ in range(300):
            app.runtime.platform.publish("quiet", "e")
        await clock.advance(1)
    assert "'quiet' of feed/quiet (live/feed.py:4) gets 300 events a second" in caplog.text


@pytest.mark.parametrize("env", ["dev", "test"])
async def test_an_event_that_clients_would_not_merge_is_refused_in_dev(
    make_app: AppFactory, env: str
) -> None:
    source = """
        import msgspec
        from runtime import live

        class Row(msgspec.Struct):
            reqId: str

        @live.stream("rows")
        async def rows(ctx): return []

        @live
        async def add(ctx, topic: str, struct: bool, platform: bool):
            data = Row("a") if struct else {"id": 1, "reqId": "a"}
            (ctx.platform.publish if platform else ctx.publish)(topic, "created", data)
    """
    app = await make_app({"live/r.py": source}, env=env)
    peer = await app.connect()
    assert (await peer.request("r/add", "rows", False, False))["ok"] is True  # nobody merges it yet
    await peer.stream("r/rows")
    assert (await peer.request("r/add", "elsewhere", False, False))["ok"] is True
    for struct, platform in ((False, False), (True, False), (False, True), (True, True)):
        reply = await peer.request("r/add", "rows", struct, platform)
        assert reply["ok"] is (env == "test")
        assert env == "test" or "Give the key another name" in str(reply)


@pytest.mark.spec("LIVE-103")
@pytest.mark.parametrize(
    ("dev", "more", "named"),
    [
        ({}, "", {"quiet", "busy"}),
        ({"silent_topic_warning": False, "publish_rate_warning": False}, "", set()),
        ({"silent_topic_warning": {"after": 100}, "publish_rate_warning": {"threshold": 400}}, "", set()),
        ({"silent_topic_warning": {"suppress": ["quiet"]}, "publish_rate_warning": True}, "", {"busy"}),
        (
            {"silent_topic_warning": False},
            "\n    live.silent_topic_warning(threshold=5)\n    live.publish_rate_warning(False)\n",
            {"quiet"},
        ),
    ],
)
async def test_the_settings_say_it_where_the_app_does_not(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture, dev: dict[str, Any], more: str, named: set[str]
) -> None:
    app, peer, clock = await started(make_app, more=more, dev=DevSettings(**dev))
    await peer.stream("feed/quiet")
    for _ in range(32):
        for _ in range(300):
            app.runtime.platform.publish("busy", "e")
        await clock.advance(1)
    assert set(said(caplog)) == named
