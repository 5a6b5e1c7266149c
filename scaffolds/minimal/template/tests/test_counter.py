"""What the counter promises, tested through the same calls and streams that a page uses."""

from __future__ import annotations

from runtime.testing import TestEnv


async def test_everybody_sees_the_same_number(realtime_app: TestEnv) -> None:
    one, other = realtime_app.connect(None), realtime_app.connect(None)
    watched = other.subscribe("counter/count")
    await watched.ready()
    assert watched.value == 0

    assert await one.call("counter/add") == 1
    assert await one.call("counter/add", 41) == 42
    await watched.wait_for(lambda number: number == 42)


async def test_every_step_is_told_once(realtime_app: TestEnv) -> None:
    await realtime_app.connect(None).call("counter/add", 2)

    assert [event.data for event in realtime_app.published.on("count")] == [2]


async def test_a_page_that_lost_its_line_catches_up(realtime_app: TestEnv) -> None:
    one, other = realtime_app.connect(None), realtime_app.connect(None)
    watched = other.subscribe("counter/count")
    await watched.ready()

    realtime_app.chaos.disconnect(other)
    await one.call("counter/add", 7)

    await watched.wait_for(lambda number: number == 7)
