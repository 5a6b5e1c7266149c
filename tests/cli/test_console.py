"""Where things are printed, and when they have colours."""

from __future__ import annotations

import errno
import io
import json
import os
import termios

import pytest

from realtime_cli.console import Console, terminal_width, wants_color
from realtime_cli.exitcodes import CommandFailed

RED = "\x1b[31m"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def console(terminal: bool = False, **flags: bool) -> tuple[Console, io.StringIO, io.StringIO]:
    out, err = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
    return Console(stdout=out, stderr=err, **flags), out, err


def test_talk_goes_to_stderr_and_data_to_stdout() -> None:
    made, out, err = console()
    made.say("talk")
    made.data("data")
    made.warn("careful")
    made.error("wrong", hint="do this", detail="line 1\nline 2\n")
    assert out.getvalue() == "data\n"
    assert err.getvalue() == "talk\nwarning: careful\nerror: wrong\nline 1\nline 2\n  next: do this\n"


@pytest.mark.parametrize("flag", ["quiet", "json"])
def test_quiet_and_json_hide_talk_but_no_errors(flag: str) -> None:
    made, out, err = console(**{flag: True})
    made.say("talk")
    made.error("wrong")
    made.data("data")
    assert err.getvalue() == "error: wrong\n"
    assert out.getvalue() == "data\n"


@pytest.mark.parametrize(("flags", "shown"), [({}, False), ({"verbose": True}, True)])
def test_details_need_verbose(flags: dict[str, bool], shown: bool) -> None:
    made, _, err = console(**flags)
    made.detail("more")
    assert ("more" in err.getvalue()) is shown


def test_json_is_one_document_in_the_given_order() -> None:
    made, out, _ = console(json=True)
    made.emit({"b": "ü", "a": [1]})
    assert list(json.loads(out.getvalue())) == ["b", "a"]
    assert "ü" in out.getvalue()


def test_a_table_is_aligned_and_has_no_trailing_blanks() -> None:
    made, out, _ = console()
    made.table(("A", "LONG"), [("xxx", "1"), ("y", "")])
    assert out.getvalue() == "A    LONG\nxxx  1\ny\n"


def test_a_terminal_gets_colours_and_a_pipe_none() -> None:
    made, _, err = console(terminal=True)
    made.say("talk", "red")
    assert err.getvalue() == f"{RED}talk\x1b[0m\n"
    made, _, err = console()
    made.say("talk", "red")
    assert err.getvalue() == "talk\n"


@pytest.mark.parametrize(
    ("variables", "forbidden", "terminal", "colour"),
    [
        ({}, False, True, True),
        ({}, False, False, False),
        ({}, True, True, False),
        ({"NO_COLOR": "1"}, False, True, False),
        ({"NO_COLOR": ""}, False, True, True),
        ({"FORCE_COLOR": "1"}, False, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, True, False),
        ({"FORCE_COLOR": "1"}, True, True, False),
        ({"TERM": "dumb"}, False, True, False),
    ],
)
def test_who_decides_about_colours(
    variables: dict[str, str], forbidden: bool, terminal: bool, colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = Terminal() if terminal else io.StringIO()
    assert wants_color(stream, forbidden=forbidden) is colour


def test_a_stream_that_cannot_write_a_letter_gets_a_replacement() -> None:
    raw = io.BytesIO()
    made = Console(stdout=io.TextIOWrapper(raw, encoding="ascii", newline=""), stderr=io.StringIO())
    made.data("“quoted”")
    assert raw.getvalue() == b"?quoted?\n"


WIDE = ("todos/add", "(title: str, notes: list[str]) -> Task", "live/todos.py:12")


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (68, ["P          SIGNATURE                               PLACE", "  ".join(WIDE)]),
        (
            50,
            ["P          SIGNATURE              PLACE", "todos/add  (title: str, notes:…   live/todos.py:12"],
        ),
        (30, ["P          SIGNATURE     PLACE", "todos/add  (title: str…  live/todos.…"]),
    ],
)
def test_on_a_terminal_the_longest_column_of_a_table_is_shortened(
    columns: int, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    made, out, _ = console(terminal=True, no_color=True)
    made.table(("P", "SIGNATURE", "PLACE"), [WIDE])
    assert out.getvalue().splitlines() == shown
    piped, out, _ = console()
    piped.table(("P", "SIGNATURE", "PLACE"), [WIDE])
    assert out.getvalue().splitlines()[1] == "  ".join(WIDE)


def test_choices_are_talk_that_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    made, out, err = console(terminal=True)
    made.choices([("1", "a", "x" * 40), ("2", "bb", "y")])
    assert err.getvalue() == f"  1  a   {'x' * 11}…\n  2  bb  y\n"
    assert out.getvalue() == ""
    made, _, err = console(terminal=True, quiet=True)
    made.choices([("1", "a", "b")])
    assert err.getvalue() == ""


def test_the_width_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    keeper, terminal = os.openpty()
    with open(keeper, "wb", buffering=0), open(terminal, "w") as stream:  # noqa: PTH123
        termios.tcsetwinsize(terminal, (24, 77))
        assert terminal_width(stream) == 77
        monkeypatch.setenv("COLUMNS", "50")
        assert terminal_width(stream) == 50
        monkeypatch.setenv("COLUMNS", "wide")
        assert terminal_width(stream) == 77
        termios.tcsetwinsize(terminal, (0, 0))
        assert terminal_width(stream) is None
    assert terminal_width(stream) is None
    monkeypatch.setenv("COLUMNS", "50")
    assert terminal_width(io.StringIO()) is None


class Full(io.StringIO):
    """A stream that takes nothing."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


def test_data_that_cannot_be_written_fails_the_command_and_talk_does_not() -> None:
    err = io.StringIO()
    made = Console(stdout=Full(errno.ENOSPC), stderr=err)
    with pytest.raises(CommandFailed, match="cannot write to the standard output: No space left") as failed:
        made.data("data")
    assert failed.value.code == 1
    Console(stdout=io.StringIO(), stderr=Full(errno.ENOSPC)).error("talk")
    Console(stdout=Full(errno.EPIPE), stderr=err).data("data")


def test_nobody_is_asked_without_a_terminal() -> None:
    made, _, _ = console()
    assert not made.interactive
