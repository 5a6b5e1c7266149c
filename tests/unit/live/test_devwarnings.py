"""What dev says of single calls. Spec: live-api 3.1 and 3.4."""

from __future__ import annotations

import logging

import pytest

from runtime.core import capacity
from tests.server.conftest import AppFactory

SOURCE = """
    from runtime import live

    @live
    async def items(ctx, count: int):
        return [0] * count

    @live
    async def text(ctx, count: int):
        return "x" * count

    @live
    async def save(ctx, count: int): ...

    # A mark deep inside counts: the wrappers above share it.
    @live.lock("k")
    @live.rate_limit(1000, 1)
    @live.scoped(lambda ctx, *args: True)
    @live.volatile
    async def move(ctx, count: int): ...
"""


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "realtime.rpc"]


async def test_a_large_result_is_warned_of_once_per_path(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({"live/a.py": SOURCE}, env="dev")
    peer = await app.connect()
    with caplog.at_level(logging.WARNING):
        for path, most in (("a/items", 5000), ("a/text", 800_000)):
            assert (await peer.request(path, most))["ok"]
            assert warned(caplog) == []
            for _ in range(2):
                assert (await peer.request(path, most + 1))["ok"]
            assert [text.split(" in one reply")[0] for text in warned(caplog)] == [
                f"{path} returned " + ("5001 items" if path == "a/items" else "a text of 800001 characters")
            ]
            caplog.clear()


@pytest.mark.spec("LIVE-34")
async def test_a_call_that_nobody_waits_for_is_warned_of_once_per_path(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({"live/a.py": SOURCE}, env="dev")
    peer = await app.connect()
    with caplog.at_level(logging.WARNING), capacity.capacity_override(VOLATILE_WARN_CAP=1):
        for path in ("a/save", "a/save", "a/move", "a/items", "a/save"):
            peer.send({"rpc": path, "args": [1]})
        await peer.request("a/save", 1)
    # One path is remembered: the first is forgotten when another comes.
    assert [text.split(" ")[0] for text in warned(caplog)] == ["a/save", "a/items", "a/save"]


async def test_outside_dev_nothing_is_said(make_app: AppFactory, caplog: pytest.LogCaptureFixture) -> None:
    app = await make_app({"live/a.py": SOURCE})
    peer = await app.connect()
    with caplog.at_level(logging.WARNING):
        peer.send({"rpc": "a/save", "args": [1]})
        assert (await peer.request("a/items", 5001))["ok"]
    assert warned(caplog) == []
