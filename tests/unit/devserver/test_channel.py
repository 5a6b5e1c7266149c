from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import msgspec
import pytest

from realtime_cli.devserver.channel import (
    Assets,
    Connection,
    FromWorker,
    Load,
    Ready,
    Reload,
    Stop,
    ToWorker,
)


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    ours, theirs = socket.socketpair()
    parent, worker = Connection(ours, FromWorker), Connection(theirs, ToWorker)
    yield parent, worker
    parent.close()
    worker.close()


def test_messages_arrive_whole_and_in_order(ends: tuple[Connection, Connection]) -> None:
    parent, worker = ends
    load = Load(
        project="p",
        listen_fd=3,
        address="::1:0",
        flags={"server.port": 1},
        may_degrade=True,
        terminal={"quiet": True},
    )
    sent = [load, Reload(paths=["live/a.py", "ü\n"]), Assets(css=[], page=True), Stop()]
    for message in sent:
        assert parent.send(message)
    assert [worker.receive() for _ in sent] == sent
    assert worker.send(Ready(live="live", web="web", hooks="hooks.py", degraded=False))
    assert isinstance(parent.receive(), Ready)


def test_a_message_larger_than_one_read(ends: tuple[Connection, Connection]) -> None:
    parent, worker = ends
    message = Reload(paths=[f"live/{number:06}.py" for number in range(50_000)])
    sending = threading.Thread(target=parent.send, args=(message,))
    sending.start()
    assert worker.receive() == message
    sending.join()


def test_the_end_is_read_as_none_and_sending_says_so(ends: tuple[Connection, Connection]) -> None:
    parent, worker = ends
    parent.send(Stop())
    parent.close()
    assert worker.receive() == Stop()
    assert worker.receive() is None
    assert worker.receive() is None
    worker.send(Ready(live="", web="", hooks="", degraded=False))
    assert not worker.send(Ready(live="", web="", hooks="", degraded=False))
    worker.close()


def test_closing_wakes_a_thread_that_reads(ends: tuple[Connection, Connection]) -> None:
    _, worker = ends
    received: list[object] = []
    reading = threading.Thread(target=lambda: received.append(worker.receive()))
    reading.start()
    worker.close()
    reading.join(timeout=10)
    assert received == [None]


def test_what_is_no_message_is_refused(ends: tuple[Connection, Connection]) -> None:
    parent, worker = ends
    parent.send(Ready(live="", web="", hooks="", degraded=False))  # not one that a worker takes
    with pytest.raises(msgspec.ValidationError):
        worker.receive()
