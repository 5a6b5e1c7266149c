"""Many subscribers at once: whose loads are shared, and that nobody misses a change for it. Spec: live-api 8.3, 8.9."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from runtime.live import sharedloads
from runtime.testing import eventually, running_server
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns, write_file

STREAMS = """
    import asyncio
    from runtime import live, LiveError, Page

    loads = []
    rows = []
    gate = asyncio.Event()
    broken = set()

    async def load(ctx, what):
        loads.append((what, ctx.user["id"]))
        found = list(rows)
        await gate.wait()
        if ctx.user["id"] in broken:
            raise LiveError("NO_DATA", f"not for {ctx.user['id']}")
        return found

    @live.stream("shared", invalidate_on="never:*", on_error=lambda error: loads.append(str(error)))
    async def shared(ctx): return await load(ctx, "shared")

    @live.stream(lambda room: "rooms", stale_after=60)
    async def room(ctx, room: str): return await load(ctx, room)

    @live.stream("own")
    async def own(ctx): return await load(ctx, "own")

    @live.stream("old", invalidate_on="never:*", version=2, migrate={1: lambda row: row})
    async def old(ctx): return await load(ctx, "old")

    @live
    async def add(ctx, n: int):
        rows.append({"id": n})
        ctx.publish("shared", "created", {"id": n})
"""


class Crowd:
    """Peers of one app, and what its module saw."""

    def __init__(self, app: App, peers: list[Peer]) -> None:
        self.module = app.runtime.live.registry.modules["s"].module
        self.peers = peers

    def ask(self, path: str, *args: Any, who: slice = slice(None), **keys: Any) -> None:
        for peer in self.peers[who]:
            peer.send({"rpc": path, "id": "s", "args": list(args), "stream": True, **keys})

    async def replies(self, who: slice = slice(None)) -> list[Any]:
        return [await peer.reply("s") for peer in self.peers[who]]


async def crowd(make_app: AppFactory, count: int) -> Crowd:
    app = await make_app({"live/s.py": STREAMS})
    return Crowd(app, [await app.connect({"id": number}) for number in range(count)])


async def test_a_cold_storm_costs_two_loads_where_the_value_is_meant_for_everybody(
    make_app: AppFactory,
) -> None:
    storm = await crowd(make_app, 200)
    storm.ask("s/shared")
    await turns()
    storm.module.gate.set()
    replies = await storm.replies()
    assert all(reply["ok"] and reply["data"] == [] for reply in replies)
    assert storm.module.loads == [("shared", 0), ("shared", 1)]
    assert all(peer.connection.is_subscribed("shared") for peer in storm.peers)


async def test_without_such_an_option_everybody_loads_with_their_own_ctx(make_app: AppFactory) -> None:
    storm = await crowd(make_app, 5)
    storm.ask("s/own")
    await turns()
    storm.module.gate.set()
    await storm.replies()
    assert storm.module.loads == [("own", number) for number in range(5)]


@pytest.mark.spec("LIVE-83")
async def test_who_comes_during_a_load_gets_one_that_began_later(make_app: AppFactory) -> None:
    storm = await crowd(make_app, 3)
    storm.ask("s/shared", who=slice(1))
    await turns()
    await storm.peers[0].request("s/add", 7)
    storm.ask("s/shared", who=slice(1, None))
    await turns()
    storm.module.gate.set()
    first, second, third = await storm.replies()
    await turns()
    # The first read before the change and gets its frame; the others came behind the frame and read the change.
    assert (first["data"], storm.peers[0].events("shared")) == ([], [("created", {"id": 7})])
    for reply, peer in ((second, storm.peers[1]), (third, storm.peers[2])):
        assert (reply["data"], peer.events("shared")) == ([{"id": 7}], [])


async def test_other_arguments_pages_and_migrations_share_nothing(make_app: AppFactory) -> None:
    storm = await crowd(make_app, 4)
    storm.ask("s/room", "a", who=slice(0, 2))
    storm.ask("s/room", "b", who=slice(2, 4))
    await turns()
    storm.module.gate.set()
    await storm.replies()
    assert sorted(storm.module.loads) == [("a", 0), ("a", 1), ("b", 2), ("b", 3)]
    storm.module.gate.clear()
    storm.module.loads.clear()
    for peer in storm.peers:
        peer.send({"rpc": "s/old", "id": "o", "args": [], "stream": True, "schemaVersion": 1})
    await turns()
    assert len(storm.module.loads) == 4
    storm.module.gate.set()
    assert all([(await peer.reply("o"))["ok"] for peer in storm.peers])
    storm.module.gate.clear()
    storm.module.loads.clear()
    for peer in storm.peers[:2]:
        peer.send({"rpc": "s/room", "id": "page", "args": ["a"], "stream": True, "cursor": 5})
    await turns()
    assert len(storm.module.loads) == 2


async def test_a_load_that_fails_fails_for_its_own_subscriber_only(make_app: AppFactory) -> None:
    storm = await crowd(make_app, 4)
    storm.module.broken.update({0, 1})
    storm.ask("s/shared")
    await turns()
    storm.module.gate.set()
    replies = await storm.replies()
    assert [reply.get("error") for reply in replies] == ["not for 0", "not for 1", None, None]
    assert [peer.connection.is_subscribed("shared") for peer in storm.peers] == [False, False, True, True]


async def test_leaving_while_waiting_harms_nobody_else(make_app: AppFactory) -> None:
    storm = await crowd(make_app, 4)
    storm.ask("s/shared")
    await turns()
    await storm.peers[0].leave()
    await storm.peers[1].leave()
    storm.module.gate.set()
    assert [reply["ok"] for reply in await storm.replies(slice(2, None))] == [True, True]


async def test_nobody_waits_for_ever_for_a_load_that_hangs(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharedloads, "MAX_WAIT", 0.01)
    storm = await crowd(make_app, 2)
    storm.ask("s/shared")
    async with asyncio.timeout(5):
        while len(storm.module.loads) < 2:
            await turns()
    assert storm.module.loads == [("shared", 0), ("shared", 1)]
    storm.module.gate.set()
    assert [reply["ok"] for reply in await storm.replies()] == [True, True]
    await turns()
    assert len(storm.module.loads) == 2  # nobody waits any more


@pytest.mark.spec("LIVE-83", "WIRE-92")
@pytest.mark.parametrize("strategy", ["own", "shared", "replay"])
async def test_a_client_sees_each_change_around_its_load_once(tmp_path: Path, strategy: str) -> None:
    option = {"own": "", "shared": ", invalidate_on='never'", "replay": ", replay=True"}[strategy]
    write_file(tmp_path, "realtime.toml", "")
    write_file(
        tmp_path,
        "live/n.py",
        f"""
        import asyncio
        from runtime import live

        rows = []
        loading, go_on = asyncio.Event(), asyncio.Event()

        # `latest` shows an event that comes twice twice.
        @live.stream("numbers", merge="latest"{option})
        async def numbers(ctx):
            found = list(rows)
            loading.set()
            await go_on.wait()
            return found

        @live
        async def add(ctx, n: int):
            rows.append(n)
            ctx.publish("numbers", "created", n)
        """,
    )
    async with running_server(tmp_path) as server, server.connect() as reader, server.connect() as writer:
        module = server.runtime.live.registry.modules["n"].module
        await writer.call("n/add", 1)
        async with reader.stream("n/numbers") as numbers:
            await module.loading.wait()
            await writer.call("n/add", 2)
            await writer.call("n/add", 3)
            module.go_on.set()
            await eventually(lambda: numbers.value == [1, 2, 3])
            await writer.call("n/add", 4)
            await eventually(lambda: numbers.value is not None and numbers.value[-1] == 4)
            assert numbers.value == [1, 2, 3, 4]
