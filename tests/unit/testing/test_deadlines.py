"""No wait of the kit is without an end, and what ends shows the last frames. Spec: live-api 20."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from runtime import LiveError, get_platform, live
from runtime.core.settings import ServerSettings, Settings
from runtime.testing import TestEnv
from runtime.testing import env as env_module


@live
async def hang(ctx: Any) -> None:
    await asyncio.Event().wait()


@live
async def echo(ctx: Any, text: str) -> str:
    return text


@live.binary(max_size=100)
async def blob(ctx: Any, data: bytes) -> None:
    await asyncio.Event().wait()


@live.upload()
async def put(ctx: Any) -> None:
    await asyncio.Event().wait()


@live.stream("never")
async def never(ctx: Any) -> Any:
    await asyncio.Event().wait()


@live.stream("numbers", merge="set")
async def numbers(ctx: Any) -> int:
    return 1


@live.stream("pages")
async def pages(ctx: Any) -> dict[str, Any]:
    if ctx.cursor:
        await asyncio.Event().wait()
    return {"data": [1], "hasMore": True, "cursor": "2"}


EXPORTS = {
    "hang": hang,
    "echo": echo,
    "blob": blob,
    "put": put,
    "never": never,
    "numbers": numbers,
    "pages": pages,
}


@pytest.fixture
async def env() -> AsyncIterator[TestEnv]:
    async with TestEnv(timeout=0.3) as made:
        made.register("m", EXPORTS)
        yield made


def told(error: BaseException) -> str:
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


Wait = Callable[[TestEnv], Awaitable[Any]]


async def pages_wait(env: TestEnv) -> None:
    stream = env.connect({"id": "ann"}).subscribe("m/pages")
    await stream.ready()
    await stream.load_more()


WAITS: dict[str, tuple[Wait, type[Exception]]] = {
    "call": (lambda env: env.connect({"id": "ann"}).call("m/hang"), LiveError),
    "binary": (lambda env: env.connect({"id": "ann"}).binary("m/blob", b"x"), LiveError),
    "ready": (lambda env: env.connect({"id": "ann"}).subscribe("m/never").ready(), LiveError),
    "load_more": (pages_wait, LiveError),
    "upload": (lambda env: env.connect({"id": "ann"}).upload("m/put", b"x"), TimeoutError),
    "wait_for": (
        lambda env: env.connect({"id": "ann"}).subscribe("m/numbers").wait_for(lambda value: value == 2),
        TimeoutError,
    ),
    "events": (
        lambda env: env.connect({"id": "ann"}).subscribe("m/numbers").events.wait_for("set", timeout=0.3),
        TimeoutError,
    ),
    "signals": (lambda env: env.connect({"id": "ann"}).signals.wait_for(timeout=0.3), TimeoutError),
}


@pytest.mark.parametrize("name", WAITS)
async def test_every_wait_of_a_client_ends_and_shows_the_frames(env: TestEnv, name: str) -> None:
    wait, error = WAITS[name]
    with pytest.raises(error) as caught:
        await asyncio.wait_for(wait(env), 5)
    if isinstance(caught.value, LiveError):
        assert caught.value.code == "TIMEOUT"
    text = told(caught.value)
    assert "last frames of <TestClient {'id': 'ann'} open>:" in text
    assert '  -> {"type":"hello"' in text
    assert '  <- {"type":"welcome"' in text


async def test_a_batch_ends_too(env: TestEnv) -> None:
    client = env.connect()
    outcomes = await client.batch(lambda: [client.call("m/echo", "a"), client.call("m/hang")])
    assert [outcome.code for outcome in outcomes] == ["TIMEOUT", "TIMEOUT"]
    assert '-> {"batch":[{"rpc":"m/echo"' in told(outcomes[1])


async def test_one_wait_may_have_a_limit_of_its_own(env: TestEnv) -> None:
    client = env.connect()
    for wait in (
        client.call("m/hang", timeout=0.01),
        client.with_(timeout=0.01).call("m/hang"),
        client.binary("m/blob", b"x", timeout=0.01),
    ):
        with pytest.raises(LiveError, match=r"0\.01"):
            await wait
    with pytest.raises(TimeoutError, match=r"0\.01"):
        await client.subscribe("m/numbers").wait_for(lambda value: False, timeout=0.01)
    with pytest.raises(ValueError, match="timeout"):
        TestEnv(timeout=0)


async def test_an_upload_that_moves_may_take_longer(env: TestEnv) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(4):
            await asyncio.sleep(0.15)  # real time: of a source that is slow
            yield b"x" * 100

    with pytest.raises(TimeoutError, match="nothing of it moved"):
        await env.connect().upload("m/put", slowly())

    upload = env.connect().upload("m/put", slowly(), frame_size=112)
    with pytest.raises(TimeoutError):
        await upload
    assert upload.sent == 400


async def test_conditions_end_with_the_frames_of_everybody(env: TestEnv) -> None:
    assert "no client has connected" in env.last_frames()
    ann, bob = env.connect({"id": "ann"}), env.connect({"id": "bob"})
    await ann.call("m/echo", "from ann", timeout=5)
    await bob.call("m/echo", "x" * 1000, timeout=5)
    assert await env.eventually(lambda: env.platform.connections) == 2
    with pytest.raises(AssertionError, match=r"the last value was \[\]") as caught:
        await env.eventually(list)
    text = str(caught.value)
    assert "from ann" in text
    assert "last frames of <TestClient {'id': 'bob'} open>" in text
    assert "characters)" in text
    assert max(len(line) for line in text.splitlines()) < 400
    await bob.disconnect()
    assert "-- disconnect()" in bob.last_frames()


async def test_time_that_stands_still_is_noticed(env: TestEnv) -> None:
    def again() -> None:
        env.clock.call_later(0, again)

    env.clock.call_later(1, again)
    with pytest.raises(RuntimeError, match=r"at one instant, the last one .*again"):
        await env.tick(2)


async def test_a_tick_that_takes_too_long_says_how_far_it_came(env: TestEnv) -> None:
    def again() -> None:
        env.clock.call_later(0.001, again)

    again()
    with pytest.raises(TimeoutError, match=r"tick\(100000\) came [\d.]+ seconds far"):
        await env.tick(100_000, timeout=0.05)


@pytest.mark.parametrize("name", ["close", "shutdown"])
async def test_a_hook_that_waits_for_the_clock_does_not_hold_up_the_end(name: str) -> None:
    seen: list[str] = []

    async def hook() -> None:
        seen.append("begins")
        await env.clock.sleep(30)
        seen.append("ends")

    env = TestEnv(hooks={name: hook})
    env.register("m", EXPORTS)
    await env.connect().call("m/echo", "x")
    async with asyncio.timeout(10):
        await env.cleanup()
    assert seen == ["begins", "ends"]


async def test_calls_that_refuse_to_end_are_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    done = asyncio.Event()

    @live
    async def stubborn(ctx: Any) -> None:
        while not done.is_set():
            try:
                await done.wait()
            except asyncio.CancelledError:
                continue

    async with TestEnv() as env:
        env.register("m", {**EXPORTS, "stubborn": stubborn})
        call = asyncio.ensure_future(env.connect().call("m/stubborn"))
        await env.eventually(lambda: env.runtime.live.calls.running)
        with caplog.at_level(logging.CRITICAL, logger="realtime.tasks"):
            async with asyncio.timeout(15):
                await env.cleanup()
    with pytest.raises(LiveError, match="DISCONNECTED"):
        await call
    done.set()


async def test_an_env_that_cannot_end_says_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env_module, "CLEANUP_TIMEOUT", 0.3)
    monkeypatch.setattr(env_module, "CLEANUP_INTERVAL", 0.1)

    async def hook() -> None:
        await asyncio.Event().wait()

    before, env = get_platform(), TestEnv(hooks={"shutdown": hook})
    env.register("m", EXPORTS)
    await env.connect({"id": "ann"}).call("m/echo", "x")
    with pytest.raises(TimeoutError, match=r"still running: .*shutdown hook"):
        await env.cleanup()
    assert get_platform() is before
    await env.runtime.tasks.close()


async def test_the_goodbyes_of_a_project_are_not_spread() -> None:
    settings = Settings(server=ServerSettings(env="test", shutdown_spread=20))
    async with TestEnv(settings=settings) as env:
        env.register("m", EXPORTS)
        await env.connect().call("m/echo", "x")
        assert env.runtime.settings.server.shutdown_spread == 0
