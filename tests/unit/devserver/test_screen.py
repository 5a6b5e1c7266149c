from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator

import pytest

from realtime_cli.devserver.screen import ERASE_LINE, Screen


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 7


def shown(text: str) -> list[str]:
    """What a person sees: each line as it stands after its last erasing."""
    lines = [line.rpartition(ERASE_LINE)[2] for line in text.split("\n")]
    return [line.replace("\x1b[?7l", "").replace("\x1b[?7h", "") for line in lines]


@pytest.fixture
def tty() -> Tty:
    return Tty()


@pytest.fixture
def screen(tty: Tty) -> Screen:
    return Screen(tty, tty, status=True)


@pytest.fixture
def standard_streams() -> Iterator[None]:
    before = sys.stdout, sys.stderr
    yield
    sys.stdout, sys.stderr = before


def test_status_is_drawn_and_makes_room(screen: Screen, tty: Tty) -> None:
    screen.set_status("busy")
    screen.draw()
    screen.draw()
    assert shown(tty.getvalue()) == ["busy"]
    screen.stdout.write("hello\n")
    assert shown(tty.getvalue()) == ["hello", ""]
    screen.draw()
    assert shown(tty.getvalue()) == ["hello", "busy"]
    screen.set_status("idle")
    screen.draw()
    assert shown(tty.getvalue()) == ["hello", "idle"]


def test_no_status_in_the_middle_of_a_line(screen: Screen, tty: Tty) -> None:
    screen.set_status("busy")
    screen.stderr.write("half a ")
    screen.draw()
    screen.stdout.writelines(["line", "\n"])
    screen.draw()
    assert shown(tty.getvalue()) == ["half a line", "busy"]


def test_a_status_of_another_process_is_erased_too(screen: Screen, tty: Tty) -> None:
    tty.write("status of somebody else")
    screen.stdout.write("hello\n")
    assert shown(tty.getvalue()) == ["hello", ""]


def test_paused_screens_leave_the_line_alone(screen: Screen, tty: Tty) -> None:
    screen.set_status("busy")
    screen.draw()
    with screen.paused():
        assert shown(tty.getvalue()) == [""]
        tty.write("(Pdb) ")
        screen.draw()
        screen.stdout.write("value\n")
        assert shown(tty.getvalue()) == ["(Pdb) value", ""]
        tty.write("(Pdb) c\n")
    screen.draw()
    assert shown(tty.getvalue())[-1] == "busy"


def test_close_erases_for_good(screen: Screen, tty: Tty) -> None:
    screen.set_status("busy")
    screen.draw()
    screen.close()
    screen.draw()
    assert shown(tty.getvalue()) == [""]


def test_the_streams_are_still_streams(screen: Screen, tty: Tty) -> None:
    assert screen.stdout.fileno() == 7
    assert screen.stdout.isatty()
    with screen.stdout as stream:
        assert stream.write("four") == len(ERASE_LINE) + 4
    tty.seek(0)
    assert list(screen.stdout) == [f"{ERASE_LINE}four"]


@pytest.mark.usefixtures("standard_streams")
def test_prints_go_through_the_screen(screen: Screen, tty: Tty) -> None:
    screen.take_over()
    screen.set_status("busy")
    screen.draw()
    print("one", "two")
    print("three", file=sys.stderr)
    assert shown(tty.getvalue()) == ["one two", "three", ""]


@pytest.mark.parametrize(("out", "err", "wanted"), [(Tty, io.StringIO, True), (Tty, Tty, False)])
def test_without_a_terminal_or_wish_nothing_is_added(
    out: type[io.StringIO], err: type[io.StringIO], wanted: bool
) -> None:
    stdout, stderr = out(), err()
    screen = Screen(stdout, stderr, status=wanted)
    screen.set_status("busy")
    screen.draw()
    screen.stdout.write("hello\n")
    screen.stderr.write("hello\n")
    screen.close()
    assert (stdout.getvalue(), stderr.getvalue()) == ("hello\n", "hello\n")


def test_only_streams_that_are_terminals_are_touched(tty: Tty) -> None:
    stdout = io.StringIO()
    screen = Screen(stdout, tty, status=True)
    screen.set_status("busy")
    screen.draw()
    screen.stdout.write("data\n")
    assert stdout.getvalue() == "data\n"
    assert shown(tty.getvalue()) == ["busy"]


def test_a_closed_stream_is_no_terminal() -> None:
    closed = Tty()
    closed.close()
    closed.isatty = closed.getvalue  # type: ignore[method-assign, assignment]  # raises ValueError, as real files do
    assert not Screen(closed, closed, status=True).has_status


class Gone(Tty):
    def write(self, text: str) -> int:
        raise OSError("the terminal is gone")


def test_a_terminal_that_is_gone_does_not_stop_the_status() -> None:
    screen = Screen(Gone(), Gone(), status=True)
    screen.set_status("busy")
    screen.draw()
    screen.close()


def test_streams_outlive_their_reader() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", buffering=1) as stream:
        screen = Screen(stream, stream, status=False)
        os.close(reading)
        for _ in range(3):
            assert screen.stdout.write("lost\n") == 5
            screen.stdout.flush()
        stream.write("the stream itself goes on, too\n")
        stream.flush()
