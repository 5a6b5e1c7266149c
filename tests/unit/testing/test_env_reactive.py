"""Everything that a live module can declare works when a test registers it, as in the server. Spec: live-api 20."""

from __future__ import annotations

import importlib.util
import types
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime import LiveError, Reducer, Sliding, Tumbling, combine_sum, guard, live
from runtime.testing import TestEnv, expect_guard_rejects

START = datetime(2026, 3, 8, 23, 59, 30, tzinfo=UTC)
MAILED: list[Any] = []
ORDERS: list[int] = []


@live
async def order(ctx: Any, amount: int) -> int:
    ORDERS.append(amount)
    ctx.publish("orders", "created", {"id": len(ORDERS), "amount": amount})
    return len(ORDERS)


@live.derived(["orders"])
async def total() -> int:
    return sum(ORDERS)


@live.derived(lambda org: [f"members:{org}"], debounce=0.5)
async def members(ctx: Any, org: str) -> str:
    return f"{org}:{ctx.user['id']}"


@live.effect(["orders"], debounce=1)
async def mail(event: str, data: Any) -> None:
    MAILED.append(data["amount"])


@live.effect(["orders"])
async def shout(event: str, data: Any, platform: Any) -> None:
    platform.publish("shouts", "said", data["amount"])


@live.cron("0 * * * *", "hourly", tz="UTC")
async def hourly(ctx: Any) -> str:
    return "hour"


@live.cron("*/10 * * * * *", tz="UTC")
async def often(ctx: Any) -> None:
    ctx.publish("often", "ticked", ctx.user)


sums = live.aggregate(
    "orders",
    {
        "sum": Reducer(
            init=lambda: 0, reduce=lambda acc, event, data: acc + data["amount"], combine=combine_sum
        )
    },
    topic="orders-sums",
    windows={"day": Tumbling(period="daily", tz="UTC"), "minute": Sliding(duration=60, slide=20)},
)


async def board_data(ctx: Any, board_id: str) -> list[Any]:
    return []


async def rename(ctx: Any, board_id: str, name: str) -> str:
    ctx.publish("renamed", {"id": board_id, "name": name})
    return name


board = live.room(
    topic=lambda ctx, board_id: f"board:{board_id}",
    init=board_data,
    presence=lambda ctx: {"name": ctx.user["id"]},
    actions={"rename": rename},
)

EXPORTS: dict[str, Any] = {
    "order": order,
    "total": total,
    "members": members,
    "mail": mail,
    "shout": shout,
    "hourly": hourly,
    "often": often,
    "sums": sums,
    "board": board,
}


def whole_module() -> types.ModuleType:
    """Return the declarations as a module of this file, as if the file were imported."""
    module = types.ModuleType(__name__)
    module.__file__ = __file__
    vars(module).update(EXPORTS)
    return module


@pytest.fixture(params=["mapping", "module"])
async def env(request: pytest.FixtureRequest) -> AsyncIterator[TestEnv]:
    ORDERS.clear()
    MAILED.clear()
    async with TestEnv(now=START) as made:
        made.register("shop", EXPORTS if request.param == "mapping" else whole_module())
        yield made


async def test_derived_streams_and_effects_follow_publishes(env: TestEnv) -> None:
    ann, bob = env.connect({"id": "a"}), env.connect({"id": "b"})
    sum_of_all, here = bob.subscribe("shop/total"), bob.subscribe("shop/members", "acme")
    assert (await sum_of_all.ready(), await here.ready()) == (0, "acme:b")
    for amount in (5, 7):
        await ann.call("shop/order", amount)
    await sum_of_all.wait_for(lambda value: value == 12)
    assert [event.data for event in env.published.on("shouts")] == [5, 7]
    assert MAILED == []
    await env.tick(1)
    assert MAILED == [7]
    env.platform.publish("members:acme", "created", {})
    await env.tick(0.4)
    assert here.events == []
    await env.tick(0.2)
    await here.events.wait_for("set")
    with pytest.raises(LiveError, match="NOT_FOUND"):
        await ann.call("shop/mail", "created", {})


async def test_jobs_run_when_the_clock_says_so(env: TestEnv) -> None:
    watched = env.connect().subscribe("shop/total")
    await watched.ready()
    await env.tick(29.9)
    assert env.published.on("hourly") == []
    assert len(env.published.on("often")) == 2
    await env.tick(0.2)
    assert env.published.on("hourly") == [("hourly", "set", "hour")]
    await env.tick_to(START + timedelta(hours=2, seconds=31))
    assert len(env.published.on("hourly")) == 3
    assert {entry.data for entry in env.published.on("often")} == {None}


async def test_windows_go_by_the_clock(env: TestEnv) -> None:
    client = env.connect()
    day, minute = (
        client.subscribe("shop/sums/__window/day"),
        client.subscribe("shop/sums/__window/minute"),
    )
    assert (await day.ready(), await minute.ready()) == ({"sum": 0}, {"sum": 0})
    await client.call("shop/order", 5)
    await env.tick(25)
    await client.call("shop/order", 2)
    await day.wait_for(lambda value: value == {"sum": 7})
    await minute.wait_for(lambda value: value == {"sum": 7})
    await env.tick(10)  # over midnight
    await client.call("shop/order", 1)
    await day.wait_for(lambda value: value == {"sum": 1})
    await env.tick(30)
    await minute.wait_for(lambda value: value["sum"] < 8)
    await env.tick(60)
    await minute.wait_for(lambda value: value == {"sum": 0})


async def test_guards_hold_for_rooms_and_windows_too() -> None:
    async with TestEnv() as env:
        env.register("shop", {**EXPORTS, "_guard": guard(authenticated=True)})
        nobody, ann = env.connect(None), env.connect({"id": "a"})
        await expect_guard_rejects(nobody.call("shop/board/__action/rename", "b1", "x"), "UNAUTHENTICATED")
        for path, args in (
            ("shop/sums/__window/day", ()),
            ("shop/board/__data", ("b1",)),
            ("shop/total", ()),
        ):
            await expect_guard_rejects(nobody.subscribe(path, *args).ready(), "UNAUTHENTICATED")
            await ann.subscribe(path, *args).ready()
        room = ann.subscribe("shop/board/__data", "b1")
        await room.ready()
        assert await ann.call("shop/board/__action/rename", "b1", "new") == "new"
        await room.events.wait_for("renamed")


async def test_a_room_forgets_people_when_the_clock_says_so(env: TestEnv) -> None:
    ann, bob = env.connect({"id": "a"}), env.connect({"id": "b"})
    await ann.subscribe("shop/board/__data", "b1").ready()
    await bob.subscribe("shop/board/__data", "b1").ready()
    here = bob.subscribe("shop/board/__presence", "b1")
    await here.wait_for(lambda people: len(people) == 2)
    await ann.disconnect()
    await env.tick(4.9)
    assert len(here.value) == 2
    await env.tick(0.2)
    await here.wait_for(lambda people: [entry["key"] for entry in people] == ["b"])


async def test_a_project_has_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "realtime.toml").touch()
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "shop.py").write_text(
        "# realtime-allow-public\nfrom runtime import Lifetime, Reducer, live\n\n"
        "@live\nasync def order(ctx, amount: int):\n    ctx.publish('orders', 'created', amount)\n\n"
        "@live.effect(['orders'])\nasync def mail(event, data, platform):\n"
        "    platform.publish('mails', event, data)\n\n"
        "@live.cron('* * * * *', 'minutes')\nasync def minutes(ctx):\n    return 1\n\n"
        "sums = live.aggregate('orders', {'n': Reducer(init=lambda: 0, reduce=lambda n, e, d: n + 1)},\n"
        "    topic='sums', windows={'all': Lifetime()})\n"
    )
    async with TestEnv.from_project(tmp_path, now=START, timeout=3) as env:
        client = env.connect()
        window = client.subscribe("shop/sums/__window/all")
        await window.ready()
        await client.call("shop/order", 3)
        await env.published.wait_for("created", topic="mails")
        await window.wait_for(lambda value: value == {"n": 1})
        await env.tick(60)
        assert env.published.on("minutes") == [("minutes", "set", 1)]
        assert env.timeout == 3


async def test_declarations_of_several_files_make_one_module(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.py"
    file.write_text(
        "from runtime import live\n\n"
        "@live.effect('orders')\nasync def note(event, data, platform):\n    platform.publish('notes', event, data)\n\n"
        "@live.cron('* * * * *', 'minutes')\nasync def minutes(ctx):\n    return 1\n\n"
        "@live.derived('orders')\nasync def seen():\n    return 'seen'\n"
    )
    spec = importlib.util.spec_from_file_location("elsewhere", file)
    assert spec is not None
    assert spec.loader is not None
    elsewhere = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(elsewhere)
    async with TestEnv() as env:
        env.register(
            "shop", {"order": order, **{name: vars(elsewhere)[name] for name in ("note", "minutes", "seen")}}
        )
        client = env.connect()
        assert await client.subscribe("shop/seen").ready() == "seen"
        await client.call("shop/order", 1)
        await env.tick(60)
        assert [len(env.published.on(topic)) for topic in ("orders", "notes", "minutes")] == [1, 1, 1]


async def test_chaos_is_between_the_server_and_its_clients(env: TestEnv) -> None:
    client = env.connect()
    window = client.subscribe("shop/sums/__window/day")
    await window.ready()
    env.chaos.set(drop_rate=1, seed=1)
    for amount in (1, 2, 3):
        await client.call("shop/order", amount)
    assert window.value == {"sum": 0}
    env.chaos.disable()
    await client.call("shop/order", 4)
    await window.wait_for(lambda value: value == {"sum": 10})
