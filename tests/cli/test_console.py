"""Where things are printed, and when they have colours."""

from __future__ import annotations

import io
import json

import pytest

from realtime_cli.console import Console, wants_color

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


def test_rich_follows_the_same_rules() -> None:
    made, _, err = console(terminal=True, no_color=True)
    made.rich().print("[red]talk[/red]")
    assert err.getvalue() == "talk\n"
    made, _, err = console(terminal=True)
    made.rich().print("[red]talk[/red]")
    assert RED in err.getvalue()


def test_nobody_is_asked_without_a_terminal() -> None:
    made, _, _ = console()
    assert not made.interactive
