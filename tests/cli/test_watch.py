"""`realtime watch` against a running server."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.apps import write_project
from tests.cli.commands import PROGRAM, TIMEOUT, Ended, environment, realtime, serving

FILES = {
    "hooks.py": """
        async def upgrade(cookies):
            return {"id": "somebody"}

        async def subscribe(ws, topic):
            return topic != "secret"
    """,
    "live/notes.py": """
        # realtime-allow-public
        from runtime import live

        NOTES = []

        @live
        async def add(ctx, text: str, board: str = "a") -> None:
            NOTES.append({"id": len(NOTES) + 1, "text": text})
            ctx.publish(f"notes:{board}", "created", NOTES[-1])
            ctx.publish("total", "set", len(NOTES))

        @live.stream(lambda board: f"notes:{board}")
        async def notes(ctx, board: str) -> list[dict[str, object]]:
            return NOTES

        @live.stream("doomed", merge="set")
        async def doomed(ctx) -> int:
            await ctx.ws.close(4401, "away")
            return 0

        @live.stream("total", merge="set")
        async def total(ctx) -> int:
            return len(NOTES)
    """,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("watch") / "app", FILES)


@pytest.fixture
def address(project: Path) -> Iterator[str]:
    """The address of the served project, which has no notes yet."""
    with serving(project, "--env", "dev") as (_, printed):
        yield printed


class Watching:
    """A run of `realtime watch` whose output is read as it comes."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child = child

    def line(self) -> str:
        assert self.child.stdout is not None
        return self.child.stdout.readline().rstrip("\n")

    def record(self) -> dict[str, Any]:
        """The next line without its time, which is one."""
        found: dict[str, Any] = json.loads(self.line())
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", found.pop("at"))
        return found

    def end(self, number: int = signal.SIGINT) -> Ended:
        self.child.send_signal(number)
        out, err = self.child.communicate(timeout=TIMEOUT)
        return Ended(self.child.returncode, out, err)


@contextlib.contextmanager
def watching(project: Path, address: str, *arguments: str) -> Iterator[Watching]:
    child = subprocess.Popen(
        [*PROGRAM, "watch", *arguments],
        cwd=project,
        env=environment({"REALTIME_URL": address}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Watching(child)
    finally:
        child.kill()
        child.communicate()


def add(project: Path, address: str, *arguments: str) -> None:
    assert realtime("call", "notes/add", *arguments, "--url", address, cwd=project).code == 0


def test_a_stream_is_its_value_and_then_its_events(project: Path, address: str) -> None:
    with watching(project, address, "notes/notes", "a") as watch:
        assert watch.record() == {"type": "value", "value": []}
        for number, text in enumerate(("milk", "tea"), 1):
            add(project, address, text)
            note = {"id": number, "text": text}
            assert watch.record() == {"type": "event", "event": "created", "data": note}
        ended = watch.end()
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_values_alone_can_be_printed(project: Path, address: str) -> None:
    with watching(project, address, "notes/total", "--values", "--count", "3") as watch:
        assert watch.line() == "0"
        add(project, address, "milk")
        assert watch.line() == "1"
        add(project, address, "bread", "b")
        assert watch.line() == "2"
        assert watch.child.wait(TIMEOUT) == 0


def test_a_topic_is_its_events_with_their_numbers(project: Path, address: str) -> None:
    with watching(project, address, "notes:b", "-v") as watch:
        assert watch.child.stderr is not None
        assert "connected to" in watch.child.stderr.readline()
        # It subscribes with the next frame; a program that is only starting calls later than that.
        add(project, address, "n1", "b")
        add(project, address, "n2", "b")
        first, second = watch.record(), watch.record()
        assert (first["type"], first["topic"], first["event"]) == ("event", "notes:b", "created")
        assert [first["data"]["text"], second["data"]["text"]] == ["n1", "n2"]
        assert second["seq"] == first["seq"] + 1
        assert watch.end(signal.SIGTERM).code == 0


def test_it_ends_by_itself_after_a_count_or_a_time(project: Path, address: str) -> None:
    url = ("--url", address)
    ended = realtime("watch", "notes/total", "--count", "1", "--values", *url, cwd=project)
    assert (ended.code, ended.out) == (0, "0\n")
    ended = realtime("watch", "quiet", "--for", "0.3", *url, cwd=project)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    ended = realtime("watch", "notes/total", "--topic", "--for", "0.3", *url, cwd=project)
    assert (ended.code, ended.out) == (0, "")


def test_ctrl_c_before_the_end_that_was_asked_for_ends_with_130(project: Path, address: str) -> None:
    with watching(project, address, "notes/total", "--count", "2") as watch:
        assert watch.record()["value"] == 0
        assert watch.end().code == 130


def test_a_reader_who_has_enough_ends_it(project: Path, address: str) -> None:
    with watching(project, address, "notes/total") as watch:
        assert watch.record()["value"] == 0
        assert watch.child.stdout is not None
        watch.child.stdout.close()
        assert watch.child.wait(TIMEOUT) == 0


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (("secret",), "FORBIDDEN: no access to topic 'secret'", "--cookie NAME=VALUE"),
        (("notes/none",), "NOT_FOUND", "`realtime routes`"),
        (("notes/notes", "3"), "VALIDATION", "is the text 3"),
        (("notes/notes",), "VALIDATION", "`realtime routes`"),
    ],
)
def test_what_the_server_refuses_ends_with_1(
    project: Path, address: str, arguments: tuple[str, ...], said: str, hint: str
) -> None:
    ended = realtime("watch", *arguments, "--url", address, cwd=project)
    assert (ended.code, ended.out) == (1, "")
    assert said in ended.err
    assert hint in ended.err
    [line] = realtime("watch", *arguments, "--url", address, "--json", cwd=project).out.splitlines()
    assert json.loads(line)["error"]["code"] == said.partition(":")[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ("a/b", "--topic", "--stream"),
        ("a/b", "--for", "0"),
        ("a/b", "--count", "0"),
        ("a:b", "argument"),
        ("a:b", "--values"),
    ],
)
def test_wrong_usage_ends_with_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert realtime("watch", *arguments, "--url", "ws://127.0.0.1:1", cwd=tmp_path).code == 2


def test_without_a_server_it_ends_with_3(tmp_path: Path) -> None:
    ended = realtime("watch", "a/b", "--url", "ws://127.0.0.1:1", cwd=tmp_path)
    assert ended.code == 3
    assert "nothing listens there" in ended.err


def test_a_lost_connection_is_told_and_made_again(project: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    where = ("--host", "127.0.0.1", "--port", port)
    with contextlib.ExitStack() as stack:
        with serving(project, "--env", "dev", where=where) as (_, address):
            watch = stack.enter_context(watching(project, address, "notes/total"))
            assert watch.record() == {"type": "value", "value": 0}
            add(project, address, "milk")
            assert watch.record()["data"] == 1
        lost = watch.record()
        assert (lost["type"], lost["status"]) == ("status", "disconnected")
        assert lost["reason"]
        with serving(project, "--env", "dev", where=where):
            assert watch.record() == {"type": "status", "status": "connected"}
            # The new server knows nothing of the note: its whole value replaces what was there.
            assert watch.record() == {"type": "value", "value": 0}


def test_a_connection_that_is_over_for_good_ends_it_with_3(project: Path, address: str) -> None:
    ended = realtime("watch", "notes/doomed", "--url", address, "--json", cwd=project)
    assert ended.code == 3
    assert "is over: the server closed the connection (4401 away)\n  next: say who you are" in ended.err
    assert json.loads(ended.out.splitlines()[-1])["error"]["exit"] == 3


def test_a_person_reads_times_names_and_rows(project: Path, address: str) -> None:
    for number in range(22):
        add(project, address, f"n{number}")
    keeper, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    done = subprocess.run(
        [*PROGRAM, "watch", "notes/notes", "a", "--count", "1", "--no-color"],
        cwd=project,
        env=environment({"REALTIME_URL": address}),
        stdout=terminal,
        stderr=terminal,
        check=False,
    )
    os.close(terminal)
    with open(keeper, "rb", buffering=0) as screen:  # noqa: PTH123
        lines = screen.read(65536).decode().splitlines()
    assert done.returncode == 0
    assert lines[0] == "watching the stream notes/notes; Ctrl-C ends it"
    assert re.fullmatch(r"\d\d:\d\d:\d\d  value  22 rows", lines[1])
    assert lines[2] == '          {"id": 1, "text": "n0"}'
    assert len(lines) == 23
    assert lines[-1] == "          and 2 more; --values prints all"
