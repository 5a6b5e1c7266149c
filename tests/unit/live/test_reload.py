"""How subscribers of changed streams get their new value after a reload. Spec: live-api 21.1."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns

HEAD = "from runtime import LiveError, Page, live\nimport asyncio\n"
ROWS = HEAD + "@live.stream(OPTIONS)\nasync def rows(ctx, n: int = 0):\n    BODY\n"


def source(options: str = '"rows"', body: str = "return [n]") -> str:
    return ROWS.replace("OPTIONS", options).replace("BODY", body)


async def subscribed(make_app: AppFactory, first: str, *args: Any) -> tuple[App, Peer]:
    app = await make_app({"live/a.py": first}, env="dev")
    peer = await app.connect()
    assert (await peer.stream("a/rows", *args))["ok"] is True
    return app, peer


async def change(app: App, second: str) -> None:
    app.write("live/a.py", second)
    assert (await app.runtime.live.reload([app.project / "live/a.py"])).ok
    await turns(20)


def resubscribe(peer: Peer) -> Any:
    return peer.events("__realtime")[-1][1]["resubscribe"]


@pytest.mark.spec("LIVE-173")
@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("return [n, 'new']", [3, "new"]),
        ("return Page([n], True, 5)", [3]),
        ("return {'data': [n], 'hasMore': False}", [3]),
        ("return {'data': [n]}", {"data": [3]}),
        ("return None", None),
    ],
)
async def test_the_new_value_comes_as_refreshed(make_app: AppFactory, body: str, value: Any) -> None:
    app, peer = await subscribed(make_app, source(), 3)
    await change(app, source(body=body))
    assert peer.events("rows") == [("refreshed", value)]
    assert resubscribe(peer) == []


@pytest.mark.parametrize(
    "options",
    [
        '"rows", merge="set"',
        '"rows", key="uid"',
        '"rows", max=5',
        '"rows", prepend=True',
        '"other"',
        'lambda n: f"rows:{n}"',
        'lambda a, b, c: "rows"',
    ],
)
async def test_other_options_for_the_client_ask_for_a_new_subscription(
    make_app: AppFactory, options: str
) -> None:
    app, peer = await subscribed(make_app, source(), 3)
    await change(app, source(options))
    assert resubscribe(peer) == ["a/rows"]
    assert peer.events("rows") == []


async def test_arguments_that_fit_no_longer_ask_for_a_new_subscription(make_app: AppFactory) -> None:
    app, peer = await subscribed(make_app, source(), 3)
    await change(app, source().replace("n: int = 0", "n: str = ''"))
    assert resubscribe(peer) == ["a/rows"]


@pytest.mark.parametrize("second", [HEAD, HEAD + "@live\nasync def rows(ctx): ...\n"])
async def test_a_stream_that_is_none_any_more_stays_silent(make_app: AppFactory, second: str) -> None:
    app, peer = await subscribed(make_app, source())
    await change(app, second)
    assert resubscribe(peer) == []
    assert peer.events("rows") == []
    assert peer.connection.is_subscribed("rows")


@pytest.mark.parametrize(
    ("body", "remains", "text"),
    [
        ("raise RuntimeError('broken')", True, "failed to load again"),
        ("raise asyncio.CancelledError", True, "failed to load again"),
        ("return object()", True, "failed to load again"),
        ("raise LiveError('OVERLOADED')", True, "was not refreshed"),
        ("raise LiveError('FORBIDDEN')", False, "its subscription has ended"),
    ],
)
async def test_a_loader_that_fails_keeps_what_there_is_and_one_that_refuses_ends_it(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture, body: str, remains: bool, text: str
) -> None:
    app, peer = await subscribed(make_app, source())
    with caplog.at_level(logging.WARNING):
        await change(app, source(body=body))
    assert text in caplog.text
    assert peer.events("rows") == []
    assert peer.connection.is_subscribed("rows") is remains
    app.runtime.platform.publish("rows", "created", 1)
    await turns()
    assert peer.events("rows") == ([("created", 1)] if remains else [])


@pytest.mark.parametrize("refusal", ["access=lambda ctx, n: False", "access=lambda ctx, n: n > 5"])
async def test_access_is_asked_again(make_app: AppFactory, refusal: str) -> None:
    app, peer = await subscribed(make_app, source(), 3)
    await change(app, source(f'"rows", {refusal}'))
    assert peer.events("rows") == []
    assert not peer.connection.is_subscribed("rows")


async def test_a_gate_that_closes_ends_the_subscription(make_app: AppFactory) -> None:
    app, peer = await subscribed(make_app, source())
    await change(app, source().replace("@live.stream", "@live.gate(lambda ctx, *args: False)\n@live.stream"))
    assert not peer.connection.is_subscribed("rows")


async def test_middleware_guard_and_before_execute_see_a_refresh(make_app: AppFactory) -> None:
    app, peer = await subscribed(make_app, source())
    checks = """
log = live.keep("log", list)
def _guard(ctx): log.append("guard")
@live.middleware
async def middleware(ctx, next):
    log.append("middleware")
    return await next()
live.message_options(before_execute=lambda ws, path, args: log.append((path, args)))
"""
    await change(app, source(body="log.append('load'); return [n]") + checks)
    log = app.runtime.live.registry.modules["a"].module.log
    assert log == ["middleware", "guard", ("a/rows", []), "load"]
    assert peer.events("rows") == [("refreshed", [0])]


async def test_many_subscribers_are_refreshed_a_few_at_a_time(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": source()}, env="dev")
    peers = [await app.connect() for _ in range(40)]
    for peer in peers:
        await peer.stream("a/rows")
    busy = HEAD + (
        "now = live.keep('now', lambda: [0, 0])\n"
        "@live.stream('rows')\n"
        "async def rows(ctx, n: int = 0):\n"
        "    now[0] += 1\n"
        "    now[1] = max(now)\n"
        "    await asyncio.sleep(0)\n"
        "    now[0] -= 1\n"
        "    return ['new']\n"
    )
    await change(app, busy)
    await turns(100)
    assert all(peer.events("rows") == [("refreshed", ["new"])] for peer in peers)
    assert 1 < app.runtime.live.registry.modules["a"].module.now[1] <= 16
