"""The load generator counts what arrives and fails when anything is missing; both implementations alike."""

from __future__ import annotations

import shutil
import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from bench.cases.fanout import SUBSCRIBE, burst
from bench.cases.rpc import REQUEST
from bench.generator import build
from bench.processes import free_port, serving
from bench.servers import SERVERS

KINDS = ("c", "python")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    build.generator.cache_clear()
    if request.param == "python":
        monkeypatch.setenv("BENCH_PYTHON_GENERATOR", "1")
    elif sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("the C generator needs Linux and a compiler; machines without one use the other")
    yield request.param
    build.generator.cache_clear()


@pytest.fixture(scope="module", params=["websockets", "starlette"])
def peer(request: pytest.FixtureRequest) -> Iterator[int]:
    port = free_port()
    with serving(SERVERS[request.param](port), port):
        yield port


def test_fanout_counts_every_delivery(kind: str, peer: int) -> None:
    assert build.generator()[0] == kind
    arguments = ["fanout", "--port", str(peer), "--connections", "20", "--count", "50", "--send", SUBSCRIBE]
    figures = build.generate([*arguments, "--trigger", burst(50, 1), "--trigger", burst(50, 10)])
    assert figures["deliveries"] == 1000
    assert figures["per_second"] == pytest.approx(1000 / figures["seconds"], rel=0.01)


def test_a_missing_event_fails_the_run(kind: str, peer: int) -> None:
    arguments = ["fanout", "--port", str(peer), "--connections", "2", "--count", "50", "--send", SUBSCRIBE]
    with pytest.raises(RuntimeError, match=r"not finished|TimeoutError"):
        build.generate([*arguments, "--trigger", burst(49, 1), "--limit", "1"])


def test_rpc_counts_replies(kind: str, peer: int) -> None:
    arguments = ["rpc", "--port", str(peer), "--connections", "4", "--in-flight", "3", "--request", REQUEST]
    figures = build.generate([*arguments, "--warmup", "0.05", "--seconds", "0.2"])
    assert figures["calls"] > 10
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] < 1000


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
            build.generate(["rpc", "--port", str(port), "--request", REQUEST, "--limit", "5"])
        thread.join()
