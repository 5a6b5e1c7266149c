from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from realtime_cli.devserver.calllog import CallLog
from realtime_cli.devserver.requestlog import RequestLog, Traffic
from realtime_cli.devserver.terminal import Terminal, TerminalOptions


class App:
    """An ASGI app that does what the test says."""

    def __init__(self) -> None:
        self.status = 200
        self.content_type = b"text/html; charset=utf-8"
        self.raises: Exception | None = None
        self.may_answer = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.may_answer.wait()
        if self.raises is not None:
            raise self.raises
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await receive()
        elif scope["type"] == "http":
            headers = [(b"Content-Type", self.content_type)]
            await send({"type": "http.response.start", "status": self.status, "headers": headers})
            await send({"type": "http.response.body"})


async def nothing(*_: Any) -> None:
    """Stand for an end of a connection that nobody looks at."""


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def traffic() -> Traffic:
    return Traffic()


def middleware(app: App, traffic: Traffic, *, verbose: bool = False) -> RequestLog:
    times = iter(range(1000))
    log = CallLog(Terminal(TerminalOptions(json_log=True)), lambda: 1.0)
    return RequestLog(app, log=log, traffic=traffic, clock=lambda: float(next(times)), verbose=verbose)


async def logged(
    asgi: RequestLog, app: App, capsys: pytest.CaptureFixture[str], path: str = "/x"
) -> list[tuple[str, int, float]]:
    app.may_answer.set()
    await asgi({"type": "http", "method": "GET", "path": path}, nothing, nothing)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [(line["path"], line["status"], line["ms"]) for line in lines]


@pytest.mark.parametrize(
    ("status", "content_type", "verbose", "is_logged"),
    [
        (200, b"text/html", False, True),
        (200, b"text/css", False, False),
        (304, b"text/css", False, False),
        (404, b"text/plain", False, True),
        (500, b"text/plain", False, True),
        (200, b"text/css", True, True),
    ],
)
async def test_pages_and_failures_are_worth_a_line(
    app: App,
    traffic: Traffic,
    capsys: pytest.CaptureFixture[str],
    status: int,
    content_type: bytes,
    verbose: bool,
    is_logged: bool,
) -> None:
    app.status, app.content_type = status, content_type
    found = await logged(middleware(app, traffic, verbose=verbose), app, capsys)
    assert found == ([("/x", status, 1000.0)] if is_logged else [])


async def test_our_own_requests_are_not_logged(
    app: App, traffic: Traffic, capsys: pytest.CaptureFixture[str]
) -> None:
    asgi = middleware(app, traffic, verbose=True)
    assert await logged(asgi, app, capsys, "/__realtime/dev.js") == []
    assert await logged(asgi, app, capsys, "/mounted/__realtime/dev") == []


async def test_a_request_that_raises_is_a_500(
    app: App, traffic: Traffic, capsys: pytest.CaptureFixture[str]
) -> None:
    app.raises = RuntimeError("on purpose")
    with pytest.raises(RuntimeError, match="on purpose"):
        await logged(middleware(app, traffic), app, capsys)
    assert json.loads(capsys.readouterr().out)["status"] == 500


async def test_upgrades_count_until_they_are_answered(app: App, traffic: Traffic) -> None:
    asgi = middleware(app, traffic)
    answered, may_end = asyncio.Event(), asyncio.Event()

    async def send(_: Any) -> None:
        answered.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(asgi({"type": "websocket", "path": "/ws"}, may_end.wait, send))
        await asyncio.sleep(0)
        assert traffic.upgrades == 1
        app.may_answer.set()
        await answered.wait()
        await asyncio.sleep(0)
        assert traffic.upgrades == 0
        may_end.set()
    assert traffic.upgrades == 0


async def test_an_upgrade_that_fails_counts_no_more(app: App, traffic: Traffic) -> None:
    app.raises = RuntimeError("on purpose")
    app.may_answer.set()
    with pytest.raises(RuntimeError):
        await middleware(app, traffic)({"type": "websocket", "path": "/ws"}, nothing, nothing)
    assert traffic.upgrades == 0


async def test_other_scopes_pass(app: App, traffic: Traffic) -> None:
    app.may_answer.set()
    await middleware(app, traffic)({"type": "lifespan"}, nothing, nothing)
    assert traffic.upgrades == 0
