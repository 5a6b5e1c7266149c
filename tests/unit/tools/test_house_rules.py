from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import house_rules


def whole(text: str) -> str:
    """Join a text that is cut with a tilde, so that this file does not break the rules that it tests."""
    return text.replace("~", "")


def rules(file: str, source: str) -> list[str]:
    return [finding.rule for finding in house_rules.call_findings(file, source)]


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("import asyncio\nasyncio.create_task(work())\n", "bare-task"),
        ("import asyncio as aio\naio.ensure_future(work())\n", "bare-task"),
        ("from asyncio import create_task\ncreate_task(work())\n", "bare-task"),
        ("import asyncio\nasyncio.Task(work())\n", "bare-task"),
        ("import asyncio\nasyncio.get_running_loop().create_task(work())\n", "bare-task"),
        ("class A:\n    def f(self): self._loop.create_task(work())\n", "bare-task"),
        ("import time\ntime.monotonic()\n", "own-clock"),
        ("from time import time as now\nnow()\n", "own-clock"),
        ("import asyncio\nasync def f(): await asyncio.sleep(1)\n", "own-clock"),
        ("import random\nrandom.uniform(0, 1)\n", "own-chance"),
        ("import asyncio\nasync def f(): await asyncio.wait_for(x, 1)\n", "wait-for"),
    ],
)
def test_refused_calls_are_found_in_the_runtime(source: str, rule: str) -> None:
    assert rules("runtime/live/thing.py", source) == [rule]


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio\nasync def f(group: asyncio.TaskGroup): group.create_task(work())\n",
        "import random\ndef f(chance: random.Random): return chance.uniform(0, 1)\n",
        "import random\nrandom.Random(7)\n",
        "def f(clock): return clock.monotonic()\n",
    ],
)
def test_injected_objects_are_allowed(source: str) -> None:
    assert rules("runtime/live/thing.py", source) == []


def test_owners_of_a_call_may_use_it() -> None:
    source = "import asyncio, time\nasyncio.create_task(work())\ntime.monotonic()\n"
    assert rules("runtime/core/tasks.py", source) == []
    assert rules("runtime/core/clock.py", source) == ["bare-task"]
    assert rules("realtime_cli/console.py", source) == ["bare-task"]


def test_a_test_may_not_sleep_without_saying_why() -> None:
    source = "import asyncio\nasync def f():\n    await asyncio.sleep({})\n"
    assert rules("tests/test_x.py", source.format("0.1")) == ["sleep-in-test"]
    assert rules("tests/test_x.py", source.format("0")) == []
    assert rules("tests/test_x.py", source.format("1)  # real time: the window is a second\n    f(")) == []


def test_ignores_need_a_code_and_a_reason() -> None:
    def found(comment: str) -> int:
        return len(list(house_rules.ignore_findings("a.py", f"x = 1  # {comment}\n")))

    assert found("type: ignore") == 1
    assert found("type: ignore[misc]") == 1
    assert found("type: ignore[misc]  # the stub is wrong") == 0
    assert found("pyright: ignore[reportAny]") == 1


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("see /ho~me/jo/x", "machine-path"),
        ("open('/r~oot/.cache')", "machine-path"),
        ("from files.python~hosted.org", "registry-host"),
        ("-----BE~GIN PRIVATE KEY-----", "secret"),
        ("# TO~DO later", "unfinished"),
        ("<<<~<<<< ours", "conflict"),
    ],
)
def test_foreign_texts_are_found(text: str, rule: str) -> None:
    assert [finding.rule for finding in house_rules.text_findings("a.py", whole(text))] == [rule]


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ('A = re.compile(r"(?:a|b)*+c")', 1),
        ('A = rb"""(?:[^>]|"x")++"""', 1),
        ('A = re.compile(r"[^>]*+>")', 0),
        ('A = re.compile(r"(?:/[a-z()*+,;]+)+")', 0),
        ("total = (a + b)* +c", 0),
    ],
)
def test_possessive_groups_are_found(line: str, count: int) -> None:
    assert len(list(house_rules.pattern_findings("runtime/a.py", line))) == count


def test_notes_are_the_product_of_codemods() -> None:
    text = whole("# TO~DO(realtime-upgrade UPG106): look")
    assert list(house_rules.text_findings("realtime_cli/codemods/upg106_throttle.py", text)) == []
    assert [one.rule for one in house_rules.text_findings("realtime_cli/page.py", text)] == ["unfinished"]


def test_urls_and_routes_are_no_machine_paths() -> None:
    text = "GET https://example.org/home/ and /roots and app/" + "root/x"
    assert list(house_rules.text_findings("a.md", text)) == []


def test_long_file_needs_a_decision_record(tmp_path: Path) -> None:
    source = "x\n" * 601
    assert [f.rule for f in house_rules.size_findings("a.py", source, {}, tmp_path)] == ["long-file"]
    assert list(house_rules.size_findings("a.py", "x\n" * 600, {}, tmp_path)) == []
    allowed = {"a.py": "docs/adr/0009-long.md"}
    missing = list(house_rules.size_findings("a.py", source, allowed, tmp_path))
    assert "does not exist" in missing[0].message
    (tmp_path / "docs" / "adr").mkdir(parents=True)
    (tmp_path / "docs" / "adr" / "0009-long.md").write_text("why")
    assert list(house_rules.size_findings("a.py", source, allowed, tmp_path)) == []


def test_modules_are_named_after_a_concept(tmp_path: Path) -> None:
    assert [f.rule for f in house_rules.size_findings("runtime/utils.py", "", {}, tmp_path)] == [
        "nameless-module"
    ]


def test_findings_covers_tracked_and_new_files_but_not_ignored_ones(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("skipped.py\n")
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "skipped.py").write_text(whole("# TO~DO\n"))
    (tmp_path / "new.py").write_text(whole("# TO~DO\n"))
    files = house_rules.tracked_files(tmp_path)
    found = [(finding.file, finding.line) for finding in house_rules.findings(tmp_path, files)]
    assert found == [("new.py", 1)]
