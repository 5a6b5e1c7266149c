"""Start and stop of one worker, in order and to the end. Spec: platform 1.3 and 1.9."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from runtime import get_platform
from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.server import lifecycle
from runtime.server.assembly import Handshake, Runtime, StartupError, StartupRefused, assemble
from runtime.server.hooks import Hook, HookSet
from runtime.testing import FakeClock
from tests.server.peers import MemorySink, Peer, turns

Make = Callable[..., Runtime]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """`make({"shutdown": function}, shutdown_delay=5)` gives a runtime that was not started."""
    made: list[Runtime] = []

    def factory(hooks: dict[str, Any] | None = None, *, hook_timeout: float = 30, **server: Any) -> Runtime:
        settings = Settings(
            server=ServerSettings(**{"env": "test", "shutdown_timeout": 5, **server}),
            websocket=WebSocketSettings(hook_timeout=hook_timeout),
        )
        runtime = assemble(None, settings, clock=FakeClock())
        runtime.set_hooks(HookSet({name: Hook(name, function) for name, function in (hooks or {}).items()}))
        made.append(runtime)
        return runtime

    yield factory
    for runtime in made:
        await runtime.stop(timeout=0)


def connect(runtime: Runtime) -> Peer:
    sink = MemorySink()
    inbound = runtime.connect(sink, Handshake())
    inbound.opened()
    return Peer(sink, inbound)


def clock_of(runtime: Runtime) -> FakeClock:
    assert isinstance(runtime.clock, FakeClock)
    return runtime.clock


@pytest.mark.spec("PLAT-6")
async def test_init_ends_before_the_worker_is_ready_and_sees_a_working_platform(make: Make) -> None:
    seen: list[Any] = []
    gate = asyncio.Event()

    async def init(platform: Any, settings: Any, app: Any, worker: int) -> None:
        assert get_platform() is platform
        seen.append((settings.server.env, app, worker, platform.publish("t", "e"), runtime.is_ready))
        await gate.wait()

    runtime = make({"init": init})
    starting = asyncio.ensure_future(runtime.start("the app"))
    await turns()
    assert seen == [("test", "the app", 0, False, False)]
    assert not runtime.is_ready
    gate.set()
    await starting
    await runtime.start("again")
    assert runtime.is_ready
    assert len(seen) == 1
    assert clock_of(runtime).pending == 2  # the keepalive and the pressure sampler


async def never(**all: Any) -> None:
    await asyncio.Event().wait()


def leave(**all: Any) -> None:
    raise SystemExit("no database")


async def cancelled(**all: Any) -> None:
    raise asyncio.CancelledError


@pytest.mark.spec("PLAT-8", "PLAT-37")
@pytest.mark.parametrize("init", [never, leave, cancelled])
async def test_an_init_that_fails_closes_what_was_opened_and_runs_no_shutdown_hook(
    make: Make, init: Any
) -> None:
    ran: list[str] = []
    runtime = make({"init": init, "shutdown": lambda: ran.append("shutdown")}, init_timeout=0.01)
    before = get_platform()
    with pytest.raises(StartupError, match="the init hook failed"):
        await runtime.start()
    assert get_platform() is before
    assert (runtime.is_ready, runtime.tasks.closed, runtime.sends.closed, ran) == (False, True, True, [])
    assert clock_of(runtime).pending == 0
    await runtime.stop()
    assert ran == []


@pytest.mark.spec("PLAT-37")
async def test_settings_that_are_refused_run_no_init(make: Make) -> None:
    ran: list[str] = []
    runtime = make({"init": lambda: ran.append("init")}, env="production")
    with pytest.raises(StartupRefused):
        await runtime.start()
    assert (ran, runtime.tasks.closed) == ([], True)


@pytest.mark.spec("PLAT-39")
@pytest.mark.parametrize(
    ("reason", "delay"), [("SIGTERM", 20), ("SIGINT", 20), ("shutdown", 0), ("lifespan", 0)]
)
async def test_after_a_signal_it_goes_on_accepting_for_a_while(make: Make, reason: str, delay: int) -> None:
    seen: list[Any] = []
    runtime = make({"shutdown": lambda reason: seen.append((reason, runtime.is_ready))}, shutdown_delay=20)
    await runtime.start()
    draining = asyncio.ensure_future(runtime.drain(reason))
    await turns()
    if delay:
        await clock_of(runtime).advance(delay - 1)
        # readiness says 503 by the one, upgrades are still let in by the other
        assert (runtime.is_draining, runtime.is_ready, seen) == (True, True, [])
        await clock_of(runtime).advance(1)
    await draining
    assert (runtime.is_draining, runtime.is_ready, seen) == (True, False, [(reason, False)])


@pytest.mark.spec("PLAT-9")
@pytest.mark.parametrize("ends", ["returns", "raises", "hangs"])
async def test_the_shutdown_hook_can_still_talk_and_cannot_refuse(make: Make, ends: str) -> None:
    async def shutdown(platform: Any, reason: str, worker: int) -> None:
        platform.publish("news", "maintenance", {"why": reason})
        await asyncio.sleep(0)
        if ends == "raises":
            raise RuntimeError("broken hook")
        if ends == "hangs":
            await asyncio.Event().wait()

    runtime = make({"shutdown": shutdown}, shutdown_hook_timeout=0.02)
    await runtime.start()
    peer = connect(runtime)
    peer.connection.subscribe("news")
    await runtime.stop("SIGTERM")
    assert peer.parsed()[-1]["data"] == {"why": "SIGTERM"}
    assert peer.sink.closed == (1001, "Server shutting down")
    assert runtime.metrics.get("hook_errors_total", "shutdown") == int(ends == "raises")
    assert runtime.metrics.get("hook_timeouts_total", "shutdown") == int(ends == "hangs")


@pytest.mark.spec("PLAT-9")
async def test_a_shutdown_hook_that_ignores_its_end_is_not_waited_for(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    may_end = asyncio.Event()
    ended: list[int] = []

    async def shutdown() -> None:
        for turn in itertools.count():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue
            ended.append(turn)
            return

    monkeypatch.setattr(lifecycle, "HOOK_GRACE", 0.05)
    runtime = make({"shutdown": shutdown}, shutdown_hook_timeout=0.02)
    await runtime.start()
    async with asyncio.timeout(5):
        await runtime.drain("SIGTERM")
    assert not ended
    assert "the shutdown hook goes on although it was cancelled" in caplog.text
    may_end.set()
    await runtime.stop()
    assert len(ended) == 1


@pytest.mark.spec("PLAT-38", "WIRE-17")
async def test_the_steps_of_a_shutdown_come_in_order(make: Make) -> None:
    log: list[str] = []
    before = get_platform()
    hooks = {
        "shutdown": lambda platform: log.append(f"shutdown hook, {platform.connections} connections"),
        "close": lambda code, reason: log.append(f"close hook {code} {reason}"),
    }
    runtime = make(hooks)
    await runtime.start()
    peer = connect(runtime)
    sampling = [task for task in asyncio.all_tasks() if task.get_name() == "runtime:pressure"]
    assert len(sampling) == 1
    await runtime.drain("SIGTERM")
    assert log == ["shutdown hook, 1 connections"]
    assert (peer.sink.closed, sampling[0].done()) == (None, False)
    await runtime.farewell(1001, "Server shutting down")
    await turns()
    assert (peer.sink.closed, sampling[0].done()) == ((1001, "Server shutting down"), True)
    await runtime.stop("SIGTERM")
    assert log == ["shutdown hook, 1 connections", "close hook 1001 Server shutting down"]
    assert (runtime.connections, get_platform()) == ({}, before)
    assert clock_of(runtime).pending == 0


@pytest.mark.spec("WIRE-17")
async def test_a_worker_that_is_replaced_says_so_to_its_peers_and_to_the_close_hook(make: Make) -> None:
    codes: list[int] = []
    runtime = make({"close": lambda code: codes.append(code)}, shutdown_spread=30)
    await runtime.start()
    peer = connect(runtime)
    await runtime.farewell(1012, "Handler reloaded")
    assert peer.sink.closed == (1012, "Handler reloaded")
    await runtime.stop()
    assert codes == [1012]


@pytest.mark.spec("PLAT-38")
async def test_goodbyes_are_spread_so_that_not_all_come_back_at_once(make: Make) -> None:
    runtime = make(shutdown_spread=2, shutdown_timeout=30)
    await runtime.start()
    peers = [connect(runtime) for _ in range(100)]

    def told() -> int:
        return sum(peer.sink.closed == (1001, "Server shutting down") for peer in peers)

    saying = asyncio.ensure_future(runtime.farewell(1001, "Server shutting down"))
    await turns()
    counts = [told()]
    for _ in range(20):
        await clock_of(runtime).advance(0.1)
        counts.append(told())
    await saying
    assert counts[-1] == 100
    steps = [later - earlier for earlier, later in itertools.pairwise(counts)]
    assert max(steps) <= 8
    assert 40 <= counts[10] <= 60
    late = connect(runtime)  # who came meanwhile is told at the latest at the stop
    await runtime.stop()
    assert late.sink.closed == (1001, "Server shutting down")


async def test_the_spread_is_over_when_the_shutdown_has_to_be(make: Make) -> None:
    runtime = make(shutdown_spread=3600, shutdown_timeout=1)
    await runtime.start()
    peers = [connect(runtime) for _ in range(10)]
    saying = asyncio.ensure_future(runtime.farewell(1001, "x"))
    await clock_of(runtime).advance(1)
    await saying
    assert all(peer.sink.closed for peer in peers)


@pytest.mark.spec("PLAT-40")
async def test_close_hooks_are_awaited_and_ended_at_the_timeout(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[str] = []

    async def on_close(ws: Any) -> None:
        if ws.user_data.get("stuck"):
            await asyncio.Event().wait()
        for _ in range(50):
            await asyncio.sleep(0)
        ended.append(ws.id)

    runtime = make({"close": on_close}, shutdown_timeout=0.1)
    await runtime.start()
    quick, stuck = connect(runtime), connect(runtime)
    stuck.connection.user_data["stuck"] = True
    await runtime.stop()
    assert ended == [quick.connection.id]
    assert "1 close hooks were still running at the shutdown timeout and were cancelled" in caplog.text
    assert runtime.connections == {}
    assert runtime.subscriptions.total == 0


@pytest.mark.spec("PLAT-40")
async def test_what_runs_may_end_within_the_shutdown_timeout_and_is_cancelled_then(make: Make) -> None:
    log: list[str] = []

    async def message(data: str) -> None:
        try:
            for _ in range(50):
                await asyncio.sleep(0)
            while data == "stuck":
                await asyncio.Event().wait()
            log.append(f"{data} ended")
        except asyncio.CancelledError:
            log.append(f"{data} cancelled")
            raise

    runtime = make({"message": message}, shutdown_timeout=0.1)
    await runtime.start()
    peer = connect(runtime)
    peer.send("quick")
    peer.send("stuck")
    await turns()
    async with asyncio.timeout(3):
        await runtime.stop()
    assert log == ["quick ended", "stuck cancelled"]


async def test_calls_and_close_hooks_are_counted_in_one_warning(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = make({"close": never, "message": never}, shutdown_timeout=0)
    await runtime.start()
    for _ in range(2):
        connect(runtime).send("x")
    connect(runtime)
    await turns()
    await runtime.stop()
    (warning,) = [one for one in caplog.records if one.levelname == "WARNING"]
    assert warning.getMessage().startswith("2 calls and 3 close hooks were still running")


async def test_a_step_that_fails_does_not_keep_the_others_open(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = get_platform()
    runtime = make()
    await runtime.start()
    close = runtime.live.close

    async def broken(**all: Any) -> int:
        await close(**all)
        raise RuntimeError("stuck lock")

    monkeypatch.setattr(runtime.live, "close", broken)
    await runtime.stop()
    assert "the live modules could not be closed; going on" in caplog.text
    assert runtime.tasks.closed
    assert get_platform() is before


async def test_a_peer_that_cannot_be_closed_does_not_keep_the_others_open(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    codes: list[int] = []
    runtime = make({"close": lambda code: codes.append(code)}, shutdown_spread=1)
    await runtime.start()
    peers = [connect(runtime) for _ in range(3)]

    def broken(code: int, reason: str) -> None:
        raise OSError("broken transport")

    monkeypatch.setattr(peers[0].sink, "close", broken)
    stopping = asyncio.ensure_future(runtime.stop())
    await clock_of(runtime).advance(1)
    await stopping
    assert [peer.sink.closed for peer in peers[1:]] == [(1001, "Server shutting down")] * 2
    assert codes == [1001] * 3
    assert "could not be closed; it is dropped" in caplog.text
    assert runtime.connections == {}


@pytest.mark.spec("PLAT-38", "WIRE-17")
async def test_stopping_without_a_server_of_ours_says_the_same_goodbye_behind_the_hook(make: Make) -> None:
    told: list[Any] = []
    runtime = make({"shutdown": lambda: told.append(peer.sink.closed)})
    await runtime.start()
    peer = connect(runtime)
    await runtime.stop()
    assert (told, peer.sink.closed) == ([None], (1001, "Server shutting down"))


async def test_stopping_twice_or_before_the_start_does_nothing(make: Make) -> None:
    ran: list[str] = []
    runtime = make({"shutdown": lambda: ran.append("shutdown")})
    await runtime.stop()
    await runtime.start()
    await asyncio.gather(runtime.stop(), runtime.stop())
    await runtime.stop()
    assert ran == ["shutdown"]
    with pytest.raises(StartupError, match="was stopped"):
        await runtime.start()
