"""The leader of one process: reloads, apps and event loops. The conformance suite has what it shares with its twin."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from runtime.plugins import Leader
from runtime.plugins.lifetime import adopt_all
from tests.conformance.twins import settle
from tests.unit.core.parts import Core


async def test_a_reload_keeps_the_place_and_takes_the_new_callbacks() -> None:
    said: list[Any] = []
    old = Leader(key="reload", on_lost=lambda reason: said.append(("old", reason)))
    await old.start()
    epoch = old.epoch
    new = Leader(key="reload", on_lost=lambda reason: said.append(("new", reason)))
    assert adopt_all({"m": {"leader": old}}, {"m": {"leader": new}}) == 1
    assert (new.is_leader(), new.epoch, await new.current_leader()) == (True, epoch, new.instance_id)
    rival = Leader(key="reload")
    await rival.start()
    await new.start()
    assert not rival.is_leader()
    await new.close()
    assert said == [("new", "stopped")]
    assert rival.is_leader()
    await rival.close()


async def test_a_leader_of_another_key_does_not_take_over() -> None:
    old, new = Leader(key="a"), Leader(key="b")
    await old.start()
    assert adopt_all({"m": {"leader": old}}, {"m": {"leader": new}}) == 0
    assert not new.is_leader()
    await old.close()


async def test_it_stands_down_with_its_app() -> None:
    core = Core()
    leader = Leader(key="app")
    assert leader._platform(core.platform) is core.platform
    await leader.start()
    assert leader.is_leader()
    await core.platform.parts.closing.close(1.0)
    assert not leader.is_leader()
    await leader.start()
    assert leader.is_leader()
    await leader.close()


def test_event_loops_do_not_share_leaders() -> None:
    leaders = []

    async def lead() -> bool:
        leaders.append(Leader(key="loops"))
        await leaders[-1].start()
        return leaders[-1].is_leader()  # and never stops

    assert [asyncio.run(lead()) for _ in range(2)] == [True, True]


async def test_a_callback_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def later(epoch: int) -> None:
        raise ValueError("asynchronously wrong")

    def now(reason: str) -> None:
        raise ValueError("simply wrong")

    leader = Leader(key="callbacks", instance_id="me", on_elected=later, on_lost=now)
    assert repr(leader) == "<Leader 'callbacks': me>"
    with caplog.at_level(logging.ERROR):
        await leader.start()
        await settle()
        await leader.close()
    assert "asynchronously wrong" in caplog.text
    assert "simply wrong" in caplog.text


@pytest.mark.parametrize("option", ["on_elected", "on_lost"])
def test_a_callback_must_be_a_function(option: str) -> None:
    with pytest.raises(ValueError, match=option):
        Leader(**{option: 5})  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("timeout", [0, -1.0, float("inf")])
async def test_a_wait_has_a_bound_or_none(timeout: float) -> None:
    leader = Leader(key="bounds")
    with pytest.raises(ValueError, match="timeout"):
        await leader.wait_elected(timeout)
