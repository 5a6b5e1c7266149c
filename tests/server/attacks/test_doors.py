"""Who may connect and sign in: foreign pages, stolen and forged cookies. Platform 5.6, 5.8 and 5.9."""

from __future__ import annotations

import json

import pytest

from tests.server.attacks.people import Attacker, chat, upgrade_head
from tests.server.attacks.target import MALLORY, SECRET, VICTIM

FOREIGN = [
    "null",
    "https://evil.example",
    "https://{address}",
    "http://127.0.0.1",
    "http://localhost:{port}",
    "http://{address}.evil.example",
    "http://{address}@evil.example",
    "http://evil.example@{address}",
    "http://@{address}",
    "http://{address}/",
    "http://{address}/path",
    "http://{address}?",
    "http://{address}#x",
    "http://{address}\\@evil.example",
    "http://evil.example, http://{address}",
    "http://{address} http://evil.example",
    "ws://{address}",
    "file://",
    "chrome-extension://abcdefghijklmnop",
    "http://127.1:{port}",
    "http://2130706433:{port}",
    "http://[::ffff:127.0.0.1]:{port}",
    "//{address}",
    "{address}",
    "*",
    "http://*",
    "",
]


@pytest.mark.spec("PLAT-110", "PLAT-167")
async def test_no_foreign_page_connects_with_the_victims_cookie(mallory: Attacker) -> None:
    target = mallory.target
    before = (await mallory.counts())["upgrade"]
    for pattern in FOREIGN:
        somebody = Attacker(target)  # so that it is the origin that refuses, not the rate
        origin = pattern.format(address=target.address, port=target.address.split(":")[1])
        head = upgrade_head(target, f"origin: {origin}", sid=VICTIM, origin=None)
        async with somebody.peer(head) as peer:
            assert peer.status == "403 Forbidden", (origin, peer.status)
    assert (await mallory.counts())["upgrade"] == before


@pytest.mark.spec("PLAT-110")
@pytest.mark.parametrize("twice", [("{http}", "http://evil.example"), ("http://evil.example", "{http}")])
async def test_two_origins_are_none(mallory: Attacker, twice: tuple[str, str]) -> None:
    target = mallory.target
    headers = [f"origin: {one.format(http=target.http)}" for one in twice]
    async with mallory.peer(upgrade_head(target, *headers, sid=VICTIM, origin=None)) as peer:
        # The handshake itself wants one; without it the rule of the origin would say 403.
        assert peer.status in ("400 Bad Request", "403 Forbidden")


@pytest.mark.spec("PLAT-110")
async def test_a_page_under_another_name_of_the_host_is_refused(mallory: Attacker) -> None:
    target = mallory.target
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "127.0.0.1:1@evil.example"):
        head = upgrade_head(target, sid=VICTIM, origin=f"http://{host}").replace(
            f"host: {target.address}".encode(), f"host: {host}".encode()
        )
        async with mallory.peer(head) as peer:
            assert peer.status.startswith("400"), (host, peer.status)


SIGN_IN = [
    ("origin: http://evil.example",),
    ("origin: null",),
    ("origin: http://{address}.evil.example",),
    ("content-type: text/plain", "origin: http://evil.example", "sec-fetch-site: cross-site"),
    ("content-type: application/x-www-form-urlencoded", "sec-fetch-site: same-site"),
    ("x-requested-with: xmlhttprequest2",),
    ("x-requested-with: XMLHttpRequest", "sec-fetch-site: cross-site", "origin: http://evil.example"),
    ("x-requested-with: XMLHttpRequest", "x-requested-with: other"),
    ("sec-fetch-site: same-origin", "sec-fetch-site: cross-site"),
    ("referer: http://{address}/",),
    ("x-http-method-override: GET",),
    (),
]


@pytest.mark.spec("PLAT-108", "PLAT-167")
@pytest.mark.parametrize("headers", SIGN_IN)
async def test_a_foreign_page_does_not_reach_the_authenticate_hook(
    mallory: Attacker, headers: tuple[str, ...]
) -> None:
    before = (await mallory.counts())["auth"]
    given = [header.format(address=mallory.target.address) for header in headers]
    answer = await mallory.get(
        "/__ws/auth", f"cookie: sid={VICTIM}", "content-length: 0", *given, method="POST"
    )
    assert (answer.status, answer.body) == (403, b"Origin not allowed")
    assert (await mallory.counts())["auth"] == before


@pytest.mark.spec("PLAT-108")
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_no_other_method_signs_in_and_no_preflight_is_approved(mallory: Attacker, method: str) -> None:
    before = (await mallory.counts())["auth"]
    answer = await mallory.get(
        "/__ws/auth",
        f"cookie: sid={VICTIM}",
        "x-requested-with: XMLHttpRequest",
        "origin: http://evil.example",
        "access-control-request-method: POST",
        "access-control-request-headers: x-requested-with",
        "x-http-method-override: POST",
        method=method,
    )
    assert answer.status == 405
    assert not any(name.startswith("access-control") for name, _ in answer.headers)
    assert (await mallory.counts())["auth"] == before


# What of a `Cookie` header makes somebody the victim who is not; the first value is the one that counts.
COOKIES = [
    (f"sid={MALLORY}; sid={VICTIM}", "mallory"),
    (f"sid={MALLORY};sid={VICTIM}; SID={VICTIM}", "mallory"),
    (f"SID={VICTIM}", None),
    (f"%73id={VICTIM}", None),
    (f"__Host-sid={VICTIM}", None),
    (f"sid ={MALLORY}", "mallory"),
    (f'sid="{MALLORY}"', "mallory"),
    (f"sid={MALLORY}%00", None),
    (f"sid={MALLORY}%3B%20sid={VICTIM}", None),
    (f"a=b, sid={VICTIM}", None),
    (f"=sid={VICTIM}", None),
    (f"sid={VICTIM}.", None),
    ("__class__=1; __init__=2; get=3; sid=", None),
    ("; ".join(f"c{n}=1" for n in range(200)) + f"; sid={VICTIM}", None),
    (f"a={'x' * 17_000}; sid={VICTIM}", None),
    ("sid[]=" + VICTIM, None),
    ("sid=" + "%ff" * 50, None),
    (";" * 5000, None),
]


@pytest.mark.spec("PLAT-111", "WIRE-11")
async def test_no_cookie_makes_somebody_of_anybody(mallory: Attacker) -> None:
    for header, user in COOKIES:
        somebody = Attacker(mallory.target)
        async with somebody.peer(upgrade_head(mallory.target, f"cookie: {header}", sid=None)) as peer:
            if user is None:
                assert peer.status.split()[0] in ("401", "431"), (header[:80], peer.status)
                continue
            talk = chat(peer)
            talk.write({"type": "subscribe", "topic": f"room:{user}", "ref": 1})
            assert (await talk.until(lambda one: one.get("ref") == 1))["type"] == "subscribed", header


@pytest.mark.spec("PLAT-111")
async def test_two_cookie_headers_are_read_in_their_order(mallory: Attacker) -> None:
    head = upgrade_head(mallory.target, f"cookie: sid={MALLORY}", f"cookie: sid={VICTIM}", sid=None)
    async with mallory.peer(head) as peer:
        if peer.status.startswith("101"):
            talk = chat(peer)
            talk.write({"type": "subscribe", "topic": "room:victim", "ref": 1})
            assert (await talk.until(lambda one: one.get("ref") == 1))["reason"] == "FORBIDDEN"


async def test_the_session_id_of_somebody_else_is_worth_nothing(mallory: Attacker) -> None:
    async with mallory.peer(upgrade_head(mallory.target, sid=VICTIM)) as peer:
        welcome = await chat(peer).until(lambda one: one["type"] == "welcome")
    async with mallory.peer() as peer:
        talk = chat(peer)
        talk.write(
            {"type": "resume", "sessionId": welcome["sessionId"], "lastSeenSeqs": {"room:victim": 0}},
            {"type": "subscribe", "topic": "room:victim", "ref": 1},
        )
        assert (await talk.until(lambda one: one.get("ref") == 1))["reason"] == "FORBIDDEN"
        assert SECRET not in await talk.settle()


@pytest.mark.parametrize(
    ("change", "by"),
    [
        ("sec-websocket-version: 13", "sec-websocket-version: 12"),
        ("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-key: short"),
        ("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "x-no-key: 1"),
        ("upgrade: websocket", "upgrade: h2c"),
        ("connection: Upgrade", "connection: close"),
        ("GET /ws HTTP/1.1", "POST /ws HTTP/1.1"),
        ("GET /ws HTTP/1.1", "GET /ws HTTP/1.0"),
        ("GET /ws HTTP/1.1", "GET //ws HTTP/1.1"),
        ("GET /ws HTTP/1.1", "GET /ws/../ws2 HTTP/1.1"),
    ],
)
async def test_a_handshake_of_another_shape_is_refused(mallory: Attacker, change: str, by: str) -> None:
    head = upgrade_head(mallory.target).replace(change.encode(), by.encode())
    async with mallory.peer(head) as peer:
        assert int(peer.status.split()[0]) >= 400, peer.status
        assert peer.headers.get("x-content-type-options") == "nosniff"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (("origin: http://evil.example",), 403),
        (("cookie: sid=nobody",), 401),
        (("x-a: 1",), 401),
    ],
)
async def test_who_is_refused_gets_a_text_that_is_no_page(
    mallory: Attacker, headers: tuple[str, ...], status: int
) -> None:
    own = any(header.startswith("origin") for header in headers)
    async with mallory.peer(
        upgrade_head(mallory.target, *headers, sid=None, origin=None if own else "")
    ) as peer:
        assert peer.status.startswith(f"{status} ")
        assert peer.headers["x-content-type-options"] == "nosniff"
        assert peer.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.spec("PLAT-167")
async def test_each_refusal_is_counted_under_its_rule(mallory: Attacker) -> None:
    target, refusals = mallory.target, "realtime_security_refusals_total{rule="
    expected = {
        'realtime_ws_upgrades_total{outcome="origin"}': ["ws", "origin: http://evil.example"],
        f'{refusals}"origin"}}': ["ws", "origin: http://evil.example"],
        'realtime_ws_upgrades_total{outcome="denied"}': ["ws", f"origin: {target.http}"],
        f'{refusals}"auth_origin"}}': ["/__ws/auth", "origin: http://evil.example"],
        f'{refusals}"metrics_token"}}': ["/metrics", "authorization: Bearer x"],
        f'{refusals}"body_limit"}}': ["/echo", "content-length: 900000"],
    }
    for series, (where, header) in expected.items():
        somebody, before = Attacker(target), await mallory.metric(series)
        if where == "ws":
            async with somebody.peer(upgrade_head(target, header, sid=None, origin=None)):
                pass
        else:
            method = "GET" if where == "/metrics" else "POST"
            await somebody.get(where, header, method=method)
        assert await mallory.metric(series) == before + 1, series
    assert json.loads((await mallory.get("/seen")).body)
