"""Bodies that break off in the middle of a request, on both of uvicorn's HTTP protocols. Spec: platform 3.9."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.testing import eventually
from tests.server.bounds import bounded_site

both = pytest.mark.parametrize("parser", ["httptools", "h11"])
CHUNKED = b"POST /%s HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n"
BROKEN = [b"zz\r\nabc\r\n", b"0x3\r\nabc\r\n", b"f" * 30 + b"\r\n", b"3\r\nabcX\r\n"]


@both
@pytest.mark.parametrize("chunk", BROKEN)
async def test_a_body_that_is_no_http_is_refused_at_once_and_the_app_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str, chunk: bytes
) -> None:
    async with bounded_site(tmp_path, monkeypatch, parser) as site, site.client() as client:
        await client.send(CHUNKED % b"upload" + b"3\r\nabc\r\n" + chunk)
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert answer.count(b"HTTP/1.1") == 1
        await eventually(lambda: site.app.left == 1)
        assert site.refusals() == {"malformed": 1}


@both
async def test_a_coding_that_is_not_known_leaves_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str
) -> None:
    async with bounded_site(tmp_path, monkeypatch, parser) as site, site.client() as client:
        await client.send(b"POST /upload HTTP/1.1\r\nhost: t\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n")
        answer = await client.rest()
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
        assert answer.count(b"HTTP/1.1") == 1


@both
async def test_an_answer_that_has_begun_is_cut_when_its_request_breaks_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str
) -> None:
    async with bounded_site(tmp_path, monkeypatch, parser) as site, site.client() as client:
        await client.send(CHUNKED % b"begun")
        await client.until(b"begun\r\n")
        await client.send(b"nonsense\r\n")
        with pytest.raises(ConnectionResetError):
            await client.rest()
        assert site.refusals() == {"malformed": 1}


@both
async def test_one_that_breaks_off_behind_another_is_refused_when_it_is_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str
) -> None:
    async with bounded_site(tmp_path, monkeypatch, parser) as site, site.client() as client:
        first = b"GET /slow HTTP/1.1\r\nhost: t\r\n\r\nGET /hello HTTP/1.1\r\nhost: t\r\n\r\n"
        await client.send(first + CHUNKED % b"upload" + b"nonsense\r\n")
        await eventually(lambda: site.app.running)
        site.app.may_go.set()
        answer = await client.rest()
        slow, hello, refused = answer.split(b"HTTP/1.1 ")[1:]
        assert (slow[:3], hello[:3], refused[:3]) == (b"200", b"200", b"400")
        assert slow.endswith(b"at last")
        assert hello.endswith(b"hello")
        assert site.refusals() == {"malformed": 1}
