"""Taking ports, and naming who has them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from realtime_cli.ports import CannotBind, PortInUse, bind, find_holder

LINUX = Path("/proc/net/tcp").exists()


def test_the_socket_is_ours_and_listens() -> None:
    with bind("127.0.0.1", 0) as opened:
        host, port = opened.getsockname()
        assert host == "127.0.0.1"
        with socket.create_connection((host, port), timeout=5):
            pass
        assert not opened.getblocking()


def test_a_taken_port_is_reported_with_holder_and_next_free() -> None:
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortInUse) as taken:
            bind("127.0.0.1", port)
        assert taken.value.port == port
        assert f"port {port} on 127.0.0.1 is in use" in str(taken.value)
        if LINUX:
            assert taken.value.holder is not None
            assert f"(pid {os.getpid()})" in taken.value.holder
            assert taken.value.holder in str(taken.value)
        with bind("127.0.0.1", taken.value.next_free):
            assert taken.value.next_free != port


def test_a_port_can_be_taken_again_at_once() -> None:
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            first.setblocking(True)
            first.accept()[0].close()
    bind("127.0.0.1", port).close()


@pytest.mark.skipif(not LINUX, reason="only Linux has /proc")
def test_the_holder_is_another_process() -> None:
    source = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", source], stdin=-1, stdout=-1, text=True) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        assert find_holder(port) == f"{Path(f'/proc/{child.pid}/comm').read_text().strip()} (pid {child.pid})"
        child.communicate("")
    assert find_holder(port) is None


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("127.0.0.1", 65536, "port 65536 is not between 0 and 65535"),
        ("127.0.0.1", -1, "not between"),
        ("host.invalid", 0, "host 'host.invalid' is not an address of this machine"),
        ("192.0.2.1", 0, "cannot listen on 192.0.2.1:0"),
    ],
)
def test_an_address_that_cannot_be_taken_says_why(host: str, port: int, message: str) -> None:
    with pytest.raises(CannotBind) as problem:
        bind(host, port)
    assert not isinstance(problem.value, PortInUse)
    assert message in str(problem.value)


def test_ipv6_works_where_the_system_has_it() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with bind("::1", 0) as opened:
        assert opened.family == socket.AF_INET6
