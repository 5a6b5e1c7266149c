"""`realtime serve` looks for cycles seldom, and leaves an app's own choice alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import gc
import realtime_cli.collector as collector
{choice}
class Node: pass
def collections(objects):
    before, kept = gc.get_stats()[0]["collections"], []
    for _ in range(objects):
        kept.append([])
    return gc.get_stats()[0]["collections"] - before
print(collector.collect_seldom())
print(gc.get_freeze_count() > 0)
print(collections(collector.YOUNG_OBJECTS // 2))
node = Node(); node.me = node; del node  # a cycle
print(collections(collector.YOUNG_OBJECTS * 2) >= 1)
print(any(isinstance(found, Node) for found in gc.get_objects()))
"""


def run(choice: str = "") -> list[str]:
    program = PROGRAM.format(choice=choice)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()


def test_cycles_are_looked_for_seldom_and_found() -> None:
    assert run() == ["True", "True", "0", "True", "False"]


@pytest.mark.parametrize("choice", ["gc.set_threshold(5_000)", "gc.disable()"])
def test_what_the_app_chose_stays(choice: str) -> None:
    assert run(choice)[:2] == ["False", "False"]
