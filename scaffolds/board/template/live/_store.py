"""Where the board is kept: one SQLite file, so that a restart loses nothing.

The underscore in the file's name keeps it private: browsers can call what is in `board.py`, never this.
"""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
from runtime import live

Status = Literal["todo", "doing", "done"]

STEP = 1024.0
"""Distance between neighbours in a column; a task moved between two gets the middle."""

ACTIVITY_KEPT = 200

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
    id       TEXT PRIMARY KEY,
    title    TEXT NOT NULL,
    status   TEXT NOT NULL CHECK (status IN ('todo', 'doing', 'done')),
    position REAL NOT NULL,
    author   TEXT NOT NULL,
    created  TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS tasks_by_place ON tasks (status, position);
CREATE TABLE IF NOT EXISTS activity (
    number INTEGER PRIMARY KEY,
    who    TEXT NOT NULL,
    what   TEXT NOT NULL,
    at     TEXT NOT NULL
) STRICT;
"""

_WELCOME: list[tuple[str, Status]] = [
    ("Open this page in a second window and watch both", "todo"),
    ("Drag a card, or use its arrows", "todo"),
    ("Edit live/board.py and save: it is live at once", "doing"),
    ("Make a project", "done"),
]


class Task(msgspec.Struct, frozen=True):
    """One card of the board."""

    id: str
    title: str
    status: Status
    position: float
    author: str
    created: datetime


class Counts(msgspec.Struct, frozen=True):
    """How many cards each column holds."""

    todo: int = 0
    doing: int = 0
    done: int = 0


class Activity(msgspec.Struct, frozen=True):
    """One line of what happened."""

    number: int
    who: str
    what: str
    at: datetime


class Database(sqlite3.Connection):
    """A connection that closes itself when nothing needs it any more."""

    def __del__(self) -> None:
        self.close()


def _open(path: str) -> Database:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    # The app uses it in one thread; the collector may close it in any.
    database: Database = sqlite3.connect(path, factory=Database, timeout=5, check_same_thread=False)
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.executescript(_SCHEMA)
    if database.execute("PRAGMA user_version").fetchone()[0] == 0:  # a new file
        with database:
            database.execute("PRAGMA user_version = 1")
            for number, (title, status) in enumerate(_WELCOME, 1):
                row = (f"welcome-{number}", title, status, number * STEP, "Realtime", _now())
                database.execute("INSERT OR IGNORE INTO tasks VALUES (?, ?, ?, ?, ?, ?)", row)
    return database


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


PATH = os.environ.get("BOARD_DB") or str(Path(__file__).resolve().parent.parent / "data" / "board.sqlite3")

# Kept over a reload of the code, so that saving a file does not reopen the database. Queries take some
# microseconds, so they run right in the event loop.
_db = live.keep("database", _open, PATH)


def tasks() -> list[Task]:
    """All tasks, in the order of their columns."""
    return [_task(row) for row in _db.execute("SELECT * FROM tasks ORDER BY status, position")]


def find(task_id: str) -> Task | None:
    """The task with this id, if there is one."""
    row = _db.execute("SELECT * FROM tasks WHERE id = ?", (task_id,)).fetchone()
    return _task(row) if row else None


def counts() -> Counts:
    """How many tasks each column holds."""
    rows = _db.execute("SELECT status, count(*) FROM tasks GROUP BY status").fetchall()
    return msgspec.convert({status: number for status, number in rows}, Counts)


def add(task_id: str, title: str, status: Status, author: str) -> Task:
    """Put a new task at the end of a column."""
    last = _db.execute("SELECT max(position) FROM tasks WHERE status = ?", (status,)).fetchone()[0]
    row = (task_id, title, status, (last or 0.0) + STEP, author, _now())
    with _db:
        _db.execute("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?)", row)
    return _require(task_id)


def rename(task_id: str, title: str) -> Task:
    """Give a task another title."""
    with _db:
        _db.execute("UPDATE tasks SET title = ? WHERE id = ?", (title, task_id))
    return _require(task_id)


def move(task_id: str, status: Status, before: str | None) -> list[Task]:
    """Move a task in front of another one, or to the end of a column; gives back every changed task."""
    others = [task for task in tasks() if task.status == status and task.id != task_id]
    index = next((i for i, task in enumerate(others) if task.id == before), len(others))
    low = others[index - 1].position if index else others[0].position - 2 * STEP if others else 0.0
    high = others[index].position if index < len(others) else low + 2 * STEP
    middle = (low + high) / 2
    with _db:
        if low < middle < high:
            _db.execute("UPDATE tasks SET status = ?, position = ? WHERE id = ?", (status, middle, task_id))
            return [_require(task_id)]
        # No number left between the two: number the whole column anew.
        ids = [task.id for task in others]
        ids.insert(index, task_id)
        for number, each in enumerate(ids, 1):
            place = (status, number * STEP, each)
            _db.execute("UPDATE tasks SET status = ?, position = ? WHERE id = ?", place)
    return [_require(each) for each in ids]


def remove(task_id: str) -> None:
    """Delete a task."""
    with _db:
        _db.execute("DELETE FROM tasks WHERE id = ?", (task_id,))


def activity(limit: int) -> list[Activity]:
    """The latest lines of what happened, oldest first."""
    rows = _db.execute("SELECT * FROM activity ORDER BY number DESC LIMIT ?", (limit,)).fetchall()
    return [_activity(row) for row in reversed(rows)]


def record(who: str, what: str) -> Activity:
    """Add a line to what happened; very old lines go."""
    with _db:
        done = _db.execute("INSERT INTO activity (who, what, at) VALUES (?, ?, ?)", (who, what, _now()))
        _db.execute("DELETE FROM activity WHERE number <= ?", ((done.lastrowid or 0) - ACTIVITY_KEPT,))
    return _activity(_db.execute("SELECT * FROM activity WHERE number = ?", (done.lastrowid,)).fetchone())


def _require(task_id: str) -> Task:
    task = find(task_id)
    if task is None:
        raise LookupError(f"no task {task_id!r}")
    return task


def _task(row: sqlite3.Row) -> Task:
    return msgspec.convert(dict(row), Task)


def _activity(row: sqlite3.Row) -> Activity:
    return msgspec.convert(dict(row), Activity)
