"""UPG112: those who read presence frames by hand."""

from __future__ import annotations

import pytest

from realtime_cli.codemods.project import Options
from tests.upgrade.projects import after, flagged, stays


@pytest.mark.parametrize(
    "source",
    [
        "def f(event):\n    return event == 'join'\n",
        "def f(command):\n    if command == 'list':\n        pass\n    elif command == 'updated':\n        pass\n",
        "def f(frame):\n    return frame['event'] == 'updated'\n",
        "def f(t, event):\n    return t == '__presence:a' and event == 'presence_state'\n",
        "event = ['list', 'join']\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG112", source)


@pytest.mark.spec("UPGC-47")
@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("def f(t, event):\n    if t.startswith('__presence:') and event == 'list':\n        pass\n", [2]),
        (
            "def f(event):\n    if event == 'join':\n        pass\n    elif event == 'updated':\n        pass\n",
            [2, 4],
        ),
        ("def f(x):\n    return x.event in ('join', 'leave', 'updated')\n", [2, 2, 2]),
        (
            "def f(frame):\n    match frame['event']:\n        case 'list':\n            a()\n        case 'updated':\n"
            "            b()\n",
            [3, 5],
        ),
        ("def f(t, b, event):\n    return t == f'__presence:{b}' and event == 'leave'\n", [2]),
    ],
)
def test_each_old_arm_is_told(source: str, lines: list[int]) -> None:
    assert flagged("UPG112", source) == [("D-06", line) for line in lines]
    assert after("UPG112", source) == source.replace("updated", "updated")


@pytest.mark.spec("UPGC-47")
def test_the_skeleton_is_written_only_when_it_is_asked_for() -> None:
    source = "def f(t, event):\n    if t.startswith('__presence:') and event == 'list':\n        pass\n"
    text = after("UPG112", source, options=Options(interactive=True))
    assert text.startswith('def decode_presence(present, event, data):\n    if event == "presence_state":\n')
    assert "    # TODO(realtime-upgrade UPG112)" in text
