"""The board: what browsers can watch and call.

`@live.stream` gives every page a list or a value that stays current; `@live` makes a function that pages
call. In a page: `import { tasks, add } from '$live/board.js'`.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, TypedDict

from msgspec import Meta
from runtime import Ctx, LiveError, guard, live

from live import _store
from live._store import Activity, Counts, Status, Task
from visitors import User, clean_name, public

MAX_TASKS = 500
MAX_DOING = 5
"""Starting much and finishing little is what a board is against."""

SHOWN_ACTIVITY = 30

TaskId = Annotated[str, Meta(pattern=r"^[0-9a-z-]{8,40}$")]
Title = Annotated[str, Meta(max_length=140)]
Name = Annotated[str, Meta(max_length=40)]

COLUMNS: dict[Status, str] = {"todo": "To do", "doing": "Doing", "done": "Done"}


class Present(TypedDict):
    """An entry of who is here: `key` is the user's id."""

    key: str
    data: User


# Values that survive a reload of this file; a plain module-level dict would start empty.
_people: dict[str, User] = live.keep("people", dict)
_pages: Counter[str] = live.keep("pages", Counter)

# Runs before every call and stream of this module.
_guard = guard(authenticated=True)


# ---------------------------------------------------------------- what pages watch

# `replay=True` keeps the last events of a topic, so a page whose line broke is given only what it missed; the
# functions below run again only when that is no longer kept.


@live.stream("tasks", key="id", replay=True)
async def tasks(ctx: Ctx) -> list[Task]:
    """Every card; pages keep the list current from the events below."""
    return _store.tasks()


@live.stream("counts", merge="set", replay=True)
async def counts(ctx: Ctx) -> Counts:
    """How many cards each column holds."""
    return _store.counts()


@live.stream("activity", key="number", max=SHOWN_ACTIVITY, replay=True)
async def activity(ctx: Ctx) -> list[Activity]:
    """What happened lately, newest last."""
    return _store.activity(SHOWN_ACTIVITY)


async def _arrive(ctx: Ctx, topic: str) -> None:
    user = public(ctx.user)
    _pages[user["id"]] += 1
    _people[user["id"]] = user
    ctx.publish(topic, "join", {"key": user["id"], "data": user})


async def _leave(ctx: Ctx, topic: str) -> None:
    key = ctx.user["id"]
    _pages[key] -= 1
    if _pages[key] <= 0:  # the last of this person's pages
        del _pages[key]
        _people.pop(key, None)
        ctx.publish(topic, "leave", {"key": key})


@live.stream("here", merge="presence", replay=True, on_subscribe=_arrive, on_unsubscribe=_leave)
async def here(ctx: Ctx) -> list[Present]:
    """Who has the page open; a person with two tabs is listed once."""
    return [{"key": key, "data": user} for key, user in _people.items()]


# ---------------------------------------------------------------- what pages call


@live
async def add(ctx: Ctx, task_id: TaskId, title: Title, status: Status = "todo") -> Task:
    """Put a new card at the end of a column. The page chooses the id, so it can show the card at once."""
    words = _words(title)
    if _store.find(task_id) is not None:
        raise LiveError("EXISTS", "This card is on the board already")
    if len(_store.tasks()) >= MAX_TASKS:
        raise LiveError("BOARD_FULL", f"The board holds {MAX_TASKS} cards: remove some first")
    _check_room(status)
    task = _store.add(task_id, words, status, ctx.user["name"])
    ctx.publish("tasks", "created", task)
    _tell(ctx, f"added “{words}”")
    return task


@live
async def rename(ctx: Ctx, task_id: TaskId, title: Title) -> Task:
    """Give a card another title."""
    words, before = _words(title), _require(task_id)
    task = _store.rename(task_id, words)
    ctx.publish("tasks", "updated", task)
    if before.title != words:
        _tell(ctx, f"renamed “{before.title}” to “{words}”")
    return task


@live
async def move(ctx: Ctx, task_id: TaskId, status: Status, before: TaskId | None = None) -> Task:
    """Move a card in front of another one, or to the end of a column."""
    task = _require(task_id)
    if task.status != status:
        _check_room(status)
    for changed in _store.move(task_id, status, before):
        ctx.publish("tasks", "updated", changed)
    if task.status != status:
        _tell(ctx, f"moved “{task.title}” to {COLUMNS[status]}")
    return _require(task_id)


@live
async def remove(ctx: Ctx, task_id: TaskId) -> None:
    """Delete a card."""
    task = _require(task_id)
    _store.remove(task_id)
    ctx.publish("tasks", "deleted", task)
    _tell(ctx, f"removed “{task.title}”")


@live
async def call_me(ctx: Ctx, name: Name) -> User:
    """Change the caller's own name."""
    cleaned = clean_name(name)
    if not cleaned:
        raise LiveError("EMPTY_NAME", "A name needs at least one letter")
    ctx.user["name"] = cleaned  # of this connection; the page writes it into its cookie for the next one
    user = public(ctx.user)
    if user["id"] in _people:
        _people[user["id"]] = user
        ctx.publish("here", "join", {"key": user["id"], "data": user})
    return user


# ---------------------------------------------------------------- inside


def _tell(ctx: Ctx, what: str) -> None:
    ctx.publish("counts", "set", _store.counts())
    ctx.publish("activity", "created", _store.record(ctx.user["name"], what))


def _words(title: str) -> str:
    words = " ".join(title.split())
    if not words:
        raise LiveError("EMPTY_TITLE", "Write a few words first")
    return words


def _require(task_id: str) -> Task:
    task = _store.find(task_id)
    if task is None:
        raise LiveError("GONE", "Somebody has removed this card")
    return task


def _check_room(status: Status) -> None:
    if status == "doing" and _store.counts().doing >= MAX_DOING:
        raise LiveError("TOO_MUCH_AT_ONCE", f"Doing holds {MAX_DOING} cards: finish one first")
