"""Compression of answers, condition by condition. Spec: platform 3.6 and 5.7."""

from __future__ import annotations

import gzip
import hashlib
import sys
from typing import Any

import brotli
import pytest
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, Router

from runtime.core.settings import SecuritySettings, ServerSettings, Settings
from runtime.server import compression
from runtime.server.compression import available_codings, is_compressible

BODY = "compressible " * 100  # 1300 bytes
BR = {"accept-encoding": "gzip, br"}
GZIP = {"accept-encoding": "gzip"}


def app_of(make_site: Any, answer: Any, settings: Settings | None = None) -> Any:
    async def endpoint(request: Any) -> Any:
        return answer() if callable(answer) and not isinstance(answer, Response) else answer

    return make_site(routes=[Route("/x", endpoint)], settings=settings)


def plain(**headers: str) -> Response:
    return PlainTextResponse(BODY, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.spec("PLAT-89")
@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("br, gzip", "br"),
        ("gzip, br", "br"),
        ("gzip", "gzip"),
        ("zstd, gzip", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("gzip;q=0", None),
        ("identity", None),
        ("zstd", None),
        ("", None),
        ("*", "br"),
    ],
)
def test_the_coding_is_one_that_the_client_takes(make_site, accept, coding):
    answer = app_of(make_site, plain).get("/x", {"accept-encoding": accept})
    assert answer.headers.get("content-encoding") == coding
    unpack = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}[coding]
    assert unpack(answer.content).decode() == BODY
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.spec("PLAT-89")
def test_without_the_header_nothing_is_compressed(make_site):
    answer = app_of(make_site, plain).get("/x")
    assert "content-encoding" not in answer.headers
    assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.spec("PLAT-89")
@pytest.mark.parametrize(("size", "packed"), [(0, False), (1023, False), (1024, True)])
def test_short_bodies_stay_as_they_are(make_site, size, packed):
    answer = app_of(make_site, lambda: PlainTextResponse("a" * size)).get("/x", BR)
    assert ("content-encoding" in answer.headers) is packed
    assert ("vary" in answer.headers) is packed


@pytest.mark.spec("PLAT-89")
def test_a_result_that_is_no_smaller_is_not_sent(make_site):
    got = app_of(make_site, lambda: Response(_incompressible(), media_type="text/plain")).get("/x", GZIP)
    assert "content-encoding" not in got.headers
    assert got.content == _incompressible()
    assert got.headers["vary"] == "Accept-Encoding"


def _incompressible() -> bytes:
    return b"".join(hashlib.sha256(bytes([i])).digest() for i in range(64))


@pytest.mark.spec("PLAT-89")
@pytest.mark.parametrize(
    ("media_type", "packed"),
    [
        ("text/html", True),
        ("text/css", True),
        ("text/plain", True),
        ("text/xml", True),
        ("text/javascript", True),
        ("text/csv", True),
        ("text/markdown", True),
        ("application/json", True),
        ("application/xml", True),
        ("application/javascript", True),
        ("application/xhtml+xml", True),
        ("application/ld+json", True),
        ("application/manifest+json", True),
        ("application/rss+xml", True),
        ("application/atom+xml", True),
        ("image/svg+xml", True),
        ("APPLICATION/JSON; charset=utf-8", True),
        ("text/event-stream", False),
        ("image/png", False),
        ("application/octet-stream", False),
        ("application/problem+json", False),
        ("", False),
    ],
)
def test_only_the_listed_types(make_site, media_type, packed):
    assert is_compressible(media_type) is packed
    answer = app_of(make_site, lambda: Response(BODY, headers={"content-type": media_type})).get("/x", BR)
    assert ("content-encoding" in answer.headers) is packed


@pytest.mark.spec("PLAT-89")
def test_what_is_encoded_already_stays(make_site):
    answer = app_of(make_site, lambda: plain(content_encoding="zstd")).get("/x", BR)
    assert answer.headers["content-encoding"] == "zstd"
    assert answer.text == BODY
    assert "vary" not in answer.headers


@pytest.mark.spec("PLAT-89")
def test_streams_are_not_compressed_and_begin_with_their_first_piece(make_site):
    async def pieces() -> Any:
        yield BODY
        yield BODY

    answer = app_of(make_site, lambda: StreamingResponse(pieces(), media_type="text/plain")).get("/x", BR)
    assert answer.text == BODY * 2
    assert "content-encoding" not in answer.headers
    assert "vary" not in answer.headers


@pytest.mark.spec("PLAT-89")
@pytest.mark.parametrize(
    ("vary", "expected"),
    [
        ("Cookie", "Cookie, Accept-Encoding"),
        ("accept-encoding, Cookie", "accept-encoding, Cookie"),
        ("*", "*"),
    ],
)
def test_vary_is_merged(make_site, vary, expected):
    answer = app_of(make_site, lambda: plain(vary=vary)).get("/x", BR)
    assert answer.headers.getlist("vary") == [expected]
    assert answer.headers["content-encoding"] == "br"


@pytest.mark.spec("PLAT-89")
@pytest.mark.parametrize(("etag", "expected"), [('"abc"', 'W/"abc"'), ('W/"abc"', 'W/"abc"')])
def test_etags_become_weak_with_the_coding_only(make_site, etag, expected):
    site = app_of(make_site, lambda: plain(etag=etag))
    assert site.get("/x", BR).headers["etag"] == expected
    assert site.get("/x").headers["etag"] == etag


@pytest.mark.parametrize(
    "answer",
    [
        lambda: plain(cache_control="public, no-transform"),
        lambda: Response(BODY, 206, {"content-type": "text/plain", "content-range": "bytes 0-1299/9999"}),
    ],
)
def test_what_must_not_change_on_the_way_stays(make_site, answer):
    got = app_of(make_site, answer).get("/x", BR)
    assert (got.text, got.headers.get("content-encoding")) == (BODY, None)


def test_errors_are_compressed_like_anything_else(make_site):
    got = app_of(make_site, lambda: PlainTextResponse(BODY, 404)).get("/x", BR)
    assert (got.status_code, got.headers["content-encoding"]) == (404, "br")


@pytest.mark.spec("PLAT-81", "PLAT-89")
@pytest.mark.parametrize("path", ["/x", "/page", "/template", "/live/client.js", "/file.txt"])
@pytest.mark.parametrize("headers", [{}, BR, GZIP])
def test_head_has_the_headers_of_get_and_no_body(make_site, path, headers):
    async def endpoint(request: Any) -> Response:
        return HTMLResponse(BODY)

    page = f"<title>x</title>{BODY}"
    files = {"web/page.html": page, "web/template.html.j2": page, "web/file.txt": BODY}
    site = make_site(files, routes=[Route("/x", endpoint)])
    get, head = site.get(path, headers), site.head(path, headers)
    assert head.content == b""
    assert dict(head.headers) == dict(get.headers)
    assert head.headers["content-length"] == str(len(get.content))


@pytest.mark.spec("PLAT-109")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("header", "packed"),
    [
        (("cookie", "a=b"), False),
        (("Cookie", "a=b"), False),
        (("authorization", "Basic eA=="), False),
        (("AUTHORIZATION", "Basic eA=="), False),
        (("proxy-authorization", "Basic eA=="), False),
        (("x-api-key", "k"), False),
        (("x-own-key", "k"), True),
        (("cookie", ""), True),
        (("cookie", "  "), True),
        (("authorization", ""), True),
    ],
)
def test_requests_with_credentials_get_plain_answers(make_site, method, header, packed):
    answer = app_of(make_site, plain).client.request(method, "/x", [*BR.items(), header])
    assert ("content-encoding" in answer.headers) is packed
    assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.spec("PLAT-109")
def test_credential_headers_can_be_named(make_site):
    settings = Settings(security=SecuritySettings(credential_headers=["X-Own-Key"]))
    site = app_of(make_site, plain, settings)
    assert "content-encoding" not in site.get("/x", {**BR, "x-own-key": "k"}).headers
    assert "content-encoding" in site.get("/x", {**BR, "x-api-key": "k"}).headers


@pytest.mark.spec("PLAT-109")
def test_the_rule_can_be_switched_off(make_site):
    settings = Settings(security=SecuritySettings(compress_credentialed_responses=True))
    assert (
        app_of(make_site, plain, settings).get("/x", {**BR, "cookie": "a=b"}).headers["content-encoding"]
        == "br"
    )


@pytest.mark.spec("PLAT-109")
def test_files_with_siblings_are_sent_compressed_to_everybody(make_site):
    site = make_site({"web/a.js": "x" * 2000, "web/a.js.br": "BR"})
    for headers in (BR, {**BR, "cookie": "a=b"}, {**BR, "authorization": "Basic eA=="}):
        assert site.get("/a.js", headers).content == b"BR"
    client = site.get("/live/client.js", {**GZIP, "cookie": "a=b"})
    assert client.headers["content-encoding"] == "gzip"
    assert gzip.decompress(client.content) == site.get("/live/client.js").content


def test_files_without_siblings_stay_as_they_are(make_site):
    answer = make_site({"web/a.txt": BODY}).get("/a.txt", BR)
    assert (answer.text, answer.headers.get("content-encoding")) == (BODY, None)


def test_it_can_be_switched_off(make_site):
    site = app_of(make_site, plain, Settings(server=ServerSettings(compress=False)))
    answer = site.get("/x", BR)
    assert (answer.text, "vary" in answer.headers) == (BODY, False)
    assert site.head("/x", BR).content == b""


def test_pages_are_compressed_once(make_site, monkeypatch):
    site = make_site({"web/page.html": f"<title>x</title>{BODY}"})
    first = site.get("/page", BR)
    assert first.headers["content-encoding"] == "br"
    calls: list[bytes] = []
    monkeypatch.setitem(available_codings(), "br", calls.append)
    assert site.get("/page", BR).content == first.content
    assert calls == []


async def test_long_bodies_are_compressed_in_a_thread(make_site, monkeypatch):
    seen: list[int] = []
    to_thread = compression.asyncio.to_thread

    async def counted(function: Any, body: bytes) -> Any:
        seen.append(len(body))
        return await to_thread(function, body)

    monkeypatch.setattr(compression.asyncio, "to_thread", counted)
    for size in (64 * 1024, 64 * 1024 + 1):
        site = app_of(make_site, lambda size=size: PlainTextResponse("a" * size))
        answer = await site.client.ask("GET", "/x", GZIP)
        assert gzip.decompress(answer.content) == b"a" * size
    assert seen == [64 * 1024 + 1]


def test_without_brotli_it_is_gzip(make_site, monkeypatch):
    available_codings.cache_clear()
    monkeypatch.setitem(sys.modules, "brotli", None)
    try:
        assert app_of(make_site, plain).get("/x", BR).headers["content-encoding"] == "gzip"
    finally:
        available_codings.cache_clear()


def test_mounted_apps_and_file_responses_are_compressed_too(make_site, tmp_path):
    file = tmp_path / "data.csv"
    file.write_text(BODY)

    async def download(request: Any) -> Response:
        return FileResponse(file)

    async def bare(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BODY.encode()})

    site = make_site(routes=[Mount("/below", Router([Route("/f", download)])), Mount("/bare", bare)])
    answer = site.get("/below/f", GZIP)
    assert gzip.decompress(answer.content).decode() == BODY
    assert answer.headers["etag"].startswith('W/"')
    assert gzip.decompress(site.get("/bare/", GZIP).content).decode() == BODY
    ranged = site.get("/below/f", {**GZIP, "range": "bytes=0-1199"})
    assert (ranged.status_code, ranged.text) == (206, BODY[:1200])
