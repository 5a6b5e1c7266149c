"""The storm of joins that the documents tell of, in small: the same code, and figures that follow from the rules."""

from __future__ import annotations

import pytest

from bench.plugins.storm import storm


@pytest.mark.spec("WIRE-108")
@pytest.mark.parametrize(("turns", "frames"), [(1, 200), (2, 250), (10, 650)])
async def test_frames_are_a_state_per_member_and_a_diff_per_turn_to_who_is_there(
    turns: int, frames: int
) -> None:
    sent, size, _ = await storm(100, turns)
    assert sent == frames
    assert size > 100 * frames
