"""The page of the bounds names each with its default, and what tests see when it is met."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.core import capacity
from tests.unit.capacity.test_fills import FILLS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "capacity.md"
ROWS = {
    cells[0].strip("`"): cells
    for line in PAGE.read_text(encoding="utf-8").partition("## The bounds")[2].splitlines()
    if line.startswith("| `") and (cells := [cell.strip() for cell in line.strip("|").split("|")])
}


def test_every_bound_is_there_and_no_other() -> None:
    assert list(ROWS) == list(capacity.DEFAULTS)


@pytest.mark.parametrize("name", capacity.DEFAULTS)
def test_a_row_tells_what_holds(name: str) -> None:
    _, default, counted, action, then = ROWS[name]
    assert int(default.replace(",", "")) == capacity.DEFAULTS[name]
    assert counted
    assert then
    assert name not in FILLS or action == FILLS[name].action
