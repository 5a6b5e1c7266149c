"""Webhooks, by their `handle` and over HTTP. Spec: live-api 13."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import importlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime import PlatformNotReady, create_app, live
from runtime.core.settings import ServerSettings, Settings
from runtime.live import collector
from runtime.live.webhook import LINES_PER_MINUTE
from runtime.plugins.dedup import Dedup
from runtime.testing import FakeClock, eventually
from tests.server.conftest import AppFactory
from tests.server.peers import App, turns, write_file

HOOKS = """
    # realtime-allow-public
    import json
    from runtime import live

    seen = live.keep("seen", list)

    def verify(body, headers):
        assert isinstance(body, bytes)
        seen.append((body, dict(headers)))
        if headers.get("x-key") != "right":
            raise PermissionError("wrong key")
        return json.loads(body)

    async def transform(event):
        if event == "boom":
            raise ValueError("boom")
        if event.get("skip"):
            return None
        return event.get("as", {"event": "paid", "data": event})

    payments = live.webhook("payments", verify=verify, transform=transform)
    once = live.webhook(
        "once", verify=verify, transform=transform, path="/hooks/once", dedupe_key=lambda event: event.get("id"),
        dedupe_ttl=100, max_body=600_000,
    )
"""
RIGHT = {"X-Key": "right", "Content-Type": "application/json"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def app(make_app: AppFactory, clock: FakeClock) -> App:
    return await make_app({"live/m.py": HOOKS}, clock=clock)


def module(app: App) -> Any:
    return app.runtime.live.registry.modules["m"].module


async def deliver(app: App, name: str, event: Any, **headers: str) -> tuple[int, str]:
    body = json.dumps(event).encode()
    made = await getattr(module(app), name).handle(
        body=body, headers={**RIGHT, **headers}, platform=app.runtime.platform
    )
    return made.status, made.body


@pytest.mark.spec("LIVE-135")
async def test_a_verified_event_is_published_and_anything_else_is_not(app: App) -> None:
    ann = await app.connect("ann")
    ann.send({"type": "subscribe", "topic": "payments", "ref": 1})
    await ann.wait(lambda frame: frame.get("ref") == 1)
    assert await deliver(app, "payments", {"n": 1}) == (200, "OK")
    assert await deliver(app, "payments", {"skip": True}) == (200, "Ignored")
    assert await deliver(app, "payments", {"n": 2}, **{"X-Key": "wrong"}) == (400, "Verification failed")
    assert await deliver(app, "payments", {"as": ["named", 3]}) == (200, "OK")
    assert await deliver(app, "payments", {"as": {"event": "bare"}}) == (200, "OK")
    await ann.wait(lambda frame: frame.get("event") == "bare")
    assert ann.events("payments") == [("paid", {"n": 1}), ("named", 3), ("bare", None)]
    assert app.runtime.metrics.get("security_refusals_total", "webhook") == 1
    assert module(app).seen[0] == (b'{"n": 1}', {"x-key": "right", "content-type": "application/json"})


async def test_text_is_handled_as_its_bytes_by_the_app_that_runs(app: App) -> None:
    made = await module(app).payments.handle(body='{"a": "\u00e9"}', headers=RIGHT)
    assert (made.status, made.body) == (200, "OK")
    assert module(app).seen[-1][0] == '{"a": "\u00e9"}'.encode()
    raw = b'{"a": "\xff"}'
    made = await module(app).payments.handle(body=raw.decode("utf-8", "surrogateescape"), headers=RIGHT)
    assert made.status == 400
    assert module(app).seen[-1][0] == raw
    made = await module(app).payments.handle(body="\ud800", headers=RIGHT)
    assert (made.status, made.body) == (400, "Verification failed")


async def test_without_an_app_there_is_nowhere_to_publish() -> None:
    declared = live.webhook("t", verify=lambda body, headers: 1, transform=lambda event: None)
    with pytest.raises(PlatformNotReady, match="before the app was started"):
        await declared.handle(body=b"", headers={})


@pytest.mark.spec("LIVE-135")
@pytest.mark.parametrize(
    "event",
    [
        "boom",
        {"as": "nonsense"},
        {"as": [1, 2]},
        {"as": {"event": "bad\nname"}},
        [],
        {"as": {}},
        {"as": []},
        {"as": ""},
    ],
)
async def test_a_failure_of_ours_makes_the_sender_try_again(
    app: App, caplog: pytest.LogCaptureFixture, event: Any
) -> None:
    with caplog.at_level(logging.ERROR, "realtime.live"):
        assert await deliver(app, "payments", event) == (500, "Internal Server Error")
    assert "<webhook on 'payments'> failed" in caplog.text


@pytest.mark.spec("LIVE-136")
async def test_a_repeated_key_publishes_once(app: App, clock: FakeClock) -> None:
    ann = await app.connect("ann")
    ann.send({"type": "subscribe", "topic": "once", "ref": 1})
    await ann.wait(lambda frame: frame.get("ref") == 1)
    assert await deliver(app, "once", {"id": "e1"}) == (200, "OK")
    assert await deliver(app, "once", {"id": "e1"}) == (200, "Duplicate")
    assert await deliver(app, "once", {"id": "x" * 5000}) == (200, "OK")
    assert await deliver(app, "once", {"id": "x" * 5000}) == (200, "Duplicate")
    assert await deliver(app, "once", {"id": 7}) == (200, "OK")
    assert await deliver(app, "once", {"id": 7}) == (200, "Duplicate")
    for _ in range(2):
        assert await deliver(app, "once", {"n": 1}) == (200, "OK"), "without a key there is no duplicate"
    assert await deliver(app, "once", {"id": {"a": 1}}) == (500, "Internal Server Error")
    assert await deliver(app, "once", {"id": "e2", "skip": True}) == (200, "Ignored")
    await clock.advance(99.9)
    assert await deliver(app, "once", {"id": "e1"}) == (200, "Duplicate"), "the window is as long as it was"
    await clock.advance(0.2)
    assert await deliver(app, "once", {"id": "e1"}) == (200, "OK")
    await eventually(lambda: [data for _, data in ann.events("once")].count({"id": "e1"}) == 2)


@pytest.mark.spec("LIVE-136")
async def test_a_key_is_free_again_when_publishing_failed(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    for event in ({"id": "e1", "as": [1, 2]}, {"id": "e1", "as": ["bad\nname", 2]}):
        assert (await deliver(app, "once", event))[0] == 500
    assert await deliver(app, "once", {"id": "e1"}) == (200, "OK")
    hanging = asyncio.Event()

    async def never(event: Any) -> None:
        hanging.set()
        await asyncio.Event().wait()

    ids = Dedup(ttl=60)
    slow = live.webhook(
        "slow", verify=lambda body, headers: body, transform=never, dedupe_key=lambda event: "k", dedupe=ids
    )
    running = asyncio.create_task(slow.handle(body=b"", headers={}, platform=app.runtime.platform))
    await hanging.wait()
    assert await ids.size() == 1
    repeated = asyncio.create_task(slow.handle(body=b"", headers={}, platform=app.runtime.platform))
    gone = asyncio.create_task(slow.handle(body=b"", headers={}, platform=app.runtime.platform))
    await turns()
    assert not repeated.done()
    gone.cancel()
    await turns()
    assert not running.done(), "who stops waiting takes nothing from the others"
    with monkeypatch.context() as patched:
        patched.setattr(importlib.import_module("runtime.live.webhook"), "REPEAT_WAIT", 0.01)
        assert (await slow.handle(body=b"", headers={}, platform=app.runtime.platform)).status == 500
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await ids.size() == 0
    assert (await repeated).status == 500, "the sender of what nobody took must send it again"


@pytest.mark.spec("LIVE-136")
@pytest.mark.parametrize(
    ("fails", "answer"), [(True, (500, "Internal Server Error")), (False, (200, "Duplicate"))]
)
async def test_a_repetition_waits_for_how_the_delivery_before_it_ends(
    app: App, fails: bool, answer: tuple[int, str]
) -> None:
    go = asyncio.Event()
    begun = 0

    async def slowly(event: Any) -> tuple[str, None]:
        nonlocal begun
        begun += 1
        await go.wait()
        if fails:
            raise RuntimeError("no")
        return "e", None

    slow = live.webhook(
        "slow",
        verify=lambda body, headers: body,
        transform=slowly,
        dedupe_key=lambda event: "k",
        dedupe=Dedup(ttl=60),
    )
    handle = functools.partial(slow.handle, body=b"", headers={}, platform=app.runtime.platform)
    tasks = [asyncio.create_task(handle()) for _ in range(4)]
    await turns()
    assert not any(task.done() for task in tasks)
    go.set()
    first, *others = [(one.status, one.body) for one in await asyncio.gather(*tasks)]
    assert first[0] == (500 if fails else 200)
    assert others == [answer] * 3
    assert begun == 1
    assert (await handle()).status == (500 if fails else 200)
    assert begun == (2 if fails else 1), "only what failed is done again"


async def test_webhooks_that_share_their_ids_do_not_take_each_others(app: App) -> None:
    ids = Dedup(ttl=60)
    made = [
        live.webhook(
            topic,
            verify=lambda body, headers: body,
            transform=lambda event: ("e", None),
            dedupe_key=lambda event: "same",
            dedupe=ids,
        )
        for topic in ("one", "two")
    ]
    answers = [await one.handle(body=b"", headers={}, platform=app.runtime.platform) for one in made]
    assert [answer.body for answer in answers] == ["OK", "OK"]


async def test_refusals_are_counted_all_and_logged_a_few(
    app: App, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "realtime.live"):
        for _ in range(LINES_PER_MINUTE + 5):
            await deliver(app, "payments", {}, **{"X-Key": "no"})
        assert caplog.text.count("verification failed: PermissionError: 'wrong key'") == LINES_PER_MINUTE
        await clock.advance(61)
        await deliver(app, "payments", {}, **{"X-Key": "no"})
    assert caplog.text.count("verification failed") == LINES_PER_MINUTE + 1
    assert app.runtime.metrics.get("security_refusals_total", "webhook") == LINES_PER_MINUTE + 6


SIGNED = """
    # realtime-allow-public
    from runtime import live
    paid = live.webhook(
        "paid", verify=live.webhook.hmac("s", timestamp_header="x-time"), transform=lambda event: ("paid", event),
    )
"""


async def test_a_signature_is_checked_with_the_clock_of_the_app(
    make_app: AppFactory, clock: FakeClock
) -> None:
    app = await make_app({"live/m.py": SIGNED}, clock=clock)
    time, body = str(clock.now()), b"{}"
    headers = {
        "X-Time": time,
        "X-Signature": hmac.new(b"s", time.encode() + b"." + body, hashlib.sha256).hexdigest(),
    }
    paid = module(app).paid
    assert (await paid.handle(body=body, headers=headers)).status == 200
    await clock.advance(301)
    assert (await paid.handle(body=body, headers=headers)).status == 400


async def test_a_reload_keeps_the_ids_and_changes_the_code(app: App) -> None:
    assert await deliver(app, "once", {"id": "e1"}) == (200, "OK")
    app.write("live/m.py", HOOKS.replace('"paid"', '"renewed"'))
    await app.runtime.live.reload([app.project / "live/m.py"])
    assert await deliver(app, "once", {"id": "e1"}) == (200, "Duplicate")
    ann = await app.connect("ann")
    ann.send({"type": "subscribe", "topic": "once", "ref": 1})
    await ann.wait(lambda frame: frame.get("ref") == 1)
    assert await deliver(app, "once", {"id": "e2"}) == (200, "OK")
    await ann.wait(lambda frame: frame.get("event") == "renewed")


async def test_two_webhooks_with_one_path_are_a_problem_that_names_both(make_app: AppFactory) -> None:
    other = """
        # realtime-allow-public
        from runtime import live
        a = live.webhook("a", verify=print, transform=print, path="/hooks/once")
    """
    app = await make_app({"live/m.py": HOOKS, "live/n.py": other}, env="dev")
    (problem,) = app.runtime.live.registry.problems
    assert problem.kind == "DuplicatePath"
    assert "'/hooks/once' belongs to two webhooks: live/m.py:" in problem.message
    assert "live/n.py:4" in problem.message
    assert not app.runtime.live.registry.webhooks


async def test_what_was_imported_without_an_app_takes_no_path_from_it(make_app: AppFactory) -> None:
    before = list(collector.ambient.webhooks)
    try:
        stray = live.webhook("a", verify=print, transform=print, path="/hooks/once")
        alone = [live.webhook("a", verify=print, transform=print, path="/hooks/alone") for _ in range(2)]
        app = await make_app({"live/m.py": HOOKS})
        found = app.runtime.live.registry.webhooks
        assert found["/hooks/once"] is module(app).once is not stray
        assert found["/hooks/alone"] is alone[0]
        assert not app.runtime.live.registry.problems
    finally:
        collector.ambient.webhooks[:] = before


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"verify": None}, TypeError, "verify"),
        ({"verify": "secret-value"}, TypeError, "not str"),
        ({"transform": 7}, TypeError, "transform"),
        ({"path": "hooks"}, ValueError, "path"),
        ({"path": "/a b"}, ValueError, "path"),
        ({"path": "/a?b"}, ValueError, "path"),
        ({"path": "//host"}, ValueError, "path"),
        ({"path": "/live/x"}, ValueError, "/live/"),
        ({"max_body": 0}, ValueError, "max_body"),
        ({"max_body": "1M"}, ValueError, "max_body"),
        ({"dedupe_key": "id"}, TypeError, "dedupe_key"),
        ({"dedupe_ttl": 0}, ValueError, "dedupe_ttl"),
        ({"dedupe": object()}, TypeError, "dedupe"),
    ],
)
def test_options_that_cannot_be_are_named(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text) as raised:
        live.webhook("t", **{"verify": print, "transform": print, **options})
    assert "secret-value" not in str(raised.value)
    for topic in ("", "a\n", 7):
        with pytest.raises(ValueError, match="topic"):
            live.webhook(topic, verify=print, transform=print)  # type: ignore[arg-type]


@pytest.fixture
async def ask(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    write_file(tmp_path, "live/m.py", HOOKS)
    write_file(tmp_path, "hooks.py", HOOKS.replace('path="/hooks/once"', 'path="/hooks/other"'))
    app = create_app(
        tmp_path, settings=Settings(server=ServerSettings(env="test", allowed_hosts=("a.example",)))
    )
    await app.start()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://a.example") as client:
        client.headers.update({"x-key": "right"})
        yield client.request
    await app.stop()


async def test_a_path_answers_posts_and_nothing_else(ask: Any) -> None:
    answer = await ask("POST", "/hooks/once", json={"id": "h1"})
    assert (answer.status_code, answer.text) == (200, "OK")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert (await ask("POST", "/hooks/once", json={"id": "h1"})).text == "Duplicate"
    assert (await ask("POST", "/hooks/other", json={"id": "h1"})).text == "OK", "declared in hooks.py"
    refused = await ask("POST", "/hooks/once", json={}, headers={"x-key": "no"})
    assert (refused.status_code, refused.text) == (400, "Verification failed")
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        answer = await ask(method, "/hooks/once")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), method
    assert (await ask("POST", "/hooks/once/")).status_code == 404
    assert (await ask("POST", "/hooks")).status_code == 404


async def test_a_body_may_be_as_long_as_the_webhook_says(ask: Any) -> None:
    def body(size: int) -> bytes:
        return b'{"skip": "' + b"x" * (size - 12) + b'"}'

    async def pieces() -> AsyncIterator[bytes]:
        yield body(400_000)
        yield b" " * 200_001

    assert (await ask("POST", "/hooks/once", content=body(600_000))).text == "Ignored", "more than body_limit"
    assert (await ask("POST", "/hooks/once", content=body(600_001))).status_code == 413
    assert (await ask("POST", "/hooks/once", content=pieces())).status_code == 413
    assert (await ask("POST", "/nothing", content=body(600_000))).status_code == 413, "the limit of the app"


async def test_a_delivery_that_is_cut_short_runs_nothing(make_app: AppFactory, tmp_path: Path) -> None:
    from runtime.testing import running_server

    project = tmp_path / "cut"
    write_file(project, "realtime.toml", "")
    write_file(project, "live/m.py", HOOKS)
    async with running_server(project) as server:
        seen = server.runtime.live.registry.modules["m"].module.seen
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            b"POST /hooks/once HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\nx-key: right\r\n\r\n{"
        )
        await writer.drain()
        await eventually(lambda: server.runtime.metrics.snapshot().get("http_in_flight", {}).get((), 0) == 1)
        writer.close()
        await writer.wait_closed()
        await eventually(lambda: server.runtime.metrics.snapshot().get("http_in_flight", {}).get((), 0) == 0)
        assert seen == []
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{server.url}/hooks/once", json={"id": 1}, headers={"x-key": "right"})
        assert answer.text == "OK"
        assert len(seen) == 1
        assert reader is not None
