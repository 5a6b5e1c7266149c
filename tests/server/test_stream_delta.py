"""Streams that tell what has changed, and data for older clients. Spec: live-api 8.6 to 8.8, wire 5.4."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns

LIST = """
    from runtime import Delta, live

    rows = [{"id": 1, "text": "one", "secret": 1}]
    changes = {}
    events = {}
    log = []
    version = [3]

    def fails(): raise RuntimeError("no version today")

    async def present():
        log.append("version")
        return version[0]

    async def diff(since):
        log.append(("diff", since))
        return changes[since]

    def shown(row): return {name: value for name, value in row.items() if name != "secret"}

    @live.stream("list", delta=Delta(version=present, diff=diff))
    async def plain(ctx):
        log.append("load")
        return rows

    @live.stream("shown", transform=shown, delta={"version": present, "diff": diff})
    async def hidden(ctx): return rows

    @live.stream(lambda room: f"rooms:{room}", delta=Delta(version=lambda room: room, diff=lambda since, room: [room]))
    async def rooms(ctx, room: str): return []

    def since(seq):
        log.append(("events", seq))
        return events[seq]

    @live.stream("events", delta=Delta(from_seq=since))
    async def numbered(ctx):
        log.append("load")
        return rows

    @live.stream("kept", replay={"size": 2}, delta=Delta(from_seq=since))
    async def kept(ctx):
        log.append("load")
        return rows

    @live.stream("lines", merge="latest", delta=Delta(from_seq=since))
    async def lines(ctx): return ["a"]

    @live.stream("broken", delta=Delta(version=fails, diff=diff))
    async def broken(ctx): return rows

    def to_two(row): return {**row, "two": True}
    def to_three(row): return {**row, "three": "two" in row}

    @live.stream("old", version=3, migrate={1: to_two, 2: to_three}, transform=shown)
    async def old(ctx): return rows

    @live.stream("value", merge="set", version=2, migrate={1: lambda value: value + 1})
    async def value(ctx): return 4

    @live.stream("gappy", version=4, migrate={1: to_two, 3: to_three})
    async def gappy(ctx): return {"data": rows, "hasMore": True, "cursor": 1}
"""


async def started(make_app: AppFactory, **options: Any) -> tuple[App, Peer, Any]:
    app = await make_app({"live/feed.py": LIST}, **options)
    return app, await app.connect(), app.runtime.live.registry.modules["feed"].module


@pytest.mark.spec("LIVE-91", "WIRE-98")
async def test_a_client_at_the_present_version_is_told_that_nothing_changed(make_app: AppFactory) -> None:
    _, peer, feed = await started(make_app)
    first = await peer.stream("feed/plain")
    assert (first["version"], first["data"]) == (3, feed.rows)
    feed.log.clear()
    again = await peer.stream("feed/plain", version=3)
    assert (again["data"], again["unchanged"], again["version"]) == ([], True, 3)
    assert "delta" not in again
    assert feed.log == ["version"]


@pytest.mark.spec("LIVE-91", "WIRE-98")
async def test_a_client_at_an_older_version_gets_what_changed(make_app: AppFactory) -> None:
    _, peer, feed = await started(make_app)
    feed.changes[2] = [{"id": 1, "text": "new"}, {"id": 2, "_deleted": True}]
    reply = await peer.stream("feed/plain", version=2)
    assert (reply["data"], reply["delta"], reply["version"]) == (feed.changes[2], True, 3)
    assert "unchanged" not in reply
    assert feed.log == ["version", ("diff", 2)]


@pytest.mark.spec("LIVE-91", "WIRE-98")
async def test_a_difference_that_cannot_be_told_is_a_full_load(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    _, peer, feed = await started(make_app)
    for known, found in ((1, None), (0, "no list"), ("gone", KeyError)):
        if found is not KeyError:
            feed.changes[known] = found
        reply = await peer.stream("feed/plain", version=known)
        assert (reply["data"], reply["version"]) == (feed.rows, 3)
        assert "delta" not in reply
    assert "diff must return a list or None" in caplog.text
    whole = await peer.stream("feed/broken", version=3)
    assert whole["data"] == feed.rows
    assert "version" not in whole


async def test_what_changed_is_shown_as_what_is_loaded(make_app: AppFactory) -> None:
    _, peer, feed = await started(make_app)
    feed.changes[2] = [{"id": 1, "secret": 2}, {"id": 2, "secret": 3, "_deleted": True}]
    reply = await peer.stream("feed/hidden", version=2)
    assert reply["data"] == [{"id": 1}, {"id": 2, "_deleted": True}]


async def test_a_delta_of_a_stream_with_arguments_gets_them(make_app: AppFactory) -> None:
    _, peer, _ = await started(make_app)
    assert (await peer.stream("feed/rooms", "a"))["version"] == "a"
    assert (await peer.stream("feed/rooms", "a", version="a"))["unchanged"] is True
    assert (await peer.stream("feed/rooms", "b", version="a"))["data"] == ["b"]


@pytest.mark.spec("LIVE-87", "LIVE-88", "WIRE-100")
async def test_the_streams_own_events_are_the_next_way(make_app: AppFactory) -> None:
    app, peer, feed = await started(make_app)
    base = (await peer.stream("feed/numbered"))["seq"]
    assert base == 0
    app.runtime.platform.publish("events", "created", {"id": 2})
    feed.log.clear()
    feed.events[0] = [{"seq": 1, "topic": "events", "event": "created", "data": {"id": 2}}]
    reply = await (await app.connect()).stream("feed/numbered", seq=0)
    assert reply["replay"] is True
    assert reply["seq"] == 1
    assert reply["data"] == [{"seq": 1, "topic": "events", "event": "created", "data": {"id": 2}}]
    feed.events[1] = []
    nothing = await (await app.connect()).stream("feed/numbered", seq=1)
    assert (nothing["data"], nothing["replay"], nothing["seq"]) == ([], True, 1)
    assert feed.log == [("events", 0), ("events", 1)]
    feed.events[1] = None
    full = await (await app.connect()).stream("feed/numbered", seq=1)
    assert (full["data"], full["replay"]) == (feed.rows, False)


@pytest.mark.spec("LIVE-87")
async def test_a_history_with_a_gap_hands_over_to_the_streams_own_events(make_app: AppFactory) -> None:
    app, peer, feed = await started(make_app)
    await peer.stream("feed/kept")
    for number in range(4):
        app.runtime.platform.publish("kept", "created", {"id": number})
    feed.log.clear()
    covered = await (await app.connect()).stream("feed/kept", seq=3)
    assert (covered["replay"], [event["seq"] for event in covered["data"]], feed.log) == (True, [4], [])
    feed.events[1] = [{"seq": 4, "event": "created", "data": None}]
    uncovered = await (await app.connect()).stream("feed/kept", seq=1)
    assert (uncovered["replay"], uncovered["seq"], feed.log) == (True, 4, [("events", 1)])


async def test_malformed_events_and_entries_that_would_double_are_loaded_in_full(
    make_app: AppFactory,
) -> None:
    _, peer, feed = await started(make_app)
    for wrong in ("no list", ["no event"], [{"seq": True, "event": "e"}], [{"seq": 2, "event": 1}]):
        feed.events[0] = wrong
        assert (await peer.stream("feed/numbered", seq=0))["replay"] is False
    feed.events[0] = [{"seq": 1, "event": "said", "data": "a"}]
    assert (await peer.stream("feed/lines", seq=0))["replay"] is False
    feed.events[0] = []
    assert (await peer.stream("feed/lines", seq=0))["replay"] is True


async def test_what_is_published_behind_the_events_arrives_once(make_app: AppFactory) -> None:
    app, peer, feed = await started(make_app)

    def publishing(seq: int) -> list[dict[str, Any]]:
        app.runtime.platform.publish("events", "created", {"id": 1})
        app.runtime.platform.publish("events", "created", {"id": 2})
        return [{"seq": 1, "event": "created", "data": {"id": 1}}]

    object.__setattr__(feed.numbered.__realtime_live__.options.delta, "from_seq", publishing)
    reply = await peer.stream("feed/numbered", seq=0)
    assert [event["seq"] for event in reply["data"]] == [1]
    await turns()
    assert peer.events("events") == [("created", {"id": 2})]


@pytest.mark.spec("LIVE-92", "WIRE-107")
async def test_an_older_client_gets_its_data_migrated_step_by_step(make_app: AppFactory) -> None:
    _, peer, _ = await started(make_app)
    row = {"id": 1, "text": "one"}
    for known, expected in (
        (1, {**row, "two": True, "three": True}),
        (2, {**row, "three": False}),
        (3, row),
        (9, row),
        (True, row),
        ("1", row),
    ):
        reply = await peer.stream("feed/old", schemaVersion=known)
        assert (reply["data"], reply["schemaVersion"]) == ([expected], 3)
    assert (await peer.stream("feed/old"))["data"] == [row]
    assert (await peer.stream("feed/value", schemaVersion=1))["data"] == 5
    assert "schemaVersion" not in await peer.stream("feed/plain")


@pytest.mark.spec("LIVE-92")
async def test_a_step_that_is_missing_is_left_out_and_told_in_dev(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    _, peer, _ = await started(make_app, env="dev")
    caplog.clear()
    with caplog.at_level(logging.WARNING, "realtime.stream"):
        page = await peer.stream("feed/gappy", schemaVersion=1)
        assert page["data"][0]["three"] is True
        assert page["hasMore"] is True
        await peer.stream("feed/gappy", schemaVersion=3)
    assert [record.args for record in caplog.records] == [(1, 2, 4)]
    await peer.stream("feed/gappy", schemaVersion=-(10**15))  # takes no longer than any other


@pytest.mark.spec("LIVE-92")
async def test_live_events_are_not_migrated(make_app: AppFactory) -> None:
    app, peer, _ = await started(make_app)
    await peer.stream("feed/old", schemaVersion=1)
    app.runtime.platform.publish("old", "created", {"id": 7})
    await turns()
    assert peer.events("old") == [("created", {"id": 7})]
