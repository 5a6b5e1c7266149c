"""UPG108: what a room's topic takes, and what its on_leave gets."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import after, flagged, stays, upgrade

HEAD = "from runtime import live\n\n\ndef topic(ctx, board, page=1):\n    return board\n\n\n"


@pytest.mark.parametrize(
    "source",
    [
        "from other import live\n\nroom = live.room(topic=lambda ctx, a: a, actions={})\n",
        HEAD + "room = live.room(topic=topic, init=load)\n",
        HEAD + "room = live.room(topic=topic, actions={}, topic_args=2)\n",
        HEAD + "room = live.room(topic=topic, on_leave=None)\n",
        HEAD + "room = live.room(topic=topic, on_leave=lambda ctx, topic: 1)\n",
        "room = house.room(topic=1, on_leave=lambda ctx: 1)\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG108", source)


@pytest.mark.spec("UPGC-42")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "room = live.room(topic=topic, actions={})\n",
            "room = live.room(topic=topic, actions={}, topic_args=2)\n",
        ),
        ("room = live.room(topic, actions={})\n", "room = live.room(topic, actions={}, topic_args=2)\n"),
        (
            "room = live.room(topic=lambda ctx: 'a', actions={},)\n",
            "room = live.room(topic=lambda ctx: 'a', actions={}, topic_args=0,)\n",
        ),
        (
            "room = live.room(\n    actions={},\n    topic=topic,  # the topic\n)\n",
            "room = live.room(\n    actions={},\n    topic=topic,  # the topic\n    topic_args=2,\n)\n",
        ),
        (
            "room = live.room(\n    actions={},\n    topic=topic\n)\n",
            "room = live.room(\n    actions={},\n    topic=topic,\n    topic_args=2\n)\n",
        ),
    ],
)
def test_topic_args_are_counted(before: str, expected: str) -> None:
    assert after("UPG108", HEAD + before) == HEAD + expected


@pytest.mark.spec("UPGC-42")
def test_topic_args_of_an_imported_function() -> None:
    source = "from runtime import live\nfrom topics import t\n\nroom = live.room(topic=t, actions={})\n"
    text = after("UPG108", source, topics="def t(ctx, a, b, c):\n    return a\n")
    assert "actions={}, topic_args=3)" in text


@pytest.mark.spec("UPGC-42")
@pytest.mark.parametrize(
    "call",
    [
        "live.room(topic=lambda ctx, *args: 1, actions={})",
        "live.room(topic=unknown, actions={})",
        "live.room(topic=topic, actions={}, **more)",
        "live.room(topic=lambda: 1, actions={})",
        "live.room(topic=house.topic, actions={})",
    ],
)
def test_what_cannot_be_counted_is_an_error(call: str) -> None:
    source = f"{HEAD}room = {call}\n"
    done = upgrade({"live/a.py": source}, only="UPG108")
    assert done.files["live/a.py"] == source
    assert [(one.row, one.severity) for one in done.findings] == [("S-14", "error")]


@pytest.mark.spec("UPGC-43")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "room = live.room(on_leave=lambda ctx: bye(ctx))\n",
            "room = live.room(on_leave=lambda ctx, topic: bye(ctx))\n",
        ),
        (
            "def left(ctx):\n    pass\n\n\nroom = live.room(on_leave=left)\n",
            "def left(ctx, topic):\n    pass\n\n\nroom = live.room(on_leave=left)\n",
        ),
        (
            "async def left(ctx):\n    print(topic)\n\n\nroom = live.room(on_leave=left)\n",
            "async def left(ctx, _topic):\n    print(topic)\n\n\nroom = live.room(on_leave=left)\n",
        ),
        (
            "def left(ctx):\n    pass\n\n\nroom = live.room(on_leave=left)\nother(left)\n",
            "def left(ctx):\n    pass\n\n\nroom = live.room(on_leave=lambda ctx, topic: left(ctx))\nother(left)\n",
        ),
    ],
)
def test_on_leave_gets_the_topic(before: str, expected: str) -> None:
    head = "from runtime import live\n\n\n"
    assert after("UPG108", head + before) == head + expected


@pytest.mark.spec("UPGC-43")
def test_on_leave_of_another_file_is_wrapped() -> None:
    source = "from runtime import live\nfrom services import left\n\nroom = live.room(on_leave=left)\n"
    text = after("UPG108", source, services="def left(ctx):\n    pass\n")
    assert text.endswith("room = live.room(on_leave=lambda ctx, topic: left(ctx))\n")


@pytest.mark.parametrize(
    ("argument", "row"),
    [
        ("on_leave=partial(left, 1)", "S-15"),
        ("on_leave=house.left", "S-15"),
        ("on_leave=lambda *args: 1", "S-15"),
        ("on_join=greet", "S-16"),
    ],
)
def test_what_cannot_be_followed_is_told(argument: str, row: str) -> None:
    assert flagged("UPG108", f"from runtime import live\n\nroom = live.room({argument})\n") == [(row, 3)]
