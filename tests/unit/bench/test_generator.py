"""The load generator counts what arrives and fails when anything is missing or changed; both implementations alike."""

from __future__ import annotations

import shutil
import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from bench.case import CannotMeasure
from bench.generator import build
from bench.load import call, options, sends
from bench.processes import free_port, serving
from bench.servers import SERVERS, Dialect

KINDS = ("c", "python")
DIALECT = Dialect()
SUBSCRIBE = sends(*DIALECT.subscribe)
ECHO = call(DIALECT, "echo", "%lu", number="%lu")


def burst(per_turn: int) -> list[str]:
    return options(trigger=call(DIALECT, "burst", "%lu", per_turn, 0), per_turn=per_turn)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    build.generator.cache_clear()
    if request.param == "python":
        monkeypatch.setenv("BENCH_PYTHON_GENERATOR", "1")
    elif sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("the C generator needs Linux and a compiler; machines without one use the other")
    yield request.param
    build.generator.cache_clear()


@pytest.fixture
def c(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("the C generator needs Linux and a compiler")
    build.generator.cache_clear()
    monkeypatch.delenv("BENCH_PYTHON_GENERATOR", raising=False)
    yield
    build.generator.cache_clear()


@pytest.fixture(scope="module", params=["websockets", "starlette"])
def peer(request: pytest.FixtureRequest) -> Iterator[int]:
    port = free_port()
    with serving(SERVERS[request.param].command(port).arguments, port):
        yield port


@pytest.fixture(scope="module")
def websockets_peer() -> Iterator[int]:
    port = free_port()
    with serving(SERVERS["websockets"].command(port).arguments, port):
        yield port


@pytest.mark.parametrize("per_turn", [1, 10])
def test_fanout_counts_every_delivery(kind: str, peer: int, per_turn: int) -> None:
    assert build.generator()[0] == kind
    arguments = options(port=peer, connections=20, seconds=0.05)
    figures = build.generate(["fanout", *arguments, *SUBSCRIBE, *burst(per_turn)])
    assert figures["deliveries"] % (20 * per_turn) == 0
    assert figures["per_second"] == pytest.approx(figures["deliveries"] / figures["seconds"], rel=0.01)


def test_topics_have_one_subscriber_each(kind: str, peer: int) -> None:
    arguments = options(port=peer, connections=5, topics=3, seconds=0.05)
    trigger = options(trigger=call(DIALECT, "spread", "%lu", 5, 15))
    figures = build.generate(["topics", *arguments, *trigger])
    assert figures["deliveries"] % 15 == 0


def test_a_missing_event_fails_the_run(kind: str, websockets_peer: int) -> None:
    trigger = options(trigger=call(DIALECT, "burst", "%lu0", 1, 0).replace("%lu0", "1"), per_turn=2)
    arguments = options(port=websockets_peer, connections=2, limit=1)
    with pytest.raises(RuntimeError, match=r"not finished|TimeoutError"):
        build.generate(["fanout", *arguments, *SUBSCRIBE, *trigger])


def test_an_event_with_another_number_fails_the_run(kind: str, websockets_peer: int) -> None:
    trigger = options(trigger=call(DIALECT, "burst", "%lu", 1, 3))
    arguments = options(port=websockets_peer, connections=2, limit=5)
    with pytest.raises(RuntimeError, match="expected number 0, got 3"):
        build.generate(["fanout", *arguments, *SUBSCRIBE, *trigger])


def test_an_event_with_another_payload_fails_the_run(kind: str, websockets_peer: int) -> None:
    arguments = options(port=websockets_peer, connections=2, limit=5, text_length=119)
    with pytest.raises(RuntimeError, match=r"not the event that was expected|not what was published"):
        build.generate(["fanout", *arguments, *SUBSCRIBE, *burst(1)])


def test_rpc_counts_replies(kind: str, peer: int) -> None:
    arguments = options(port=peer, connections=4, in_flight=3, request=ECHO, warmup=0.05, seconds=0.2)
    figures = build.generate(["rpc", *arguments])
    assert figures["per_second"] > 50
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] < 1000


def test_a_reply_with_other_data_fails_the_run(kind: str, websockets_peer: int) -> None:
    arguments = options(port=websockets_peer, request=call(DIALECT, "echo", 7, number="%lu"), limit=5)
    with pytest.raises(RuntimeError, match=r"not (the|a) reply"):
        build.generate(["rpc", *arguments])


def test_uploads_are_acknowledged(kind: str, peer: int) -> None:
    arguments = options(port=peer, connections=2, in_flight=2, size=65536, warmup=0.05, seconds=0.2)
    figures = build.generate(["upload", *arguments])
    assert figures["mb_per_second"] == pytest.approx(figures["per_second"] * 65536 / 1e6, rel=0.01)
    assert figures["per_second"] > 10


def test_latency_is_taken_between_two_marks(c: None, peer: int) -> None:
    marks: list[str] = []
    trigger = options(trigger=call(DIALECT, "burst", 1, 1, "%lu"))
    arguments = options(port=peer, connections=5, interval=0.01, warmup=0.02, seconds=0.1)
    figures = build.generate(["latency", *arguments, *SUBSCRIBE, *trigger], on_mark=marks.append)
    assert marks == ["begin", "end"]
    assert figures["deliveries"] == 50
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]


def test_a_storm_opens_and_closes(c: None, peer: int) -> None:
    figures = build.generate(["storm", *options(port=peer, connections=4, warmup=0.05, seconds=0.2)])
    assert figures["per_second"] > 10
    assert figures["p50_ms"] > 0


def test_idle_connections_are_opened_in_steps(c: None, peer: int) -> None:
    marks: list[str] = []
    arguments = options(port=peer, connections=20, steps="5,20", warmup=0.01, seconds=0.05)
    figures = build.generate(["idle", *arguments], on_mark=marks.append)
    assert marks == ["open 5", "open 20", "begin", "end"]
    assert figures["connections"] == 20


def test_modes_that_only_the_c_generator_has_cannot_be_measured_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(build, "generator", lambda: ("python", ["unused"]))
    with pytest.raises(CannotMeasure, match="needs the generator in C"):
        build.generate(["storm"])


def test_a_refused_handshake_is_reported(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        port = listener.getsockname()[1]
        with pytest.raises(RuntimeError, match=r"refused|403"):
            build.generate(["rpc", *options(port=port, request=ECHO, limit=5)])
        thread.join()


def test_every_run_uses_other_addresses(monkeypatch: pytest.MonkeyPatch, c: None) -> None:
    seen: set[str] = set()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def note() -> None:
            for _ in range(2):
                connection, (address, _) = listener.accept()
                seen.add(address)
                connection.close()

        thread = threading.Thread(target=note)
        thread.start()
        for _ in range(2):
            with pytest.raises(RuntimeError, match=r"handshake|reset"):
                build.generate(["storm", *options(port=listener.getsockname()[1], limit=5)])
        thread.join()
    assert len(seen) == 2
    assert all(address.startswith("127.") for address in seen)
