"""`realtime serve` with a TLS certificate. Spec: platform 3.9."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from runtime.testing import eventually
from tests.certificates import Pair, make_certificate
from tests.cli.apps import PINNED, write_project
from tests.cli.commands import TIMEOUT, address_of, environment, realtime, serving

LIVE = """
    from runtime import live

    @live.public
    @live
    async def secure(ctx): return ctx.ws.is_secure
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "app", {"live/app.py": LIVE, "web/index.html": "<head></head>hello"})


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return make_certificate(tmp_path, "first")


def trusting(*pairs: Pair) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for pair in pairs:
        context.load_verify_locations(pair.cert)
    return context


def subject(url: str, context: ssl.SSLContext) -> str:
    """Return for whom the certificate is that the server shows to a new connection."""
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped:
            found: Any = wrapped.getpeercert()
    return str(dict(pair[0] for pair in found["subject"])["commonName"])


async def call(ws: Any, path: str) -> Any:
    await ws.send(json.dumps({"rpc": path, "id": "1", "args": []}))
    async for text in ws:
        frame = json.loads(text)
        if frame.get("topic") == "__rpc":
            return frame["data"]["data"]
    raise AssertionError("closed without an answer")


@pytest.mark.spec("PLAT-94")
async def test_pages_and_sockets_come_over_tls(project: Path, pair: Pair) -> None:
    context = trusting(pair)
    # Flags name files from the working directory.
    flags = ("--tls-cert", os.path.relpath(pair.cert, project), "--tls-key", pair.key)
    with serving(project, *flags) as (_, url):
        assert url.startswith("https://127.0.0.1:")

        def page() -> str:
            with urllib.request.urlopen(url, timeout=TIMEOUT, context=context) as answer:
                return str(answer.read())

        assert "hello" in await asyncio.to_thread(page)
        async with connect(url.replace("https", "wss") + "/ws", origin=url, ssl=context) as ws:
            assert await call(ws, "app/secure") is True


@pytest.mark.spec("PLAT-94")
async def test_sighup_reads_the_certificate_again(project: Path, pair: Pair, tmp_path: Path) -> None:
    second = make_certificate(tmp_path, "second")
    context = trusting(pair, second)
    settings = "[server]\nallowed_hosts = ['127.0.0.1']\ntls_cert = 'cert.pem'\ntls_key = 'key.pem'\n"
    write_project(project, {"realtime.toml": settings})
    shutil.copy(pair.cert, project / "cert.pem")
    shutil.copy(pair.key, project / "key.pem")
    with serving(project) as (child, url):
        assert child.stderr is not None
        assert await asyncio.to_thread(subject, url, context) == "first"
        async with connect(url.replace("https", "wss") + "/ws", origin=url, ssl=context) as ws:
            # The key alone does not fit: everything stays as it is, and the log says so.
            shutil.copy(second.key, project / "key.pem")
            child.send_signal(signal.SIGHUP)
            said = await asyncio.to_thread(child.stderr.readline)
            assert "ERROR realtime.tls: the TLS certificate was not read again" in said
            assert "is not the key of the certificate in" in said
            assert await asyncio.to_thread(subject, url, context) == "first"
            shutil.copy(second.cert, project / "cert.pem")
            child.send_signal(signal.SIGHUP)
            await eventually(lambda: asyncio.to_thread(shows_second, url, context))
            assert await call(ws, "app/secure") is True
    assert child.returncode == 0


def shows_second(url: str, context: ssl.SSLContext) -> bool:
    return subject(url, context) == "second"


IN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "realtime_cli", *sys.argv[1:]])
"""


def test_sighup_of_a_terminal_that_is_gone_ends_the_server(project: Path, pair: Pair) -> None:
    ours, its = os.openpty()
    flags = ("--host", "127.0.0.1", "--port", "0", "--tls-cert", str(pair.cert), "--tls-key", str(pair.key))
    child = subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, "serve", *flags],
        cwd=project,
        env=environment(),
        stdin=its,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    os.close(its)
    with child:
        try:
            url = address_of(child)
            child.send_signal(signal.SIGHUP)  # the terminal is there: this one is about the certificate
            assert subject(url, trusting(pair)) == "first"
            assert child.poll() is None
        finally:
            os.close(ours)
        assert child.wait(TIMEOUT) == 0


def test_an_old_version_of_tls_is_refused(project: Path, pair: Pair) -> None:
    write_project(project, {"realtime.toml": PINNED.rstrip() + '\n    tls_min_version = "1.3"\n'})
    old = trusting(pair)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with serving(project, "--tls-cert", pair.cert, "--tls-key", pair.key) as (_, url):
        with pytest.raises(ssl.SSLError):
            subject(url, old)
        assert subject(url, trusting(pair)) == "first"


@pytest.mark.spec("PLAT-94")
@pytest.mark.parametrize(
    ("cert", "key", "message"),
    [
        ("first.pem", None, "server.tls_cert is set and server.tls_key is not"),
        (None, "first.key", "server.tls_key is set and server.tls_cert is not"),
        ("missing.pem", "first.key", "tls_cert: {folder}/missing.pem cannot be read: No such file"),
        ("first.pem", "other.key", "other.key is not the key of the certificate in"),
        ("first.pem", "locked.key", "locked.key is protected by a password"),
        ("first.key", "first.key", "are no PEM certificate and key"),
    ],
)
def test_what_is_no_certificate_with_its_key_ends_with_2(
    project: Path, pair: Pair, tmp_path: Path, cert: str | None, key: str | None, message: str
) -> None:
    make_certificate(tmp_path, "other")
    make_certificate(tmp_path, "locked", password="secret")
    flags = [("--tls-cert", cert), ("--tls-key", key)]
    given = [part for flag, name in flags if name for part in (flag, tmp_path / name)]
    ended = realtime("serve", "--port", "0", *given, cwd=project)
    assert ended.code == 2
    assert message.format(folder=tmp_path) in ended.err
    assert "next:" in ended.err
    assert "Traceback" not in ended.err
