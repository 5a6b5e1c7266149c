from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_cli.devserver.channel import Problem
from realtime_cli.devserver.logsetup import adopt_server_logs, set_up_logging
from realtime_cli.devserver.problemview import MAX_SHOWN, render_problems
from realtime_cli.devserver.terminal import MAX_HELD, Terminal, TerminalOptions


def problem(**fields: object) -> Problem:
    return {
        "file": "live/todos.py",
        "line": 2,
        "column": None,
        "errorType": "NameError",
        "message": "name 'x' is not defined",
        "hint": "",
        "excerpt": [[1, "def f():"], [2, "\treturn x"]],
        "traceback": "Traceback (most recent call last):\n  File ...\nNameError: ...",
        **fields,
    }


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(TerminalOptions())
    terminal.event("ready", "the text", ms=1)
    terminal.talk("talk")
    terminal.important("warning", "mind this")
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.split()[1:] == ["ready", "the", "text"]
    assert len(first.split()[0]) == len("12:34:56")
    assert second == "talk"
    assert third.split()[1:] == ["warning", "mind", "this"]


def test_quiet_leaves_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(TerminalOptions(quiet=True))
    terminal.event("ready", "the text")
    terminal.talk("talk")
    terminal.important("warning", "mind this")
    terminal.problems("it is broken", [problem()])
    err = capsys.readouterr().err
    assert "the text" not in err
    assert "talk" not in err
    assert "mind this" in err
    assert "it is broken" in err
    assert "NameError: name 'x' is not defined" in err


def test_json_lines_go_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(TerminalOptions(json_log=True))
    terminal.event("ready", "the text", ms=1, odd=object)
    terminal.talk("talk")
    terminal.important("warning", "mind this")
    terminal.problems("it is broken", [problem()])
    captured = capsys.readouterr()
    assert captured.err == ""
    ready, warning, problems = [json.loads(line) for line in captured.out.splitlines()]
    assert (ready["event"], ready["ms"], ready["odd"]) == ("ready", 1, "<class 'object'>")
    assert ready["time"].endswith("Z")
    assert warning["message"] == "mind this"
    assert problems["problems"] == [problem()]


def test_colours_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert Terminal(TerminalOptions()).paint("x", "red", "bold") == "\x1b[31;1mx\x1b[0m"
    assert Terminal(TerminalOptions(no_color=True)).paint("x", "red") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Terminal(TerminalOptions()).paint("x", "red") == "x"


def test_a_terminal_that_knows_few_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii", errors="strict"))
    Terminal(TerminalOptions()).talk("smörgås")
    assert raw.getvalue() == b"sm?rg?s\n"


def test_a_problem_shows_place_lines_traceback_and_hint() -> None:
    text = render_problems([problem(hint="define x")], color=False)
    assert text.splitlines()[1:] == [
        "  live/todos.py:2  NameError: name 'x' is not defined",
        "       1 | def f():",
        "  >    2 |     return x",
        "    Traceback (most recent call last):",
        "      File ...",
        "    NameError: ...",
        "  next: define x",
    ]


def test_a_syntax_error_points_at_the_column_and_says_it_once() -> None:
    trace = '  File "live/todos.py", line 2\n    return x\nSyntaxError: invalid syntax'
    text = render_problems([problem(column=9, errorType="SyntaxError", traceback=trace)], color=False)
    assert text.splitlines()[2:] == [
        "       1 | def f():",
        "  >    2 |     return x",
        "         |            ^",
    ]


def test_a_problem_without_a_place_in_a_file() -> None:
    text = render_problems([problem(line=None, excerpt=[], traceback="")], color=False)
    assert text.strip() == "live/todos.py  NameError: name 'x' is not defined"


def test_markup_in_messages_is_text() -> None:
    text = render_problems(
        [problem(message="[bold]no[/bold] [/oops]", excerpt=[[2, "x[0] [red]"]])], color=True
    )
    assert "[bold]no[/bold] [/oops]" in text
    assert "x[0] [red]" in text
    assert "\x1b[" in text


def test_nothing_in_a_problem_controls_the_terminal() -> None:
    evil = "a\x1b[31m\x07b"
    trace = f"Traceback (most recent call last):\n\tFile {evil}\nNameError: {evil}\n"
    fields = dict.fromkeys(("file", "errorType", "message", "hint"), evil)
    text = render_problems([problem(**fields, excerpt=[[2, evil]], traceback=trace)], color=False)
    assert set("\x1b\x07").isdisjoint(text)
    assert text.count("a?[31m?b") == 7
    assert "\n    NameError: a?[31m?b\n" in text


def test_many_problems_are_cut() -> None:
    text = render_problems([problem()] * (MAX_SHOWN + 3), color=False)
    assert text.count("NameError: name") == MAX_SHOWN
    assert text.endswith("and 3 more")


@pytest.mark.usefixtures("logging_as_it_was")
def test_log_records_are_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(Terminal(TerminalOptions()), "info", tmp_path)
    logging.getLogger("app").debug("hidden")
    logging.getLogger("app").info("value %d\nmore", 7)
    logging.getLogger("uvicorn.error").info("hidden too")
    try:
        exec(compile("\n1/0", str(tmp_path / "live.py"), "exec"))
    except ZeroDivisionError:
        logging.getLogger("app").exception("it failed")
    lines = capsys.readouterr().err.splitlines()
    assert [line[line.find(" ") :].strip() for line in lines[:3]] == [
        "log      value 7",
        "more",
        "error    it failed",
    ]
    assert lines[3:] == [
        "    Traceback (most recent call last):",
        f'      File "{tmp_path}/live.py", line 2, in <module>',
        "    ZeroDivisionError: division by zero",
    ]


@pytest.mark.usefixtures("logging_as_it_was")
def test_nothing_in_a_log_record_controls_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging(Terminal(TerminalOptions()), "info", tmp_path)
    try:
        raise ValueError("no\x1b[2J")
    except ValueError:
        logging.getLogger("app").exception("it\x1b[2J\tfailed")
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "it?[2J\tfailed\n" in err
    assert "    ValueError: no?[2J\n" in err


def test_lines_wait_while_a_debugger_has_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(TerminalOptions())
    terminal.hold(True)
    terminal.hold(True)
    for number in range(MAX_HELD + 2):
        terminal.event("log", f"line {number}")
    assert capsys.readouterr().err == ""
    terminal.hold(False)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == MAX_HELD + 1
    assert lines[0].endswith("line 0")
    assert "2 more lines" in lines[-1]
    terminal.talk("after")
    assert capsys.readouterr().err == "after\n"


@pytest.mark.usefixtures("logging_as_it_was")
def test_log_records_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(Terminal(TerminalOptions(json_log=True)), "warning", tmp_path)
    logging.getLogger("app").info("hidden")
    logging.getLogger("app").warning("seen")
    [line] = capsys.readouterr().out.splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["logger"], entry["level"], entry["message"]) == (
        "log",
        "app",
        "warning",
        "seen",
    )


@pytest.mark.usefixtures("logging_as_it_was")
def test_a_record_that_cannot_be_formatted_stops_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", True)
    set_up_logging(Terminal(TerminalOptions()), "info", tmp_path)
    logging.getLogger("app").info("%d", "no number")
    assert "Logging error" in capsys.readouterr().err


def test_the_servers_own_handlers_are_taken_away() -> None:
    logger = logging.getLogger("uvicorn")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    adopt_server_logs()
    assert logger.handlers == []
    assert logger.propagate
