"""UPG126: four defaults, told or pinned."""

from __future__ import annotations

import pytest

from realtime_cli.codemods.project import Options
from tests.upgrade.projects import after, flagged, stays, upgrade

HEAD = "from runtime.cluster import Cursor, Presence\nfrom runtime.plugins import Queue\n\n"
PIN = Options(pin_defaults=True)


@pytest.mark.parametrize(
    "source",
    [
        "from queue import Queue\n\nx = Queue()\n",
        "class Presence: ...\n\n\nx = Presence(redis)\n",
        HEAD + "x = Presence(redis, select=f)\n",
        HEAD + "x = Presence(redis, **options)\n",
        HEAD + "x = Cursor(redis, select=f, throttle=1, topic_throttle=1)\n",
        HEAD + "x = Queue(max_size=5)\n",
        HEAD + "x = presence.__class__(redis)\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG126", source)


@pytest.mark.spec("UPGC-59")
def test_the_four_are_told() -> None:
    source = HEAD + "a = Presence(redis, key='id')\nb = Cursor(redis)\nc = Queue()\n"
    done = upgrade({"a.py": source, "realtime.toml": "[server]\nport = 1\n"}, only="UPG126")
    assert [(one.row, one.line, str(one.change)) for one in done.findings] == [
        ("D-10", 0, "BEHAVIOUR"),
        ("D-14", 0, "BEHAVIOUR"),
        ("D-34", 0, "BEHAVIOUR"),
        ("D-18", 4, "FLAG"),
        ("D-18", 5, "FLAG"),
    ]
    assert done.files["a.py"] == source
    assert flagged("UPG126", source) == [("D-18", 4), ("D-18", 5)]


@pytest.mark.spec("UPGC-59")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("Queue()", "Queue(max_size=None)"),
        ("Cursor(redis, select=f)", "Cursor(redis, select=f, throttle=0.05, topic_throttle=0)"),
        ("Cursor(redis, throttle=1, select=f)", "Cursor(redis, throttle=1, select=f, topic_throttle=0)"),
        ("Queue(max_size=2)", "Queue(max_size=2)"),
    ],
)
def test_old_values_are_pinned_where_none_is_given(before: str, expected: str) -> None:
    assert after("UPG126", f"{HEAD}x = {before}\n", options=PIN) == f"{HEAD}x = {expected}\n"


@pytest.mark.spec("UPGC-59")
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("[server]\nport = 1\n", "[server]\nport = 1\n\n[websocket]\nmax_payload_length = 16384\n"),
        ('[websocket]\npath = "/ws"\n', '[websocket]\npath = "/ws"\nmax_payload_length = 16384\n'),
        ("[websocket]\nmax_payload_length = 5\n", "[websocket]\nmax_payload_length = 5\n"),
    ],
)
def test_the_largest_message_is_pinned_in_the_settings(settings: str, expected: str) -> None:
    done = upgrade({"realtime.toml": settings}, only="UPG126", options=PIN)
    assert done.files["realtime.toml"] == expected
