"""Which rows of the robustness table (wire 10) are tests, and which wait for the feature they are about."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.server.test_robustness import ANSWERED, IGNORED

TESTS = Path(__file__).parents[1] / "server"
FILES = ("test_robustness.py", "test_robustness_peers.py", "test_robustness_uploads.py", "test_resume.py")
ROWS = range(1, 91)
NAMED = re.compile(r"test_rows?_(\d+(?:_(?:and_)?\d+)*)_")

#: Cursors are tested with their plugin.
WAITING = {86, 87}


def rows_of(name: str) -> set[int]:
    """Return the rows that a test has in its name, `test_rows_25_and_26_...` having two."""
    found = NAMED.match(name)
    return {int(number) for number in re.findall(r"\d+", found[1])} if found else set()


def covered() -> set[int]:
    """Return every row that is a test."""
    rows = {row for row, *_ in [*IGNORED, *ANSWERED]}
    for file in FILES:
        for node in ast.walk(ast.parse((TESTS / file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
                rows |= rows_of(node.name)
    return rows


@pytest.mark.spec("WIRE-118")
def test_every_row_whose_feature_exists_is_a_test() -> None:
    assert sorted(set(ROWS) - covered()) == sorted(WAITING)


def test_names_tell_their_rows() -> None:
    assert rows_of("test_row_80_a_frame_above") == {80}
    assert rows_of("test_rows_25_and_26_unsubscribe") == {25, 26}
    assert rows_of("test_rows_29_31_and_32_resume") == {29, 31, 32}
    assert rows_of("test_bad_frames_are_answered") == set()
