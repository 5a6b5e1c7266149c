"""Slow and silent clients of a real process, on both event loops. Spec: platform 3.9."""

from __future__ import annotations

import select
import socket
import ssl
from pathlib import Path

import pytest

from tests.certificates import make_certificate
from tests.cli.apps import write_project
from tests.cli.commands import TIMEOUT, serving

HOOKS = """
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    async def endless(request):
        async def body():
            while True:
                yield b"x" * 10_000
        return StreamingResponse(body())

    routes = [Route("/endless", endless)]
"""


@pytest.fixture(params=["asyncio", "uvloop"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    pytest.importorskip(request.param)
    settings = f"""
        [server]
        allowed_hosts = ["127.0.0.1"]
        loop = "{request.param}"
        header_timeout = 0.3
        keepalive_timeout = 0.3
        stream_write_timeout = 0.5
    """
    files = {"realtime.toml": settings, "hooks.py": HOOKS, "live/app.py": "", "web/a.txt": "0123456789"}
    return write_project(tmp_path / "app", files)


def connect(url: str) -> socket.socket:
    host, _, port = url.partition("://")[2].partition(":")
    made = socket.socket()
    made.settimeout(TIMEOUT)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect((host, int(port)))
    return made


def rest(client: socket.socket) -> bytes:
    """Return what comes until the server closes."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def request(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{more}\r\n".encode()


def test_a_head_that_does_not_come_and_one_that_does_not_end(project: Path) -> None:
    with serving(project) as (_, url):
        with connect(url) as silent, connect(url) as slow, connect(url) as idle:
            slow.sendall(request("/a.txt")[:-2])
            idle.sendall(request("/a.txt"))
            assert rest(silent) == b""
            assert rest(slow).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
            assert rest(idle).endswith(b"\r\n\r\n0123456789")
        with connect(url) as large:
            large.sendall(request("/a.txt", f"x: {'y' * 65536}\r\n"))
            assert rest(large).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


@pytest.mark.spec("PLAT-93")
def test_an_answer_that_nobody_takes_is_cut(project: Path) -> None:
    with serving(project) as (_, url), connect(url) as client:
        client.sendall(request("/endless"))
        assert client.recv(12) == b"HTTP/1.1 200"
        with pytest.raises(ConnectionResetError):
            wait_for_the_end(client)


@pytest.mark.spec("PLAT-93")
def test_an_answer_that_nobody_takes_is_cut_under_tls(project: Path, tmp_path: Path) -> None:
    pair = make_certificate(tmp_path, "site")
    context = ssl.create_default_context(cafile=pair.cert)
    with serving(project, "--tls-cert", pair.cert, "--tls-key", pair.key) as (_, url):
        with connect(url) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
            client.sendall(request("/endless"))
            assert client.recv(12) == b"HTTP/1.1 200"
            with pytest.raises(ConnectionResetError):
                wait_for_the_end(client)


def wait_for_the_end(client: socket.socket) -> None:
    """Read nothing until the connection is reset; the kernel tells of it although data waits."""
    poll = select.poll()
    poll.register(client, 0)
    assert poll.poll(TIMEOUT * 1000)
    error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, "reset")
    rest(client)
