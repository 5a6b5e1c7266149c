from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from realtime_cli.devserver.calllog import (
    MAX_LINES_PER_SECOND,
    RATE_WINDOW,
    CallLog,
    LineBudget,
    Rate,
    describe_error,
    describe_user,
)
from realtime_cli.devserver.terminal import Terminal, TerminalOptions
from runtime.core.errors import Issue, LiveError
from runtime.core.events import CallFinished, ConnectionClosedEvent, ConnectionOpened, LiveFailed


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def finished(path: str = "todos/add", code: str | None = None, **fields: Any) -> CallFinished:
    return CallFinished(
        path=path,
        kind="rpc",
        code=code,
        connection_id="c",
        **{"user": {"name": "ann"}, "duration": 0.0123} | fields,
    )


def log(clock: Clock, **options: Any) -> CallLog:
    return CallLog(Terminal(TerminalOptions(**options)), clock)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (None, "-"),
        ({}, "-"),
        ({"remote_address": "1.2.3.4"}, "-"),
        ({"name": "ann", "id": 7}, "ann"),
        ({"id": 7}, "7"),
        ({"user_id": "u1"}, "u1"),
        ({"name": "", "email": "a@b.example"}, "a@b.example"),
        ({"id": True}, "-"),
        ({"session_token": "secret", "token": "secret"}, "-"),
        ("ann", "ann"),
        (7, "7"),
        (SimpleNamespace(username="ann"), "ann"),
        ({"name": "a\x1b[31m\nb"}, "a?[31m?b"),
        ({"name": "x" * 100}, "x" * 39 + "…"),
    ],
)
def test_users_have_short_names_and_no_secrets(user: Any, expected: str) -> None:
    assert describe_user(user) == expected


def test_nothing_that_a_client_or_a_handler_says_controls_the_terminal(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = log(clock)
    calls.receive(finished("to\x1bdos", "RED\x1b[31m"))
    calls.receive(
        ConnectionClosedEvent(connection_id="c", code=1000, reason="bye\x1b]0;x\x07", duration=1.0, user=None)
    )
    calls._budget.skip("p\x1bath", failed=False)
    clock.now += 2
    calls.flush()
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "\x07" not in err
    for text in ("to?dos", "RED?[31m", "bye?]0;x?", "p?ath"):
        assert text in err


def test_one_line_per_call(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    calls = log(clock)
    calls.receive(finished())
    calls.receive(finished("todos/remove", "FORBIDDEN", user=None))
    first, second = capsys.readouterr().err.splitlines()
    assert first.split()[1:] == ["rpc", "todos/add", "ann", "12.3", "ms"]
    assert second.split()[1:] == ["rpc", "todos/remove", "-", "12.3", "ms", "FORBIDDEN"]


def test_paths_cannot_write_to_the_terminal(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    log(clock).receive(finished("a\x1b[2J\r\n" + "x" * 1000))
    [line] = capsys.readouterr().err.splitlines()
    assert "\x1b" not in line
    assert len(line) < 300


def test_connections(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    calls = log(clock)
    calls.receive(ConnectionOpened("c", {"name": "ann"}, "127.0.0.1"))
    calls.receive(ConnectionOpened("d", None, ""))
    for duration in (3.25, 61, 3661):
        calls.receive(ConnectionClosedEvent("c", {"name": "ann"}, 1001, "away", duration))
    calls.receive(LiveFailed([]))
    lines = [line.split(maxsplit=1)[1].rstrip() for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "open     127.0.0.1 as ann",
        "open     a client",
        "close    ann after 3.2 s with 1001 away",
        "close    ann after 1 min 1 s with 1001 away",
        "close    ann after 1 h 1 min with 1001 away",
    ]


def test_json_lines(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    calls = log(clock, json_log=True)
    calls.receive(finished(code="FORBIDDEN"))
    calls.receive(ConnectionOpened("c", None, "::1"))
    calls.request("GET", "/", 200, 0.5)
    captured = capsys.readouterr()
    assert captured.err == ""
    first, second, third = [json.loads(line) for line in captured.out.splitlines()]
    assert list(first)[:2] == ["time", "event"]
    del first["time"]
    assert first == {
        "event": "rpc",
        "path": "todos/add",
        "kind": "rpc",
        "user": "ann",
        "ms": 12.3,
        "code": "FORBIDDEN",
        "connection": "c",
    }
    assert (second["event"], second["from"]) == ("open", "::1")
    assert (third["event"], third["status"], third["ms"]) == ("http", 200, 500.0)


def test_a_flood_is_summed_up(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    calls = log(clock)
    for number in range(MAX_LINES_PER_SECOND + 30):
        calls.receive(finished(code="FORBIDDEN" if number % 2 else None))
    calls.receive(ConnectionOpened("c", None, ""))
    calls.request("GET", "/x", 500, 0.1)
    assert len(capsys.readouterr().err.splitlines()) == MAX_LINES_PER_SECOND
    calls.flush()
    assert capsys.readouterr().err == ""
    clock.now += 1
    calls.flush()
    [line] = capsys.readouterr().err.splitlines()
    assert "32 more lines are not shown, 16 with errors: todos/add 30, (open) 1, /x 1" in line
    calls.flush()
    calls.receive(finished())
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_summary_names_a_bounded_number_of_paths() -> None:
    budget = LineBudget(0)
    assert not budget.allows(1.0)
    for number in range(1000):
        budget.skip(f"p{number}", failed=False)
    skipped = budget.take_skipped(2.5)
    assert skipped is not None
    assert skipped.lines == 1000
    assert len(skipped.paths) == 100


def test_rate_is_an_average_of_the_last_seconds() -> None:
    rate = Rate()
    for number in range(50):
        rate.add(100 + number / 10)
    assert rate.per_second(104.9) == pytest.approx(50 / RATE_WINDOW)
    assert rate.per_second(107.0) == pytest.approx(20 / RATE_WINDOW)
    assert rate.per_second(200.0) == 0.0


def test_status_line(clock: Clock) -> None:
    calls = log(clock, quiet=True)
    calls.receive(finished())
    assert calls.status(1, 1200) == "  1 connection · 1,200 topics · 0.2 calls/s"


def test_a_refused_call_says_why() -> None:
    wrong = LiveError.validation([Issue(path=["text"], message="Required"), Issue(path=["n"], message="odd")])
    assert describe_error(wrong) == "text: Required (+1)"
    assert describe_error(LiveError("TEAPOT", "short and stout")) == "short and stout"
    assert describe_error(LiveError("TEAPOT")) == ""
    assert describe_error(RuntimeError("its traceback is printed")) == ""
    assert describe_error(None) == ""
    assert len(describe_error(LiveError("LONG", "x" * 500))) == 80
