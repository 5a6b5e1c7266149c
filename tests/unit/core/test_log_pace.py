"""Failures that come with every event do not fill the log."""

from __future__ import annotations

from runtime.core.logpace import LINES_PER_SECOND, LogPace
from runtime.testing import FakeClock


async def test_what_is_left_out_within_a_second_is_said_with_the_next_line() -> None:
    clock = FakeClock()
    pace = LogPace(clock)
    assert [pace.take() for _ in range(LINES_PER_SECOND)] == [""] * LINES_PER_SECOND
    assert [pace.take() for _ in range(3)] == [None] * 3
    await clock.advance(0.9)
    assert pace.take() is None
    await clock.advance(0.1)
    assert pace.take() == " (4 more failures before this one were left out of the log)"
    assert pace.take() == ""
