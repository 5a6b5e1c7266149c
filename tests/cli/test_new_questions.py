"""The questions of `realtime new`, asked on a pseudo terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_cli.commands import new as command
from tests.cli.commands import PROGRAM, TIMEOUT, environment


class Person:
    """Reads what the program asks and types answers."""

    def __init__(self, cwd: Path, *arguments: str) -> None:
        self.terminal, theirs = pty.openpty()
        self.child = subprocess.Popen(
            [*PROGRAM, "new", *arguments],
            cwd=cwd,
            env=environment({"TERM": "dumb"}),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def reads(self, text: str) -> None:
        """Read until `text` has appeared since the last answer."""
        deadline = time.monotonic() + TIMEOUT
        while text not in self.seen:
            ready, _, _ = select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{text!r} did not appear in {self.seen!r}"
            try:
                self.seen += os.read(self.terminal, 4096).decode()
            except OSError:  # the program has ended
                raise AssertionError(f"{text!r} did not appear in {self.seen!r}") from None

    def types(self, text: str) -> None:
        self.seen = ""
        os.write(self.terminal, text.encode())

    def interrupts(self) -> None:
        """Send SIGINT until it ends: one that comes between the prompt and the reading waits for a key."""
        for _ in range(TIMEOUT):
            self.child.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(1)
                return

    def close(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait(TIMEOUT)
        os.close(self.terminal)


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    made = Person(tmp_path)
    yield made
    made.close()


def test_name_and_template_are_asked_and_bad_answers_explained(person: Person, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").touch()
    person.reads("Name of the project [myapp]: ")
    person.types("1st\n")
    person.reads("a name starts with a letter, not with '1'")
    person.reads("Name of the project [myapp]: ")
    person.types("taken\n")
    person.reads("the folder 'taken' is not empty; choose another name")
    person.reads("Name of the project [myapp]: ")
    person.types("shop\n")
    person.reads("Template [board]: ")
    assert "1  board" in person.seen
    assert "2  minimal" in person.seen
    person.types("tiny\n")
    person.reads("'tiny' is neither a number nor a name of the list")
    person.types("2\n")
    person.reads("cd shop")
    assert person.child.wait(TIMEOUT) == 0
    assert (tmp_path / "shop/live/counter.py").exists()


def test_enter_takes_the_defaults(person: Person, tmp_path: Path) -> None:
    person.reads("Name of the project [myapp]: ")
    person.types("\n")
    person.reads("Template [board]: ")
    person.types("\n")
    person.reads("cd myapp")
    assert person.child.wait(TIMEOUT) == 0
    assert (tmp_path / "myapp/live/board.py").exists()


@pytest.mark.parametrize("how", ["end of input", "interrupt"])
def test_who_leaves_at_a_question_gets_130_and_no_project(how: str, person: Person, tmp_path: Path) -> None:
    person.reads("Name of the project [myapp]: ")
    if how == "interrupt":
        person.interrupts()
    else:
        person.types("\x04")
    assert person.child.wait(TIMEOUT) == 130
    assert list(tmp_path.iterdir()) == []


def test_with_a_name_nothing_is_asked(tmp_path: Path) -> None:
    person = Person(tmp_path, "shop")
    try:
        person.reads("cd shop")
        assert person.child.wait(TIMEOUT) == 0
        assert "Template" not in person.seen
    finally:
        person.close()


def test_what_uvx_started_goes_on_with_uv_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "uv/archive-v0/abc"))
    monkeypatch.chdir(tmp_path)
    assert command._next_commands(tmp_path / "shop") == ["cd shop", "uv run realtime dev", "uv run pytest"]
