"""The commands of the upgrade quickstart, run in their order in the example project, print what the page says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from realtime_cli.codemods.rows import all_rows
from tests.docs import examples
from tests.docs.test_documents import anchors

PAGE = "docs/upgrade-quickstart.md"
PROJECT = examples.ROOT / "tests/upgrade/example/before"
MAX_LINES = 120


def text() -> str:
    return (examples.ROOT / PAGE).read_text(encoding="utf-8")


def git(folder: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def realtime(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "realtime_cli", *line.split()[1:]]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts and ".realtime-upgrade" not in path.parts
    }


@pytest.mark.spec("UPGC-84")
def test_every_command_runs_and_prints_what_the_page_says(tmp_path: Path) -> None:
    folder = tmp_path / "boardapp"
    shutil.copytree(PROJECT, folder)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Before the upgrade")
    before = tree(folder)
    printed = ""
    ran = []
    for example in examples.examples_of(PAGE):
        if example.language == "bash":
            for line in example.text.splitlines():
                done = realtime(folder, line)
                assert done.returncode in (0, 1), f"{line}\n{done.stdout}\n{done.stderr}"
                printed = done.stdout + done.stderr
                ran.append(line)
                if "--diff" in line:
                    assert tree(folder) == before
        elif not example.text.startswith(("git ", "pytest")):
            for line in example.text.splitlines():
                assert line in printed
    assert ran[0] == "realtime upgrade --diff"
    assert ran[-1] == "realtime upgrade --undo"
    left = tree(folder)
    left.pop("upgrade.md")
    assert left == before


@pytest.mark.spec("UPGC-84")
def test_the_page_is_short_and_names_what_the_guide_has() -> None:
    page = text()
    assert page.count("\n") <= MAX_LINES
    assert set(re.findall(r"\[([A-Z]-\d\d)\]", page)) <= all_rows().keys()
    assert {"C-01", "C-04", "C-08", "C-09", "S-26", "S-18", "S-14", "C-16", "S-23", "C-06"} <= set(
        re.findall(r"\[([A-Z]-\d\d)\]", page)
    )
    assert f"all {len(all_rows())}, " in page
    linked = set(re.findall(r"\(migration-0\.4-to-0\.5\.md#([^)]+)\)", page))
    assert linked <= anchors(examples.ROOT / "docs/migration-0.4-to-0.5.md")
