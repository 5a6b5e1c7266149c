"""Aggregates of an app: paths, topics, guards, snapshots, reloads, pages. Spec: live-api 11 and 21.1."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from runtime import get_platform, live
from runtime.testing import FakeClock, capacity_override
from tests.server.conftest import AppFactory
from tests.server.peers import App, turns

MODULE = """
    # realtime-allow-public
    import asyncio
    from runtime import Compute, Lifetime, Reducer, Sliding, Tumbling, combine_sum, live

    log = []
    gate = asyncio.Event()
    stored = {"single": None, "total": None, "slot": None, "last": None}

    async def restored(name):
        log.append(name)
        if stored.get("waits"):
            await gate.wait()
        found = stored[name]
        if isinstance(found, Exception):
            raise found
        return found

    count = Reducer(init=lambda: 0, reduce=lambda acc, event, data: acc + 1, combine=combine_sum)

    class Requests(live.Aggregate):
        \"\"\"What is asked of us.\"\"\"
        source, topic = "requests", "stats"
        windows = {"total": Lifetime(), "slot": Tumbling(duration=900), "last": Sliding(duration=300, slide=30)}
        snapshots = {name: (lambda name=name: restored(name)) for name in windows}
        count = count
        twice = Compute(lambda s: s["count"] * 2)

    single = live.aggregate("requests", {"count": count}, topic="single", snapshot=lambda: restored("single"))

    @live
    async def ask(ctx, times: int = 1):
        for _ in range(times):
            ctx.publish("requests", "asked", {"ms": 1})
"""
ROOT = "m/Requests"
TOTAL, SLOT, LAST = (f"{ROOT}/__window/{name}" for name in ("total", "slot", "last"))


async def make(make_app: AppFactory, source: str = MODULE, **options: Any) -> App:
    return await make_app({"live/m.py": source}, **options)


def module_of(app: App) -> Any:
    return app.runtime.live.registry.modules["m"].module


@pytest.mark.spec("LIVE-115")
async def test_an_aggregate_without_windows_is_one_stream(make_app: AppFactory) -> None:
    app = await make(make_app)
    ann, bob = await app.connect("ann"), await app.connect("bob")
    assert await ann.stream("m/single") == {
        "id": "q1",
        "ok": True,
        "data": {"count": 0},
        "topic": "single",
        "merge": "set",
    }
    await bob.request("m/ask", 2)
    await turns()
    assert ann.events("single") == [("set", {"count": 1}), ("set", {"count": 2})]
    late = await bob.stream("m/single")
    assert late["data"] == {"count": 2}
    assert (await bob.request("m/single"))["data"] == {"count": 2}  # a plain call gets it, too


@pytest.mark.spec("LIVE-117")
async def test_each_window_has_a_path_and_a_topic_and_the_root_has_none(make_app: AppFactory) -> None:
    app = await make(make_app)
    assert [path for path in app.runtime.live.registry.endpoints if path.startswith(ROOT)] == [
        TOTAL,
        SLOT,
        LAST,
    ]
    ann = await app.connect("ann")
    for path, name in ((TOTAL, "total"), (SLOT, "slot"), (LAST, "last")):
        reply = await ann.stream(path)
        assert (reply["ok"], reply["topic"], reply["merge"]) == (True, f"stats:{name}", "set")
        assert reply["data"] == {"count": 0, "twice": 0}
    await ann.request("m/ask")
    await turns()
    for name in ("total", "slot", "last"):
        assert ann.events(f"stats:{name}") == [("set", {"count": 1, "twice": 2})]
    assert (await ann.stream(ROOT))["code"] == "NOT_FOUND"
    assert (await ann.request(ROOT))["code"] == "NOT_FOUND"
    assert (await ann.stream(f"{ROOT}/__window/none"))["code"] == "NOT_FOUND"


# The parts of rooms are the other half of this item; see test_room.py.
@pytest.mark.spec("LIVE-4")
async def test_windows_are_guarded_by_the_guard_of_their_file(make_app: AppFactory) -> None:
    source = """
        from runtime import Lifetime, Reducer, guard, live
        _guard = guard(lambda ctx: ctx.user == "USER")
        n = Reducer(init=lambda: 0)
        NAME = live.aggregate("src", {"n": n}, topic="TOPIC", windows={"w": Lifetime()})
    """
    files = {
        "live/board.py": source.replace("USER", "outer").replace("NAME", "x").replace("TOPIC", "a"),
        "live/board/inner.py": source.replace("USER", "inner").replace("NAME", "y").replace("TOPIC", "b"),
    }
    app = await make_app(files)
    outer, inner = await app.connect("outer"), await app.connect("inner")
    for allowed, refused, path in (
        (outer, inner, "board/x/__window/w"),
        (inner, outer, "board/inner/y/__window/w"),
    ):
        assert (await allowed.stream(path))["ok"]
        assert (await refused.stream(path))["code"] == "FORBIDDEN"
        assert (await refused.request(path))["code"] == "FORBIDDEN"


@pytest.mark.spec("LIVE-9")
async def test_what_the_init_hook_publishes_is_counted(make_app: AppFactory) -> None:
    hooks = """
        async def init(platform):
            platform.publish("requests", "asked", {})
    """
    app = await make_app({"live/m.py": MODULE, "hooks.py": hooks})
    ann = await app.connect("ann")
    assert (await ann.stream("m/single"))["data"] == {"count": 1}
    assert (await ann.stream(TOTAL))["data"] == {"count": 1, "twice": 2}


def storing(**stored: Any) -> str:
    return MODULE + "".join(f"    stored[{name!r}] = {value!r}\n" for name, value in stored.items())


@pytest.mark.spec("LIVE-116", "LIVE-122")
async def test_snapshots_are_there_before_the_first_reply(make_app: AppFactory) -> None:
    source = storing(
        single={"count": 5, "__proto__": 1}, total={"count": 6}, slot={"count": 7}, last={"count": 8}
    )
    app = await make(make_app, source)
    ann = await app.connect("ann")
    found = [(await ann.stream(path))["data"]["count"] for path in ("m/single", TOTAL, SLOT, LAST)]
    assert found == [5, 6, 7, 0]  # a sliding window starts empty
    assert sorted(module_of(app).log) == ["single", "slot", "total"]
    await ann.request("m/ask")
    assert (await ann.stream("m/single"))["data"] == {"count": 6}


@pytest.mark.spec("LIVE-116")
@pytest.mark.parametrize("bad", ["RuntimeError('the disk is gone')", "[1]", "5"])
async def test_a_snapshot_that_fails_is_harmless(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture, bad: str
) -> None:
    source = MODULE + f'    stored["single"] = {bad}\n    stored["total"] = {{"count": 3}}\n'
    with caplog.at_level(logging.ERROR, "realtime.live"):
        app = await make(make_app, source)
        ann = await app.connect("ann")
        assert (await ann.stream("m/single"))["data"] == {"count": 0}
        assert (await ann.stream(TOTAL))["data"]["count"] == 3
    assert [record.getMessage() for record in caplog.records] == [
        "the snapshot of m/single could not be restored; it starts empty"
    ]


@pytest.mark.spec("LIVE-116")
async def test_subscribers_wait_for_a_snapshot_and_events_are_kept_for_it(make_app: AppFactory) -> None:
    with capacity_override(MAX_AGGREGATE_HYDRATION_QUEUE=3):
        app = await make(make_app, storing(waits=True, single={"count": 10}))
        ann = await app.connect("ann")
        ann.send({"rpc": "m/single", "id": "s", "args": [], "stream": True})
        await ann.request("m/ask", 2)
        await turns()
        assert not [frame for frame in ann.parsed() if frame.get("event") == "s"]
        module_of(app).gate.set()
        assert (await ann.reply("s"))["data"] == {"count": 12}
        await ann.request("m/ask", 1)
        assert (await ann.stream("m/single"))["data"] == {"count": 13}


@pytest.mark.spec("LIVE-116")
async def test_too_many_events_for_a_snapshot_lose_the_oldest(make_app: AppFactory) -> None:
    from runtime.core import capacity

    with capacity_override(MAX_AGGREGATE_HYDRATION_QUEUE=3):
        app = await make(make_app, storing(waits=True))
        before = capacity.events["MAX_AGGREGATE_HYDRATION_QUEUE", "evict"]
        ann = await app.connect("ann")
        await ann.request("m/ask", 5)
        assert app.runtime.live.aggregates.sizes() == {"MAX_AGGREGATE_HYDRATION_QUEUE": 3}
        # Of each of the two aggregates.
        assert capacity.events["MAX_AGGREGATE_HYDRATION_QUEUE", "evict"] == before + 4
        module_of(app).gate.set()
        assert (await ann.stream("m/single"))["data"] == {"count": 3}


async def test_what_still_runs_at_the_end_is_counted(make_app: AppFactory) -> None:
    source = (
        MODULE
        + """
    @live
    async def last(ctx):
        await gate.wait()
        ctx.publish("requests", "asked", {})
        ctx.platform.flush()
        log.append(await single(ctx))
    """
    )
    app = await make(make_app, source)
    ann = await app.connect("ann")
    ann.send({"rpc": "m/last", "id": "l", "args": []})
    await turns()
    module = module_of(app)
    stopping = asyncio.ensure_future(app.runtime.stop())
    await turns(20)
    module.gate.set()
    await stopping
    assert module.log[-1] == {"count": 1}


async def test_a_worker_stops_although_a_snapshot_hangs(make_app: AppFactory) -> None:
    app = await make(make_app, storing(waits=True))
    async with asyncio.timeout(5):
        await app.runtime.stop()


@pytest.mark.spec("LIVE-122")
async def test_what_was_dumped_is_restored_while_its_window_lasts(make_app: AppFactory) -> None:
    clock = FakeClock(now=1_700_000_100.0)
    app = await make(make_app, clock=clock)
    ann = await app.connect("ann")
    await ann.request("m/ask", 3)
    dumped = live.aggregates.dump(ROOT)
    assert dumped == {
        "total": {"count": 3},
        "slot": {"count": 3, "window_start": 1_699_999_200.0 + 900},
    }
    assert live.aggregates.dump("m/single") == {"lifetime": {"count": 3}}
    await app.runtime.stop()
    source = storing(single=None, total=dumped["total"], slot=dumped["slot"])
    for later, expected in ((600.0, 3), (900.0, 0)):
        app = await make(make_app, source, clock=FakeClock(now=1_700_000_100.0 + later))
        ann = await app.connect("ann")
        assert (await ann.stream(TOTAL))["data"]["count"] == 3
        assert (await ann.stream(SLOT))["data"]["count"] == expected
        await app.runtime.stop()


async def test_a_dump_is_nobody_elses_and_names_what_is_not_there(make_app: AppFactory) -> None:
    source = """
        # realtime-allow-public
        from runtime import Reducer, live
        def note(acc, event, data):
            acc.append(data)
            return acc
        every = live.aggregate("requests", {"rows": Reducer(init=list, reduce=note)}, topic="rows")
    """
    app = await make(make_app, source)
    app.runtime.platform.publish("requests", "x", 1)
    live.aggregates.dump("m/every")["lifetime"]["rows"].append(2)
    assert live.aggregates.dump("m/every") == {"lifetime": {"rows": [1]}}
    with pytest.raises(ValueError, match="there is no aggregate 'm/other'; there are: m/every"):
        live.aggregates.dump("m/other")
    await app.runtime.stop()
    assert get_platform() is None
    with pytest.raises(RuntimeError, match="no app runs here"):
        live.aggregates.dump("m/every")


async def test_what_was_loaded_is_nobody_elses_and_a_snapshot_may_be_plain(make_app: AppFactory) -> None:
    source = """
        # realtime-allow-public
        from runtime import Reducer, live
        def note(acc, event, data):
            acc.append(data)
            return acc
        every = live.aggregate(
            "requests", {"rows": Reducer(init=list, reduce=note)}, topic="rows", snapshot=lambda: {"rows": [7]}
        )
    """
    app = await make(make_app, source)
    (await live.load("m/every"))["rows"].append(8)
    app.runtime.platform.publish("requests", "x", 1)
    assert await live.load("m/every") == {"rows": [7, 1]}


async def test_a_reload_keeps_the_state_of_what_is_declared_as_before(make_app: AppFactory) -> None:
    app = await make(make_app)
    ann = await app.connect("ann")
    await ann.stream("m/single")
    await ann.request("m/ask", 2)
    await turns()
    file = app.write("live/m.py", MODULE + "    other = 1\n")
    assert (await app.runtime.live.reload([file])).modules == ["m"]
    await ann.request("m/ask")
    await turns()
    assert ann.events("single")[-1] == ("set", {"count": 3})
    assert (await ann.stream(LAST))["data"] == {"count": 3, "twice": 6}
    assert module_of(app).log == []  # nothing was restored anew

    changed = MODULE.replace("acc + 1, combine", "acc + 10, combine")
    assert (await app.runtime.live.reload([app.write("live/m.py", changed)])).ok
    assert (await ann.stream(LAST))["data"] == {"count": 0, "twice": 0}
    await ann.request("m/ask")
    assert (await ann.stream(LAST))["data"] == {"count": 10, "twice": 20}

    gone = MODULE[: MODULE.index("    class Requests")] + "    n = 1\n"
    assert (await app.runtime.live.reload([app.write("live/m.py", gone)])).ok
    assert (await ann.stream(LAST))["code"] == "NOT_FOUND"
    assert not app.runtime.live.watchers.watches("requests")


async def test_a_reload_runs_the_new_functions_on_the_old_state(make_app: AppFactory) -> None:
    source = """
        # realtime-allow-public
        from runtime import Reducer, live
        STEP = 1
        def step():
            return STEP
        n = live.aggregate("requests", {"n": Reducer(init=lambda: 0, reduce=lambda acc, e, d: acc + step())}, topic="n")
    """
    app = await make(make_app, source)
    app.runtime.platform.publish("requests", "x", 1)
    file = app.write("live/m.py", source.replace("STEP = 1", "STEP = 5"))
    assert (await app.runtime.live.reload([file])).ok
    app.runtime.platform.publish("requests", "x", 1)
    ann = await app.connect("ann")
    assert (await ann.stream("m/n"))["data"] == {"n": 6}


async def test_a_wrong_declaration_is_a_problem_at_its_place(make_app: AppFactory) -> None:
    source = """
        # realtime-allow-public
        from runtime import Lifetime, Reducer, live

        class Wrong(live.Aggregate):
            source = "requests"
            n = Reducer(init=lambda: 0)

        _hidden = live.aggregate("requests", {"n": Reducer(init=lambda: 0)}, topic="a")
        fine = live.aggregate("requests", {"n": Reducer(init=lambda: 0)}, topic="b")
    """
    app = await make_app({"live/m.py": source}, start=False, env="dev")
    app.runtime.load()
    ((problem,), module) = app.runtime.live.registry.problems, app.runtime.live.registry.modules["m"]
    assert (problem.file, problem.line, problem.kind) == ("live/m.py", 5, "ValueError")
    assert problem.message == "Wrong: topic: the aggregate Wrong needs it"
    assert [endpoint.path for endpoint in module.endpoints] == ["m/fine"]
    assert "live/m.py: _hidden is reserved: names that begin with '_' are not exported" in module.warnings


async def test_two_windows_on_one_topic_are_a_problem(make_app: AppFactory) -> None:
    source = """
        # realtime-allow-public
        from runtime import Lifetime, Reducer, live
        a = live.aggregate("requests", {"n": Reducer(init=lambda: 0)}, topic="x", windows={"w": Lifetime()})
        b = live.aggregate("requests", {"n": Reducer(init=lambda: 0)}, topic="x:w")
    """
    app = await make_app({"live/m.py": source}, start=False, env="dev")
    app.runtime.load()
    assert [problem.kind for problem in app.runtime.live.registry.problems] == ["DuplicateTopic"]


@pytest.mark.spec("LIVE-156")
async def test_what_is_counted_is_published_on_each_worker_for_itself(make_app: AppFactory) -> None:
    hooks = """
        from runtime import set_bus

        class Wrapped:
            def __init__(self, platform):
                self._platform = platform
            def __getattr__(self, name):
                return getattr(self._platform, name)
            def publish(self, topic, event, data=None, **options):
                relayed.append((topic, event, options.get("relay", True)))
                return self._platform.publish(topic, event, data, **options)

        class Bus:
            def wrap(self, platform):
                return Wrapped(platform)

        relayed = []
        set_bus(Bus())
    """
    app = await make_app({"live/m.py": MODULE, "hooks.py": hooks})
    ann = await app.connect("ann")
    await ann.stream("m/single")
    app.runtime.platform.publish("requests", "asked", {})
    # What another worker published comes from the bus, without going back to it.
    app.runtime.platform.publish("requests", "asked", {}, relay=False)
    await turns()
    assert ann.events("single") == [("set", {"count": 1}), ("set", {"count": 2})]
    bus = app.runtime.platform.parts.outlet
    assert bus is not None
    relayed = type(bus.wrapped).publish.__globals__["relayed"]
    assert [one for one in relayed if one[0] == "requests"] == [
        ("requests", "asked", True),
        ("requests", "asked", False),
    ]
    assert {one for one in relayed if one[0] != "requests"} == {
        ("stats:total", "set", False),
        ("stats:slot", "set", False),
        ("stats:last", "set", False),
        ("single", "set", False),
    }


async def test_pages_load_windows(make_app: AppFactory) -> None:
    app = await make(make_app)
    module = module_of(app)
    app.runtime.platform.publish("requests", "asked", {})
    assert await module.Requests.total.load() == {"count": 1, "twice": 2}
    assert await module.single.load(app.runtime.platform) == {"count": 1}
    assert await live.load(SLOT) == {"count": 1, "twice": 2}
    source = """
        # realtime-allow-public
        from runtime import Lifetime, Reducer, live
        stats = live.aggregate("requests", {"n": Reducer(init=lambda: 0)}, topic="x", windows={"w": Lifetime()})
    """
    other = await make(make_app, source)
    assert await module_of(other).stats.w.load() == {"n": 0}


async def test_a_declaration_is_called_like_a_stream(make_app: AppFactory) -> None:
    source = (
        MODULE
        + """
    @live
    async def now(ctx):
        return await single(ctx)
    """
    )
    app = await make(make_app, source)
    ann = await app.connect("ann")
    await ann.request("m/ask", 2)
    assert (await ann.request("m/now"))["data"] == {"count": 2}
