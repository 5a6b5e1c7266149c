"""Lines of the call log fit the terminal."""

from __future__ import annotations

import io
import re
import sys

import pytest

from realtime_cli.devserver.calllog import CallLog
from realtime_cli.devserver.terminal import Terminal, TerminalOptions
from runtime.core.errors import LiveError
from runtime.core.events import CallFinished

REASON = "the name of a list has at most forty characters, and this one has more"


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def refused(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, columns: int, path: str, code: str) -> str:
    """The line of a refused call, without colours."""
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", str(columns))
    calls = CallLog(Terminal(TerminalOptions()), lambda: 1.0)
    error = LiveError(code, REASON)
    calls.receive(CallFinished(path, "rpc", {"name": "ann"}, 0.0123, code, "c", error))
    return re.sub(r"\r|\x1b\[[0-9;]*[A-Za-z]", "", stream.getvalue()).removesuffix("\n")


@pytest.mark.parametrize("columns", [80, 100, 120, 140])
def test_the_reason_is_shortened_to_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    line = refused(monkeypatch, Tty(), columns, "board/rename", "INVALID")
    assert len(line) <= columns
    assert len(line) > columns - 8
    assert "INVALID  the name" in line
    assert line.endswith("…")


def test_a_reason_without_room_is_left_out_and_the_code_never(monkeypatch: pytest.MonkeyPatch) -> None:
    line = refused(monkeypatch, Tty(), 80, "board/" + "x" * 40, "INVALID")
    assert line.endswith("ms  INVALID")


def test_elsewhere_lines_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(monkeypatch, io.StringIO(), 80, "board/rename", "INVALID").endswith(REASON)
