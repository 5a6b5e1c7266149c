"""Clients that are slow, large, silent or wrong, on both of uvicorn's HTTP protocols. Spec: platform 3.9."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.server import httpvariants, uvicornlink
from runtime.server.httpprotocol import BODY_WINDOW, HEAD_LIMIT, LINGER, BoundedHttp, HttpBounds, Part
from runtime.server.httpvariants import bounded_protocol
from runtime.testing import FakeClock, eventually
from tests.certificates import make_certificate
from tests.server.bounds import HEAD, bounded_site
from tests.server.sockets import TIMEOUT, receive, served

PARSERS = ["httptools", "h11"]
both = pytest.mark.parametrize("parser", PARSERS)
POST = b"POST /%s HTTP/1.1\r\nhost: t\r\ncontent-length: 100000\r\n\r\n"


@both
async def test_a_head_that_does_not_end_is_refused_when_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str
) -> None:
    async with bounded_site(tmp_path, monkeypatch, parser) as site, site.client() as client:
        await client.send(HEAD[:-2])
        await site.reads(Part.HEAD)
        await site.clock.advance(6)
        await client.send(b"x-more: of it\r\n")  # does not begin the time anew
        await site.clock.advance(3.9)
        assert len(site.protocols) == 1
        await site.clock.advance(0.2)
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert answer.endswith(b"\r\n\r\nRequest Timeout")
        assert b"connection: close\r\n" in answer
        assert site.refusals() == {"header_timeout": 1}


@both
async def test_who_connects_and_says_nothing_is_closed_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str
) -> None:
    async with (
        bounded_site(tmp_path, monkeypatch, parser, header_timeout=3) as site,
        site.client() as client,
    ):
        await site.reads(Part.NONE)
        await site.clock.advance(3.1)
        assert await client.rest() == b""
        assert site.refusals() == {"header_timeout": 1}


@both
async def test_a_connection_without_a_further_request_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str
) -> None:
    async with (
        bounded_site(tmp_path, monkeypatch, parser, keepalive_timeout=20) as site,
        site.client() as client,
    ):
        for _ in range(2):
            await client.send(HEAD)
            assert (await client.until(b"hello")).startswith(b"HTTP/1.1 200 OK\r\n")
            await site.clock.advance(19)
        await client.send(HEAD[:10])  # the next one begins: it has the time of a head from here on
        await site.reads(Part.HEAD)
        await site.clock.advance(9)
        await client.send(HEAD[10:])
        await client.until(b"hello")
        await site.clock.advance(20.1)
        assert await client.rest() == b""
        assert site.refusals() == {}


@both
async def test_without_limits_nothing_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str
) -> None:
    off = {"header_timeout": 0, "keepalive_timeout": 0, "min_body_rate": 0, "stream_write_timeout": 0}
    async with bounded_site(tmp_path, monkeypatch, parser, **off) as site, site.client() as client:
        for part in (HEAD[:10], HEAD[10:], POST % b"upload", b"x" * 50_000):
            await client.send(part)
            await site.clock.advance(200)
        await client.send(b"x" * 50_000)
        assert (await client.until(b"100000")).count(b"HTTP/1.1 200 OK") == 2


@both
@pytest.mark.parametrize("where", ["one header", "many headers", "the path", "one header, in parts"])
async def test_a_head_above_64_kib_is_refused_and_the_answer_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str, where: str
) -> None:
    heads = {
        "one header": b"GET /hello HTTP/1.1\r\nhost: t\r\nx: %s\r\n\r\n" % (b"y" * HEAD_LIMIT),
        "many headers": b"GET /hello HTTP/1.1\r\nhost: t\r\n%s\r\n" % (b"abc: defg\r\n" * (HEAD_LIMIT // 10)),
        "the path": b"GET /%s HTTP/1.1\r\nhost: t\r\n\r\n" % (b"y" * HEAD_LIMIT),
        # Without an end, as somebody sends it who wants our memory.
        "one header, in parts": b"GET /hello HTTP/1.1\r\nhost: t\r\nx: %s" % (b"y" * HEAD_LIMIT * 8),
    }
    async with bounded_site(tmp_path, monkeypatch, parser) as site, site.client() as client:
        with contextlib.suppress(ConnectionError):  # while the rest is being sent
            await client.send(heads[where])
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
        assert site.refusals() == {"head_size": 1}
        assert site.app.running == 0


@both
async def test_a_head_of_64_kib_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str
) -> None:
    head = HEAD[:-2] + b"x: %s\r\n\r\n"
    head %= b"y" * (HEAD_LIMIT - len(head) + 2)
    assert len(head) == HEAD_LIMIT
    async with bounded_site(tmp_path, monkeypatch, parser) as site, site.client() as client:
        for part in (head[:30_000], head[30_000:]):
            await client.send(part)
        assert (await client.until(b"hello")).startswith(b"HTTP/1.1 200 OK\r\n")
        await client.send(head[:40] + b"y" + head[40:])
        assert b"431" in await client.until(b"\r\n")


@both
@pytest.mark.parametrize(
    ("second", "status", "rule"),
    [(b"GET /hello nonsense\r\n\r\n", b"400 Bad Request", "malformed"), (b"", b"431", "head_size")],
)
async def test_what_is_wrong_behind_a_request_is_refused_behind_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str, second: bytes, status: bytes, rule: str
) -> None:
    second = second or HEAD[:-2] + b"x: %s\r\n\r\n" % (b"y" * HEAD_LIMIT)
    async with bounded_site(tmp_path, monkeypatch, parser) as site, site.client() as client:
        await client.send(b"GET /slow HTTP/1.1\r\nhost: t\r\n\r\n" + second)
        await eventually(lambda: site.app.running)
        site.app.may_go.set()
        answer = await client.rest()
        first, _, rest = answer.partition(b"at last")
        assert first.startswith(b"HTTP/1.1 200 OK\r\n")
        assert rest.startswith(b"HTTP/1.1 " + status)
        assert site.refusals() == {rule: 1}


@both
async def test_who_is_refused_and_stays_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str
) -> None:
    async with bounded_site(tmp_path, monkeypatch, parser) as site, site.client() as client:
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.until(b"Bad Request\r\n")).startswith(b"HTTP/1.1 400 ")
        await client.send(HEAD)  # is not looked at
        await site.clock.advance(LINGER - 0.1)
        assert len(site.protocols) == 1
        await site.clock.advance(0.2)
        await eventually(lambda: not site.protocols)


@both
async def test_a_body_that_is_too_slow_is_refused_and_the_app_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with bounded_site(tmp_path, monkeypatch, parser) as site, site.client() as client:
        await client.send(POST % b"upload")
        size = 0
        for sent in (20_000, 10_240):  # in the second window just enough
            await client.send(b"x" * sent)
            size += sent
            await site.reads(Part.BODY, size)
            await site.clock.advance(BODY_WINDOW)
        await client.send(b"x" * 10_239)
        await site.reads(Part.BODY, size + 10_239)
        assert site.refusals() == {}
        await site.clock.advance(BODY_WINDOW)
        assert (await client.rest()).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        await eventually(lambda: site.app.left == 1)
        assert site.refusals() == {"body_rate": 1}
        assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


@both
@pytest.mark.parametrize("expects", [False, True])
async def test_a_client_is_not_blamed_for_an_app_that_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str, expects: bool
) -> None:
    head = POST % b"late"
    if expects:
        head = head[:-2] + b"expect: 100-continue\r\n\r\n"
    async with bounded_site(tmp_path, monkeypatch, parser) as site, site.client() as client:
        await client.send(head)
        if not expects:
            await client.send(b"x" * 90_000)
        await eventually(lambda: site.app.running)
        (protocol,) = site.protocols
        await eventually(lambda: expects or protocol.flow.read_paused)
        await site.clock.advance(BODY_WINDOW * 5)
        site.app.may_go.set()
        if expects:
            assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"x" * (100_000 if expects else 10_000))
        assert (await client.until(b"100000")).startswith(b"HTTP/1.1 200 OK\r\n")


@both
async def test_a_body_that_nobody_wants_any_more_has_to_end_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str
) -> None:
    async with (
        bounded_site(tmp_path, monkeypatch, parser, body_limit=0) as site,
        site.client() as client,
    ):
        await client.send(POST.replace(b"100000", b"100000000") % b"early")
        await client.until(b"no thanks")
        for _ in range(2):
            await client.send(b"x" * 50_000)
            await site.clock.advance(BODY_WINDOW)
        await eventually(lambda: not site.protocols)
        assert site.refusals() == {"body_unwanted": 1}


@both
async def test_a_body_that_nobody_wanted_ends_and_the_connection_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str
) -> None:
    async with bounded_site(tmp_path, monkeypatch, parser) as site, site.client() as client:
        await client.send(POST % b"early")
        await client.until(b"no thanks")
        await client.send(b"x" * 100_000 + HEAD)
        assert (await client.until(b"hello")).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_trailer_is_bounded_and_no_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = b"POST /upload HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
    async with bounded_site(tmp_path, monkeypatch) as site:
        async with site.client() as client:
            await client.send(head + b"x-late: 1\r\n\r\n")
            assert (await client.until(b"\r\n\r\n5")).startswith(b"HTTP/1.1 200 OK\r\n")
            (protocol,) = site.protocols
            assert dict(protocol.cycle.scope["headers"]).keys() == {b"host", b"transfer-encoding"}
        async with site.client() as client:
            await client.send(head + b"x-late: more\r\n" * 10_000)
            await eventually(lambda: not site.protocols)
        assert site.refusals() == {"head_size": 1}


@both
@pytest.mark.spec("PLAT-93")
@pytest.mark.parametrize("path", ["endless", "large"])
async def test_an_answer_that_nobody_takes_is_cut_and_has_no_clean_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str, path: str
) -> None:
    async with bounded_site(tmp_path, monkeypatch, parser) as site, site.client(buffer=4096) as client:
        await client.send(b"GET /%s HTTP/1.1\r\nhost: t\r\n\r\n" % path.encode())
        await client.until(b"\r\n\r\n")
        await eventually(lambda: len(site.protocols) == 1)
        (protocol,) = site.protocols
        await is_behind(protocol)
        await site.clock.advance(29)
        assert len(site.protocols) == 1
        await site.clock.advance(7)
        await eventually(lambda: not site.protocols)
        assert site.refusals() == {"write_stalled": 1}
        await eventually(lambda: not site.server.server.server_state.tasks)
        with pytest.raises(ConnectionResetError):
            await client.rest()


@both
@pytest.mark.spec("PLAT-93")
async def test_an_answer_that_is_taken_slowly_is_not_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str
) -> None:
    async with bounded_site(tmp_path, monkeypatch, parser) as site, site.client(buffer=4096) as client:
        await client.send(b"GET /endless HTTP/1.1\r\nhost: t\r\n\r\n")
        await client.until(b"\r\n\r\n")
        (protocol,) = site.protocols
        await is_behind(protocol)
        for _ in range(6):
            await site.clock.advance(20)
            before = protocol._progress()
            async with asyncio.timeout(TIMEOUT):
                while protocol._progress() == before:
                    await client.reader.read(30_000)
        assert len(site.protocols) == 1
        assert site.refusals() == {}


@pytest.mark.spec("PLAT-93")
async def test_under_tls_a_client_that_takes_nothing_is_cut_and_a_slow_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make_certificate(tmp_path, "site")
    files = {"tls_cert": str(pair.cert), "tls_key": str(pair.key)}
    context = ssl.create_default_context(cafile=pair.cert)
    async with (
        bounded_site(tmp_path, monkeypatch, **files) as site,
        site.client(buffer=4096, tls=context) as client,
    ):
        await client.send(b"GET /large HTTP/1.1\r\nhost: t\r\n\r\n")
        await client.until(b"\r\n\r\n")
        (protocol,) = site.protocols
        await is_behind(protocol)
        size = protocol.transport.get_write_buffer_size()
        for _ in range(4):
            await site.clock.advance(20)
            before = protocol._progress()
            async with asyncio.timeout(TIMEOUT):
                while protocol._progress() == before:
                    await client.reader.read(1000)
        assert site.refusals() == {}
        if sys.platform == "linux":  # where the system tells what was taken, before the buffer shows it
            assert protocol.transport.get_write_buffer_size() == size
        for _ in range(3):  # what the system of the client still had room for begins its time anew
            await is_behind(protocol)
            await site.clock.advance(36)
            if site.refusals():
                break
        await eventually(lambda: not site.protocols)
        assert site.refusals() == {"write_stalled": 1}


async def is_behind(protocol: BoundedHttp) -> None:
    """Wait until the client's system takes nothing more and what the app sends piles up."""
    last: Any = None

    def settled() -> bool:
        nonlocal last
        before, last = last, protocol._progress()
        return bool(before == last and last[0])

    await eventually(settled)
    await eventually(lambda: protocol.flow.write_paused)


async def test_a_large_body_costs_the_memory_of_some_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bounded_site(tmp_path, monkeypatch) as site, site.client(buffer=4096) as client:
        await client.send(b"GET /large HTTP/1.1\r\nhost: t\r\n\r\n")
        head = await client.until(b"\r\n\r\n")
        (protocol,) = site.protocols
        await is_behind(protocol)
        assert protocol.transport.get_write_buffer_size() < 300_000
        assert b"content-length: 20000000\r\n" in head
        async with asyncio.timeout(TIMEOUT):
            assert await client.reader.readexactly(20_000_000) == b"y" * 20_000_000
        await client.send(HEAD)
        await client.until(b"hello")


async def test_an_upgrade_leaves_no_timer_and_one_behind_a_request_is_refused(tmp_path: Path) -> None:
    clock = FakeClock()
    settings = Settings(server=ServerSettings(env="test", shutdown_timeout=1))
    async with served(tmp_path, settings, clock=clock) as server:
        pending = clock.pending
        async with server.connect() as ws:
            await receive(ws)
            await clock.advance(30)
            await ws.send('{"type":"ping"}')
            assert not [p for p in server.server.server_state.connections if isinstance(p, BoundedHttp)]
        await eventually(lambda: not server.server.server_state.connections)
        assert clock.pending == pending


async def test_an_upgrade_behind_a_request_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = b"GET /ws HTTP/1.1\r\nhost: t\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
    async with bounded_site(tmp_path, monkeypatch) as site, site.client() as client:
        await client.send(b"GET /slow HTTP/1.1\r\nhost: t\r\n\r\n" + upgrade)
        await eventually(lambda: site.app.running)
        site.app.may_go.set()
        first, _, rest = (await client.rest()).partition(b"at last")
        assert first.startswith(b"HTTP/1.1 200 OK")
        assert rest.startswith(b"HTTP/1.1 400 Bad Request")


def bounds() -> HttpBounds:
    return HttpBounds(
        clock=FakeClock(),
        refused=lambda *_: None,
        header_timeout=None,
        keepalive_timeout=None,
        min_body_rate=None,
        stream_write_timeout=None,
    )


@both
def test_what_is_assumed_of_uvicorn(parser: str) -> None:
    choice = bounded_protocol(bounds(), parser=parser)
    assert (choice.name, choice.problem) == (parser, None)
    assert isinstance(choice.protocol, type)
    assert issubclass(choice.protocol, BoundedHttp)


@pytest.mark.parametrize(
    ("code", "change", "problem"),
    [
        (
            "_CYCLE_CODE",
            {"send": {"renamed"}},
            "RequestResponseCycle.send of uvicorn does not mention renamed",
        ),
        ("_FLOW_CODE", {"gone": {"at_all"}}, "FlowControl.gone of uvicorn does not mention at_all"),
    ],
)
async def test_another_uvicorn_serves_without_our_bounds_and_that_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: str,
    change: dict[str, set[str]],
    problem: str,
) -> None:
    monkeypatch.setattr(httpvariants, code, change)
    choice = bounded_protocol(bounds())
    assert (choice.protocol, choice.problem) == ("auto", problem)
    async with served(tmp_path, Settings(server=ServerSettings(env="test"))) as server:
        reader, writer = await asyncio.open_connection(*server.address.split(":"))
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
    assert problem in caplog.text
    assert "requests are served without limits of their time and size" in caplog.text


@pytest.mark.parametrize(("wanted", "is_said"), [("auto", True), ("off", False)])
async def test_a_missing_fast_path_is_said_to_who_may_want_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    wanted: str,
    is_said: bool,
) -> None:
    monkeypatch.setattr(uvicornlink.contract, "KNOWN_UVICORN", ((0, 1), (0, 2)))
    settings = Settings(
        server=ServerSettings(env="test"), websocket=WebSocketSettings(fast_path=wanted, text_keepalive=0)
    )
    async with served(tmp_path, settings) as server, server.connect() as ws:
        assert (await receive(ws))["type"] == "welcome"
    assert ("there is no fast path, frames go over ASGI" in caplog.text) is is_said


def test_where_httptools_is_missing_h11_has_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    real = httpvariants.importlib.import_module

    def without(name: str) -> Any:
        if "httptools" in name:
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(httpvariants.importlib, "import_module", without)
    choice = bounded_protocol(bounds())
    assert (choice.name, choice.problem) == ("h11", None)
