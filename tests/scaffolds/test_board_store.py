"""The board's database: opened by the loop's thread, closed by whichever thread finds that nobody uses it."""

from __future__ import annotations

import gc
import importlib.util
import sqlite3
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from runtime.live.collector import Collector, collecting

STORE = Path(__file__).parents[2] / "scaffolds" / "board" / "template" / "live" / "_store.py"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("BOARD_DB", str(tmp_path / "kept.sqlite3"))
    spec = importlib.util.spec_from_file_location("board_store_of_a_test", STORE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with collecting(Collector()):
        spec.loader.exec_module(module)
    return module


def test_another_thread_may_close_it(store: ModuleType, tmp_path: Path) -> None:
    database = store._open(str(tmp_path / "board.sqlite3"))
    with ThreadPoolExecutor(1) as threads:
        threads.submit(database.close).result()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")


def test_the_collector_may_close_it_in_another_thread(
    store: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", failed.append)
    circle: dict[str, Any] = {"database": store._open(str(tmp_path / "board.sqlite3"))}
    circle["self"] = circle
    reference = weakref.ref(circle["database"])
    gc.disable()
    try:
        del circle
        assert reference() is not None, "only the collector finds it"
        with ThreadPoolExecutor(1) as threads:
            threads.submit(gc.collect).result()
    finally:
        gc.enable()
    assert (reference(), failed) == (None, [])


def test_what_it_holds_is_there_again_for_the_next_one(store: ModuleType, tmp_path: Path) -> None:
    path = str(tmp_path / "board.sqlite3")
    first = store._open(path)
    with first:
        first.execute("UPDATE tasks SET title = 'mine' WHERE id = 'welcome-1'")
    first.close()
    second = store._open(path)
    rows = second.execute("SELECT id, title FROM tasks ORDER BY id").fetchall()
    assert [row["id"] for row in rows] == [f"welcome-{number}" for number in range(1, 5)]
    assert rows[0]["title"] == "mine"
    second.close()
