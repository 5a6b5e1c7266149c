"""Who is let in: the checks in order, the hook, the request id. Spec: platform 1.5 and 1.6, wire 1.1 to 1.3."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import UserDict
from typing import Any

import pytest

from runtime.core.settings import (
    DevSettings,
    ServerSettings,
    Settings,
    UpgradeAdmissionSettings,
    WebSocketSettings,
)
from runtime.live.problems import LoadProblem
from runtime.server.assembly import Runtime, assemble
from runtime.server.hooks import Hook, HookSet
from runtime.server.upgrade import (
    FAILED,
    FOREIGN_PAGE,
    NO_CAPACITY,
    NOT_READY,
    Accepted,
    Refused,
    UpgradeResponse,
    decide,
)
from runtime.testing import FakeClock


class Account(list[str]):
    """A user of the app's own kind that has nothing yet."""


EMPTY = Account()
HOST = ("host", "app.example")
ORIGIN = ("origin", "http://app.example")


def runtime(
    upgrade: Any = None,
    *,
    env: str = "test",
    skip_origin_check: bool = False,
    server: dict[str, Any] | None = None,
    **websocket: Any,
) -> Runtime:
    made = assemble(
        None,
        Settings(
            server=ServerSettings(env=env, **(server or {})),
            websocket=WebSocketSettings(**websocket),
            dev=DevSettings(skip_origin_check=skip_origin_check),
        ),
        clock=FakeClock(),
    )
    made.is_ready = True
    made.upgrading = 1  # the request that the test asks about
    if upgrade is not None:
        made.set_hooks(HookSet({"upgrade": Hook("upgrade", upgrade)}))
    return made


def scope(*headers: tuple[str, str], **fields: Any) -> dict[str, Any]:
    return {
        "type": "websocket",
        "scheme": "ws",
        "path": "/ws",
        "query_string": b"",
        "client": ("10.0.0.7", 4711),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        **fields,
    }


async def accepted(on: Runtime, *headers: tuple[str, str], **fields: Any) -> Accepted:
    decision = await decide(on, scope(*(headers or (HOST, ORIGIN)), **fields))
    assert isinstance(decision, Accepted), decision
    return decision


@pytest.mark.spec("PLAT-14", "WIRE-3")
async def test_the_checks_come_in_order_and_the_first_that_fails_answers() -> None:
    """Everything is wrong at first; what is refused is put right, one after the other, and the next check answers."""
    ran: list[str] = []

    def hook() -> Any:
        ran.append("hook")
        return False

    on = runtime(
        hook,
        max_connections=2,
        upgrade_admission=UpgradeAdmissionSettings(max_concurrent=1),
        upgrade_rate_limit=1,
        server={"allowed_hosts": ("app.example",)},
    )
    asking = {"headers": [(b"host", b"evil.example"), (b"origin", b"http://evil.example")]}
    on.is_ready = False
    on.upgrading = 2
    on.connections["other"] = object()
    on.hooks_problem = LoadProblem("hooks.py", 1, "SyntaxError", "bad")
    assert on.edge.may_upgrade("10.0.0.7")
    answers = []

    async def ask() -> None:
        answers.append(await decide(on, scope(**asking)))

    await ask()
    on.is_ready = True
    await ask()
    on.upgrading, on.connections["another"] = 1, object()
    await ask()
    on.connections.clear()
    await ask()
    await on.clock.advance(20)
    await ask()
    asking["headers"] = [(b"host", b"app.example"), (b"origin", b"http://evil.example")]
    await on.clock.advance(20)
    await ask()
    on.hooks_problem = None
    await on.clock.advance(20)
    await ask()
    assert ran == []
    asking["headers"] = [(b"host", b"app.example"), (b"origin", b"http://app.example")]
    await on.clock.advance(20)
    await ask()
    assert ran == ["hook"]
    assert answers == [
        Refused(503, "Server is not ready, please retry", "unready"),
        Refused(503, "Server is at upgrade capacity, please retry", "admission"),
        Refused(503, "Server is at connection capacity, please retry", "capacity"),
        Refused(429, "Too many upgrade requests", "rate"),
        Refused(400, "Invalid host", "host"),
        Refused(500, "WebSocket handler failed to load", "error"),
        Refused(403, "Origin not allowed", "origin"),
        Refused(401, "Unauthorized", "denied"),
    ]
    refusals = {
        rule: on.metrics.get("security_refusals_total", rule) for rule in ("upgrade_rate", "host", "origin")
    }
    assert refusals == {"upgrade_rate": 1, "host": 1, "origin": 1}


async def test_requests_on_their_way_count_as_connections() -> None:
    on = runtime(max_connections=2)
    on.connections["one"] = object()
    await accepted(on)
    on.upgrading = 2
    assert await decide(on, scope(HOST, ORIGIN)) == NO_CAPACITY


async def test_a_shutdown_during_the_hook_refuses() -> None:
    on = runtime(lambda: setattr(on, "is_ready", False))
    assert await decide(on, scope(HOST, ORIGIN)) == NOT_READY


@pytest.mark.parametrize("second", ["http://app.example", "http://evil.example"])
async def test_two_origins_are_refused(second: str) -> None:
    assert await decide(runtime(), scope(HOST, ORIGIN, ("origin", second))) == FOREIGN_PAGE


@pytest.mark.spec("WIRE-8")
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (False, Refused(401, "Unauthorized", "denied")),
        (RuntimeError("secret"), Refused(500, "Internal Server Error", "error")),
        (TimeoutError("of the database"), Refused(500, "Internal Server Error", "error")),
        (asyncio.CancelledError(), Refused(500, "Internal Server Error", "error")),
        (asyncio.Event, Refused(504, "Upgrade timed out", "timeout")),
    ],
)
async def test_a_hook_that_refuses_fails_or_hangs(answer: Any, expected: Refused) -> None:
    async def upgrade() -> Any:
        if isinstance(answer, BaseException):
            raise answer
        if answer is asyncio.Event:
            await asyncio.Event().wait()
        return answer

    on = runtime(upgrade, upgrade_timeout=0.01)
    assert await decide(on, scope(HOST, ORIGIN)) == expected
    failed = expected.status == 500
    assert on.metrics.get("hook_errors_total", "upgrade") == int(failed)


@pytest.mark.spec("WIRE-8")
@pytest.mark.parametrize(
    ("answer", "user", "has_user"),
    [
        ({"id": 7}, {"id": 7}, True),
        ("anybody", "anybody", True),
        ({}, {}, True),
        (UserDict(), UserDict(), True),
        (EMPTY, EMPTY, True),
        (True, True, True),
        (None, None, False),
        ("", None, False),
        (0, None, False),
        (0.0, None, False),
        (b"", None, False),
        ([], None, False),
        ((), None, False),
        (set(), None, False),
        (UpgradeResponse(), None, False),
        (UpgradeResponse(""), None, False),
        (UpgradeResponse(False), None, False),
        (UpgradeResponse({}), {}, True),
        (UpgradeResponse({"id": 7}), {"id": 7}, True),
    ],
)
async def test_anything_else_accepts_and_is_the_user(answer: Any, user: Any, has_user: bool) -> None:
    handshake = (await accepted(runtime(lambda: answer))).handshake
    assert (handshake.user_data, handshake.has_user) == (user, has_user)


async def test_without_a_hook_everybody_of_this_origin_is_in_and_nobody() -> None:
    decision = await accepted(runtime(), HOST, ORIGIN, path="/rt/ws", client=None)
    assert decision.headers == []
    handshake = decision.handshake
    assert (handshake.user_data, handshake.has_user) == (None, False)
    assert (handshake.remote_address, handshake.path) == ("", "/rt/ws")


@pytest.mark.parametrize(("scheme", "origin"), [("ws", "http://app.example"), ("wss", "https://app.example")])
async def test_the_handshake_knows_the_peer(scheme: str, origin: str) -> None:
    decision = await accepted(runtime(), HOST, ("origin", origin), scheme=scheme)
    handshake = decision.handshake
    assert (handshake.remote_address, handshake.origin, handshake.is_secure) == (
        "10.0.0.7",
        origin,
        scheme == "wss",
    )


@pytest.mark.spec("WIRE-2")
async def test_the_hook_sees_the_whole_request() -> None:
    seen: dict[str, Any] = {}

    async def upgrade(**values: Any) -> None:
        seen.update(values)

    await accepted(
        runtime(upgrade),
        HOST,
        ORIGIN,
        ("cookie", "a=1"),
        ("cookie", "b=2; a=3"),
        ("x-many", "1"),
        ("x-many", "2"),
        ("x-request-id", "r-1"),
        query_string=b"token=%20x&y=1",
    )
    platform = seen.pop("platform")
    assert platform.request_id == "r-1"
    assert dict(seen.pop("cookies")) == {"a": "1", "b": "2"}
    assert seen.pop("headers")["x-many"] == "1, 2"
    assert seen == {
        "url": "/ws?token=%20x&y=1",
        "query": "token=%20x&y=1",
        "remote_address": "10.0.0.7",
        "request_id": "r-1",
    }


@pytest.mark.spec("WIRE-9")
async def test_headers_of_the_answer_are_repeated_for_lists() -> None:
    answer = UpgradeResponse(headers={"X-Hello": "wörld", "Set-Cookie": ["a=1", "b=2"], "x-none": []})
    assert (await accepted(runtime(lambda: answer))).headers == [
        (b"x-hello", "wörld".encode("latin-1")),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
    ]


@pytest.mark.parametrize(
    "headers",
    [
        {"x": "a\r\nset-cookie: evil=1"},
        {"x\n": "a"},
        {"x": ["fine", "a\0b"]},
        {"": "a"},
        {"two words": "a"},
        {"colon:": "a"},
        {" ": "a"},
        {"x": "snowman \N{SNOWMAN}"},
        {"x": "low byte is a line feed: \u010a"},
        {"x": "\n"},
        {"Sec-WebSocket-Accept": "x"},
        {"sec-websocket-protocol": "x"},
        {"Connection": "close"},
        {"transfer-encoding": "chunked"},
        {"Content-Length": "5"},
        {"Upgrade": ["h2c"]},
        {"x": 5},
        {"x": [b"bytes"]},
        {5: "x"},
    ],
)
@pytest.mark.spec("PLAT-13", "PLAT-115")
async def test_headers_that_cannot_be_sent_refuse(
    headers: dict[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    on = runtime(lambda: UpgradeResponse(headers=headers))
    assert await decide(on, scope(HOST, ORIGIN)) == FAILED
    assert "hook upgrade" in caplog.text


@pytest.mark.spec("WIRE-10")
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("r-1", "r-1"),
        ("  r-1\t", "r-1"),
        ("!~", "!~"),
        ("x" * 128, "x" * 128),
        ("x" * 129, None),
        ("", None),
        ("   ", None),
        ("two words", None),
        ("tab\tinside", None),
        ("ümlaut", None),
        ("del\x7f", None),
        (None, None),
    ],
)
async def test_a_request_id_is_taken_if_it_is_visible_ascii(sent: str | None, kept: str | None) -> None:
    extra = [] if sent is None else [("x-request-id", sent)]
    handshake = (await accepted(runtime(), HOST, ORIGIN, *extra)).handshake
    if kept is None:
        assert uuid.UUID(handshake.request_id).version == 4
    else:
        assert handshake.request_id == kept


@pytest.mark.spec("WIRE-6")
async def test_a_client_without_an_origin_needs_a_hook() -> None:
    assert await decide(runtime(), scope(HOST)) == FOREIGN_PAGE
    await accepted(runtime(lambda: None), HOST)
    await accepted(runtime(allowed_origins="*"), HOST)


@pytest.mark.parametrize(
    ("env", "skip", "allowed"), [("dev", True, True), ("dev", False, False), ("production", True, False)]
)
async def test_only_dev_may_skip_the_origin_check(env: str, skip: bool, allowed: bool) -> None:
    on = runtime(env=env, skip_origin_check=skip, server={"allowed_hosts": ("app.example",)})
    decision = await decide(on, scope(HOST, ("origin", "http://localhost:5173")))
    assert isinstance(decision, Accepted) is allowed


@pytest.mark.spec("PLAT-12")
async def test_what_a_hook_says_after_its_time_is_not_heard() -> None:
    async def upgrade() -> dict[str, int]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return {"id": 1}

    on = runtime(upgrade, upgrade_timeout=0.01)
    assert await decide(on, scope(HOST, ORIGIN)) == Refused(504, "Upgrade timed out", "timeout")


@pytest.mark.parametrize(
    ("env", "server", "websocket", "origin", "hint"),
    [
        (
            "production",
            {},
            {},
            "https://app.example",
            "the app's own pages are those of 'http://app.example'",
        ),
        ("production", {}, {}, None, "only an upgrade hook can let programs in"),
        (
            "production",
            {"origin": "https://a.example"},
            {},
            "http://b.example",
            "[server] origin is 'https://a.ex",
        ),
        ("dev", {"origin": "https://app.example"}, {}, "http://app.example", "below [env.production.server]"),
        (
            "dev",
            {"allowed_hosts": ["app.example"]},
            {"allowed_origins": ["https://a.example"]},
            "http://app.example",
            "below [env.production.websocket]",
        ),
    ],
)
async def test_a_refused_page_is_told_why_in_the_log(
    env: str,
    server: dict[str, Any],
    websocket: dict[str, Any],
    origin: str | None,
    hint: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    on = runtime(env=env, server=server, **websocket)
    headers = [HOST] if origin is None else [HOST, ("origin", origin)]
    for _ in range(2):
        assert await decide(on, scope(*headers)) == FOREIGN_PAGE
    told = [record.getMessage() for record in caplog.records if "refused a connection" in record.getMessage()]
    assert len(told) == 1
    assert hint in told[0]
