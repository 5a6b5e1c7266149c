"""The live side of a worker without a project: modules by hand, and what needs a project."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

from runtime.core.settings import RateLimitSettings, RateRule, ServerSettings, Settings
from runtime.live.declare import Live
from runtime.live.registry import build_module
from runtime.server.assembly import Handshake, Runtime, assemble
from tests.server.peers import MemorySink, Peer


def module(tmp_path: Path, name: str = "hand", answer: str = "one"):
    """Return a live module that no file stands for."""
    made = types.ModuleType(name)
    live = Live()

    async def hello(ctx):
        return answer

    hello.__module__ = name
    made.hello = live.public(live(hello))
    return build_module(made, name, tmp_path / f"{name}.py", tmp_path)


async def connected(runtime: Runtime) -> Peer:
    sink = MemorySink()
    return Peer(sink, await runtime.open(sink, Handshake()))


async def test_modules_are_registered_by_hand_and_replaced_by_name(tmp_path: Path) -> None:
    runtime = assemble(None, Settings(server=ServerSettings(env="test")))
    await runtime.start()
    try:
        runtime.live.register(module(tmp_path))
        runtime.live.register(module(tmp_path, "other"))
        peer = await connected(runtime)
        assert (await peer.request("hand/hello"))["data"] == "one"
        runtime.live.register(module(tmp_path, answer="two"))
        assert (await peer.request("hand/hello"))["data"] == "two"
        assert (await peer.request("other/hello"))["data"] == "one"
    finally:
        await runtime.stop()


async def test_loading_needs_preparation_and_reloading_a_project(tmp_path: Path) -> None:
    runtime = assemble(None, Settings(server=ServerSettings(env="test")))
    with pytest.raises(RuntimeError, match="prepare"):
        runtime.live.load()
    with pytest.raises(RuntimeError, match="there is no project to reload"):
        await runtime.live.reload([])
    assert runtime.live.loader is None


async def test_rate_limits_of_the_settings_hold_for_every_call(tmp_path: Path) -> None:
    limits = RateLimitSettings(
        default=RateRule(points=2, window=10),
        overrides={"b/hello": RateRule(points=1, window=10)},
        exempt=("c/hello",),
    )
    runtime = assemble(None, Settings(server=ServerSettings(env="test"), rate_limits=limits))
    await runtime.start()
    try:
        for name in "abc":
            runtime.live.register(module(tmp_path, name))
        peer = await connected(runtime)
        passed = {
            name: [(await peer.request(f"{name}/hello"))["ok"] for _ in range(4)].count(True)
            for name in "abc"
        }
        assert passed == {"a": 2, "b": 1, "c": 4}
        reply = await peer.request("a/hello")
        assert reply["code"] == "RATE_LIMITED"
        assert 0 < reply["retryAfter"] <= 10_000
    finally:
        await runtime.stop()
