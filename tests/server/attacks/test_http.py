"""Requests that want to be two, paths that leave the folder, headers that begin another. Platform 3.2, 5.13."""

from __future__ import annotations

import json

import pytest

from tests.server.attacks.people import Attacker
from tests.server.attacks.target import SECRET, TOKEN

HIT = "GET /hit HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


@pytest.mark.spec("PLAT-92")
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("content-length: 0\r\ntransfer-encoding: chunked\r\n", f"0\r\n\r\n{HIT}"),
        (f"transfer-encoding: chunked\r\ncontent-length: {len(HIT)}\r\n", f"0\r\n\r\n{HIT}"),
        (f"content-length: {len(HIT)}\r\ncontent-length: 0\r\n", HIT),
        (f"content-length: 0, {len(HIT)}\r\n", HIT),
        ("content-length: +0\r\n", HIT),
        ("content-length: 0x0\r\n", HIT),
        ("content-length: -1\r\n", HIT),
        ("content-length: 0 0\r\n", HIT),
        ("content-length: \r\n", HIT),
        ("transfer-encoding: xchunked\r\n", f"0\r\n\r\n{HIT}"),
        ("transfer-encoding: identity, chunked, x\r\n", f"0\r\n\r\n{HIT}"),
        ("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", f"0\r\n\r\n{HIT}"),
        ("transfer-encoding : chunked\r\n", f"0\r\n\r\n{HIT}"),
        (" transfer-encoding: chunked\r\n", f"0\r\n\r\n{HIT}"),
        ("transfer-encoding: \x0bchunked\r\n", f"0\r\n\r\n{HIT}"),
        ("transfer-encoding: chunked\r\n", f"1;a=\n\r\nx\r\n0\r\n\r\n{HIT}"),
        ("transfer-encoding: chunked\r\n", f"-1\r\n\r\n{HIT}"),
        ("transfer-encoding: chunked\r\n", f"0x0\r\n\r\n{HIT}"),
        ("transfer-encoding: chunked\r\n", f"ffffffffffffffffff\r\n{HIT}"),
        ("transfer-encoding: chunked\r\n", f"2\r\nxyz0\r\n\r\n{HIT}"),
        ("x: a\r\n\tb: c\r\ncontent-length: 0 \x00\r\n", HIT),
        ("x y: z\r\ncontent-length: 0\r\n", HIT),
        ("x\x00y: z\r\ncontent-length: 0\r\n", HIT),
        (": empty\r\ncontent-length: 0\r\n", HIT),
        ("no colon\r\ncontent-length: 0\r\n", HIT),
    ],
)
async def test_a_request_that_could_be_read_as_two_runs_neither(
    mallory: Attacker, headers: str, body: str
) -> None:
    before = (await mallory.counts())["hit"]
    head = f"POST /echo HTTP/1.1\r\nhost: {mallory.target.address}\r\n{headers}\r\n"
    answer = await mallory.send(head + body)
    assert answer.raw.count(b"HTTP/1.1 ") <= 1 or b"\r\n\r\nhit" not in answer.raw
    assert (await mallory.counts())["hit"] == before
    assert answer.status in (0, 400, 501), answer.raw[:200]


@pytest.mark.parametrize(
    "raw",
    [
        "GET /hit HTTP/1.1\nhost: 127.0.0.1\n\n",
        "GET /hit HTTP/3.7\r\nhost: 127.0.0.1\r\n\r\n",
        "G\x00T /hit HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
        "GET /hit HTTP/1.1\r\nhost: evil.example\r\n\r\n",
        "GET /hit HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: evil.example\r\n\r\n",
        "GET /hit HTTP/1.1\r\nhost: 127.0.0.1, evil.example\r\n\r\n",
        "GET /hit HTTP/1.1\r\nhost: 127.0.0.1@evil.example\r\n\r\n",
        "GET /hit HTTP/1.1\r\nhost: 127.0.0.1/evil\r\n\r\n",
        "GET /hit HTTP/1.1\r\nhost: 127.0.0.1:99999\r\n\r\n",
        "GET /hit HTTP/1.1\r\nconnection: close\r\n\r\n",
        "GET /hit HTTP/1.1\r\nhost:\r\n\r\n",
        "GET http://evil.example/hit HTTP/1.1\r\nhost: evil.example\r\n\r\n",
        "CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "x" * 64,
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x00" * 500,
    ],
)
async def test_a_request_of_another_shape_or_for_another_host_runs_nothing(
    mallory: Attacker, raw: str
) -> None:
    before = (await mallory.counts())["hit"]
    answer = await mallory.send(raw.replace("\r\nhost", "\r\nconnection: close\r\nhost", 1))
    assert (await mallory.counts())["hit"] == before
    assert answer.status in (0, 400, 404, 505), answer.raw[:200]


@pytest.mark.spec("PLAT-91", "PLAT-110")
async def test_forwarding_headers_of_a_stranger_change_nothing(mallory: Attacker) -> None:
    answer = await mallory.get(
        "/where",
        "x-forwarded-for: 10.1.1.1",
        "x-forwarded-host: evil.example",
        "x-forwarded-proto: https",
        "x-forwarded-port: 8443",
        "forwarded: for=10.1.1.1;host=evil.example;proto=https",
        "x-original-url: /hit",
        "x-rewrite-url: /hit",
    )
    found = json.loads(answer.body)
    assert (found["origin"], found["client"]) == (mallory.target.http, mallory.ip)


TRAVERSALS = [
    "/../secret.txt",
    "/../../outside.txt",
    "/%2e%2e/secret.txt",
    "/%2e%2e%2fsecret.txt",
    "/..%2fsecret.txt",
    "/..%5csecret.txt",
    "/..\\secret.txt",
    "/%252e%252e/secret.txt",
    "/%c0%ae%c0%ae/secret.txt",
    "/%e0%80%ae%e0%80%ae/secret.txt",
    "/..;/secret.txt",
    "/./../secret.txt",
    "/about/../../secret.txt",
    "/about/..%2f..%2fsecret.txt",
    "//secret.txt",
    "/secret.txt",
    "/secret.txt%00.html",
    "/.env",
    "/%2eenv",
    "/.git/config",
    "/_draft.html",
    "/%5fdraft.html",
    "/page.html.j2",
    "/page.html%2ej2",
    "/hooks.py",
    "/realtime.toml",
    "/link.txt",
    "/folder/outside.txt",
    "/live/ledger.py",
    "/live/../hooks.py",
    "/live/..%2f..%2fsecret.txt.js",
    "/live/../../secret.txt.js",
    "/live/%2e%2e/hooks.js",
    "/live/hooks.js",
    "/live//etc/passwd.js",
    "/etc/passwd",
    "//etc/passwd",
    "/index.html/../../secret.txt",
    "/index.html%00",
    "/C:/secret.txt",
    "/~root/secret.txt",
    "file:///etc/passwd",
    "http://127.0.0.1/../secret.txt",
]


@pytest.mark.spec("PLAT-86")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_no_path_leads_out_of_the_folder(mallory: Attacker, method: str) -> None:
    for path in TRAVERSALS:
        answer = await mallory.get(path, method=method)
        assert answer.status in (400, 404, 405), (path, answer.raw[:100])
        for text in (SECRET, TOKEN, "root:", "SESSIONS", "guard(authenticated"):
            assert text.encode() not in answer.raw, path


@pytest.mark.spec("PLAT-85")
@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/about",
        "/%2fevil.example/about",
        "/%2f%2fevil.example/about",
        "/\\evil.example/about",
        "/%5cevil.example/about",
        "/about%0d%0alocation:%20http://evil.example",
        "/about?next=//evil.example",
        "///about",
        "/about%00",
    ],
)
async def test_no_redirect_leads_to_another_site(mallory: Attacker, path: str) -> None:
    answer = await mallory.get(path)
    to = answer.get("location")
    assert to is None or (to.startswith("/") and to[1:2] not in ("/", "\\")), to
    assert to is not None or answer.status in (400, 404), answer.raw[:100]


SPLITTING = [
    "x%0d%0aset-cookie:%20sid=evil",
    "x%0aset-cookie:%20sid=evil",
    "x%0dset-cookie:%20sid=evil",
    "x%00",
    "%0d%0a%0d%0a<script>alert(1)</script>",
    "%c4%8a%c4%8dset-cookie:%20sid=evil",  # U+010A and U+010D, whose low bytes are LF and CR
    "x%e5%98%8a%e5%98%8dset-cookie:%20sid=evil",
]


@pytest.mark.spec("PLAT-115")
@pytest.mark.parametrize("value", SPLITTING)
@pytest.mark.parametrize("path", ["/header?v=", "/go?to=", "/cookie?path=/", "/header?v=1&n=x-"])
async def test_what_a_client_says_never_begins_a_header(mallory: Attacker, path: str, value: str) -> None:
    answer = await mallory.get(f"{path}{value}")
    assert answer.status in (200, 307, 500)
    assert not any("evil" in given for name, given in answer.headers if name == "set-cookie")
    assert answer.raw.count(b"\r\n\r\n") == 1
    assert b"<script>" not in answer.raw
    if answer.status == 500:
        assert answer.body == b"Internal Server Error"


@pytest.mark.spec("PLAT-111")
@pytest.mark.parametrize("path", ["/;%20HttpOnly", "/,x", "/%20", "/;domain=evil.example", "/%7f", "/%c2%85"])
async def test_a_cookie_takes_no_further_attributes(mallory: Attacker, path: str) -> None:
    answer = await mallory.get(f"/cookie?path={path}")
    assert (answer.status, answer.get("set-cookie")) == (500, None)


@pytest.mark.spec("PLAT-115", "WIRE-10")
@pytest.mark.parametrize("given", ["a b", "a\x7f", "\xe9", "x" * 129, "", "a\tb"])
async def test_a_request_id_of_the_client_is_not_taken_as_it_is(mallory: Attacker, given: str) -> None:
    answer = await mallory.get("/where", f"x-request-id: {given}")
    assert answer.status in (200, 400)
    assert not any(given and given in value for name, value in answer.headers if "request-id" in name)


@pytest.mark.spec("PLAT-109")
@pytest.mark.parametrize(
    "headers", [("cookie: sid=x",), ("authorization: Bearer x",), ("x-api-key: x",), ("COOKIE: sid=x",)]
)
async def test_what_comes_with_credentials_is_not_compressed(
    mallory: Attacker, headers: tuple[str, ...]
) -> None:
    plain = await mallory.get("/large", "accept-encoding: br, gzip", *headers)
    assert (plain.get("content-encoding"), len(plain.body)) == (None, 4_000_000)
    packed = await mallory.get("/large", "accept-encoding: gzip")
    assert packed.get("content-encoding") == "gzip"


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("authorization: Bearer wrong",),
        (f"authorization: Basic {TOKEN}",),
        (f"authorization: Bearer {TOKEN}x",),
        (f"authorization: Bearer {TOKEN[:-1]}",),
        (f"cookie: token={TOKEN}",),
        ("x-scrape-token: ",),
        ("x-forwarded-for: 127.0.0.1",),
    ],
)
async def test_metrics_are_for_who_has_the_token(mallory: Attacker, headers: tuple[str, ...]) -> None:
    answer = await mallory.get("/metrics", *headers)
    assert (answer.status, answer.body) == (401, b"")
    assert (await mallory.get(f"/metrics?token={TOKEN}")).status == 401


async def test_answers_say_nothing_of_the_server(mallory: Attacker) -> None:
    for path in ("/", "/nothing", "/healthz", "/readyz", "/header?v=%0a", "/ws", "/live/client.js"):
        answer = await mallory.get(path)
        names = {name for name, _ in answer.headers}
        assert not names & {"server", "x-powered-by"}, path
        assert answer.get("x-content-type-options") == "nosniff", path
        for text in (b"Traceback", b"/work", b"site-packages", b"starlette", b"uvicorn", b"Python"):
            assert text not in answer.raw or path == "/live/client.js", (path, text)
