"""UPG110: "closed" is two states."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import after, flagged, stays, upgrade

HEAD = "from runtime.client import connect\n\n\nasync def main():\n    conn = await connect('ws://x')\n"


def line(text: str) -> str:
    return HEAD + f"    {text}\n"


@pytest.mark.parametrize(
    "source",
    [
        "if status == 'closed':\n    pass\n",
        "if conn.status.value == 'closed':\n    pass\n",
        line("x = conn.status.value == 'open'"),
        line("x = conn.status == 'closed'"),
        line("x = other.status.value == 'closed'"),
        line("x = 'closed'"),
        "from typing import Literal\n\nX = Literal['open', 'closed']\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG110", source, path="bot.py")


@pytest.mark.spec("UPGC-45")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("x = conn.status.value == 'closed'", "x = conn.status.value in ('disconnected', 'failed')"),
        ('x = conn.status.value=="closed"', 'x = conn.status.value in ("disconnected", "failed")'),
        ("x = conn.status.value != 'closed'", "x = conn.status.value not in ('disconnected', 'failed')"),
        ("x = 'closed' == conn.status.value", "x = conn.status.value in ('disconnected', 'failed')"),
        (
            "x = conn.status.value in ('closed', 'connecting')",
            "x = conn.status.value in ('disconnected', 'failed', 'connecting')",
        ),
        (
            "x = conn.status.value not in ['open', \"closed\"]",
            'x = conn.status.value not in [\'open\', "disconnected", "failed"]',
        ),
        (
            "x = (conn.status.value == 'closed') == y",
            "x = (conn.status.value in ('disconnected', 'failed')) == y",
        ),
        (
            "x = y < (conn.status.value!='closed')",
            "x = y < (conn.status.value not in ('disconnected', 'failed'))",
        ),
        (
            "x = 'closed' == (s := conn.status.value)",
            "x = (s := conn.status.value) in (('disconnected', 'failed'))",
        ),
        (
            "x = 1 if'closed'==conn.status.value else 2",
            "x = 1 if conn.status.value in ('disconnected', 'failed') else 2",
        ),
        (
            "x = ('closed'  # old\n        == conn.status.value)",
            "x = (conn.status.value  # old\n        in ('disconnected', 'failed'))",
        ),
        (
            "s = conn.status.value\n    x = s == 'closed'",
            "s = conn.status.value\n    x = s in ('disconnected', 'failed')",
        ),
        (
            "conn.status.subscribe(lambda s: s == 'closed' and stop())",
            "conn.status.subscribe(lambda s: s in ('disconnected', 'failed') and stop())",
        ),
    ],
)
def test_comparisons_get_both_states(before: str, expected: str) -> None:
    assert after("UPG110", line(before), path="bot.py") == line(expected)


@pytest.mark.spec("UPGC-45")
def test_a_match_gets_both_and_is_told_that_there_are_five() -> None:
    arms = "match conn.status.value:\n        case 'open':\n            a()\n        case 'closed':\n            b()"
    done = upgrade({"bot.py": line(arms)}, only="UPG110")
    assert "case 'disconnected' | 'failed':" in done.files["bot.py"]
    assert [(one.row, one.status) for one in done.findings] == [("D-04", "flagged"), ("D-02", "edited")]
    ended = arms + "\n        case _:\n            c()"
    assert flagged("UPG110", line(ended), path="bot.py") == []


@pytest.mark.spec("UPGC-45")
def test_tables_and_types_are_told() -> None:
    table = line("x = {'closed': 1, 'open': 2}[conn.status.value]")
    assert flagged("UPG110", table, path="bot.py") == [("D-02", 6)]
    types = (
        "import runtime.client\nfrom typing import Literal\n\nX = Literal['open', 'closed', 'connecting']\n"
    )
    assert flagged("UPG110", types, path="bot.py") == [("D-02", 4)]


@pytest.mark.spec("UPGC-45")
@pytest.mark.parametrize(
    "comparison",
    [
        "conn.status.value == y == 'closed'",
        "y == conn.status.value == 'closed'",
        "y is not conn.status.value != 'closed'",
        "'closed' == conn.status.value == y",
        "'closed' == y == conn.status.value",
        "y == 'closed' != conn.status.value",
        "y == conn.status.value in ('closed', 'open')",
        "'a' < 'closed' < conn.status.value < 'z'",
        "'closed' in (conn.status.value, y)",
        "'closed' not in [conn.status.value]",
    ],
)
def test_chains_and_lists_of_states_are_told_and_stay(comparison: str) -> None:
    source = line(f"x = {comparison}")
    assert after("UPG110", source, path="bot.py") == source
    assert flagged("UPG110", source, path="bot.py") == [("D-02", 6)]


@pytest.mark.parametrize(
    "comparison", ["y == conn.status.value == 'open'", "a < conn.status.value < 'closed'[0]"]
)
def test_chains_without_the_old_state_stay(comparison: str) -> None:
    assert stays("UPG110", line(f"x = {comparison}"), path="bot.py")
