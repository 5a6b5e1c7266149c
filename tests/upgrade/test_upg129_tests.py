"""UPG129: what tests expect."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import flagged, stays, upgrade

TEST = "import asyncio\nimport pytest\n\n\nasync def test_{name}(conn, frames):\n    {line}\n"


@pytest.mark.parametrize(
    "source",
    [
        TEST.format(name="a", line="assert kinds == ['subscribe']"),
        TEST.format(name="a", line="kinds = ['subscribe', 'subscribe']"),
        TEST.format(name="a", line="await asyncio.sleep(0.1)"),
        TEST.format(name="reconnect", line="await asyncio.sleep(1)"),
        TEST.format(name="reconnect", line="print(0.1)"),
        TEST.format(name="a", line="pytest.raises(ValueError, match='must include a leader')"),
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG129", source, path="tests/test_a.py")


def test_outside_of_tests_only_the_header_counts() -> None:
    assert stays(
        "UPG129", TEST.format(name="reconnect", line="assert k == ['subscribe', 'subscribe']"), path="a.py"
    )
    assert flagged("UPG129", "get(headers={'X-No-Dedup': '1'})\n", path="a.py") == [("C-23", 1)]


@pytest.mark.spec("UPGC-60")
@pytest.mark.parametrize(
    ("source", "row"),
    [
        (
            TEST.format(name="a", line="assert [f['type'] for f in frames] == ['subscribe', 'subscribe']"),
            "D-07",
        ),
        (TEST.format(name="reconnects", line="await asyncio.sleep(0.2)"), "D-12"),
        (TEST.format(name="a", line="conn.reconnect(); assert took < 0.2"), "D-12"),
        (TEST.format(name="a", line="conn.reconnect(timeout=0.1)"), "D-12"),
        (TEST.format(name="reconnects", line="assert delay <= 30"), "D-11"),
        (
            TEST.format(
                name="a", line="pytest.raises(ValueError, match='config must include a leader field')"
            ),
            "D-27",
        ),
    ],
)
def test_expectations_of_0_4_are_told(source: str, row: str) -> None:
    assert flagged("UPG129", source, path="tests/test_a.py") == [(row, 6)]
    assert upgrade({"tests/test_a.py": source}, only="UPG129").files["tests/test_a.py"] == source
