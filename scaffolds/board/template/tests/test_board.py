"""What the board promises, tested through the same calls and streams that a page uses."""

from __future__ import annotations

from typing import Any

import pytest
from runtime import LiveError
from runtime.testing import TestEnv

ADA = {"id": "aaaaaaaa", "name": "Ada", "color": "#1d4ed8"}
BOB = {"id": "bbbbbbbb", "name": "Bob", "color": "#15803d"}


def titles(tasks: list[dict[str, Any]] | None, status: str) -> list[str]:
    """The titles of one column from top to bottom."""
    column = [task for task in tasks or [] if task["status"] == status]
    return [task["title"] for task in sorted(column, key=lambda task: task["position"])]


async def test_a_new_card_reaches_everybody(realtime_app: TestEnv) -> None:
    ada, bob = realtime_app.connect(ADA), realtime_app.connect(BOB)
    watched = bob.subscribe("board/tasks")
    await watched.ready()

    made = await ada.call("board/add", "milk-0001", "  buy   milk ")

    assert made["title"] == "buy milk"
    assert made["author"] == "Ada"
    await watched.wait_for(lambda tasks: "buy milk" in titles(tasks, "todo"))


async def test_counters_follow_every_change(realtime_app: TestEnv) -> None:
    ada = realtime_app.connect(ADA)
    counts = ada.subscribe("board/counts")
    await counts.ready()
    start = counts.value

    await ada.call("board/add", "milk-0001", "buy milk")
    await counts.wait_for(lambda now: now["todo"] == start["todo"] + 1)
    await ada.call("board/move", "milk-0001", "done")
    await counts.wait_for(lambda now: now == {**start, "done": start["done"] + 1})
    await ada.call("board/remove", "milk-0001")
    await counts.wait_for(lambda now: now == start)


async def test_a_card_moves_in_front_of_another(realtime_app: TestEnv) -> None:
    ada = realtime_app.connect(ADA)
    watched = ada.subscribe("board/tasks")
    await watched.ready()
    for key in ("one", "two", "three"):
        await ada.call("board/add", f"card-{key}", key, "done")

    for _ in range(60):  # more often than there are numbers between two neighbours
        await ada.call("board/move", "card-three", "done", "card-two")
        await ada.call("board/move", "card-two", "done", "card-three")

    await watched.wait_for(lambda tasks: titles(tasks, "done")[-3:] == ["one", "two", "three"])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("card-0001", "x" * 141), "VALIDATION"),
        (("card-0001", "   "), "EMPTY_TITLE"),
        (("no", "a title"), "VALIDATION"),
        (("card-0001", "a title", "later"), "VALIDATION"),
        (("welcome-1", "a title"), "EXISTS"),
    ],
)
async def test_a_bad_card_is_refused(realtime_app: TestEnv, arguments: tuple[str, ...], code: str) -> None:
    with pytest.raises(LiveError) as refused:
        await realtime_app.connect(ADA).call("board/add", *arguments)
    assert refused.value.code == code


async def test_doing_has_a_limit(realtime_app: TestEnv) -> None:
    ada = realtime_app.connect(ADA)
    with pytest.raises(LiveError) as refused:
        for number in range(6):
            await ada.call("board/add", f"card-{number:04}", "busy", "doing")
    assert refused.value.code == "TOO_MUCH_AT_ONCE"


async def test_a_removed_card_cannot_be_changed(realtime_app: TestEnv) -> None:
    ada = realtime_app.connect(ADA)
    await ada.call("board/remove", "welcome-1")
    with pytest.raises(LiveError) as refused:
        await ada.call("board/rename", "welcome-1", "again")
    assert refused.value.code == "GONE"


async def test_who_is_here_counts_people_not_tabs(realtime_app: TestEnv) -> None:
    ada, tab, bob = (realtime_app.connect(user) for user in (ADA, dict(ADA), BOB))
    watched = bob.subscribe("board/here")
    await ada.subscribe("board/here").ready()
    await tab.subscribe("board/here").ready()
    await watched.wait_for(lambda people: sorted(p["key"] for p in people) == ["aaaaaaaa", "bbbbbbbb"])

    await ada.call("board/call_me", "Ada L.")
    await watched.wait_for(lambda people: "Ada L." in [p["data"]["name"] for p in people])
    assert set(watched.value[0]["data"]) == {"id", "name", "color"}

    await ada.disconnect()
    await tab.disconnect()
    await watched.wait_for(lambda people: [p["key"] for p in people] == ["bbbbbbbb"])


async def test_a_page_that_lost_its_line_is_given_what_it_missed(realtime_app: TestEnv) -> None:
    ada, bob = realtime_app.connect(ADA), realtime_app.connect(BOB)
    watched = bob.subscribe("board/tasks")
    await watched.ready()

    realtime_app.chaos.disconnect(bob)
    await ada.call("board/add", "milk-0001", "buy milk")

    await watched.wait_for(lambda tasks: "buy milk" in titles(tasks, "todo"))


async def test_nobody_works_without_a_user(realtime_app: TestEnv) -> None:
    with pytest.raises(LiveError) as refused:
        await realtime_app.connect(None).call("board/add", "card-0001", "a title")
    assert refused.value.code == "UNAUTHENTICATED"
