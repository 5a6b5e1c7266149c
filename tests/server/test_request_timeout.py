"""`[server] request_timeout`: an answer has to begin in time. Spec: platform 3.9."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import httpx
import pytest

from runtime.testing import eventually
from tests.server.bounds import bounded_site


async def test_a_handler_that_takes_too_long_is_ended_and_503_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        bounded_site(tmp_path, monkeypatch, request_timeout=5) as site,
        httpx.AsyncClient(base_url=site.server.http) as client,
    ):
        asked = asyncio.ensure_future(client.get("/slow?secret=1"))
        await eventually(lambda: site.app.running)
        await site.clock.advance(4.9)
        assert not asked.done()
        await site.clock.advance(0.2)
        answer = await asked
        assert (answer.status_code, answer.text) == (503, "Service Unavailable")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "GET /slow took longer than request_timeout (5 s)" in caplog.text
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
        # The connection goes on.
        assert (await client.get("/hello")).text == "hello"


async def test_what_has_begun_may_take_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        bounded_site(tmp_path, monkeypatch, request_timeout=5) as site,
        httpx.AsyncClient(base_url=site.server.http) as client,
    ):
        async with client.stream("GET", "/endless") as answer:
            chunks = answer.aiter_raw()
            await anext(chunks)
            for _ in range(3):
                await site.clock.advance(6)
                assert await anext(chunks)


async def test_without_it_nothing_ends_a_handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        bounded_site(tmp_path, monkeypatch) as site,
        httpx.AsyncClient(base_url=site.server.http) as client,
    ):
        asked = asyncio.ensure_future(client.get("/slow"))
        await eventually(lambda: site.app.running)
        await site.clock.advance(300)
        site.app.may_go.set()
        assert (await asked).text == "at last"


@pytest.mark.parametrize("failure", [TimeoutError("of the app"), asyncio.CancelledError()])
async def test_a_timeout_of_the_app_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    async with (
        bounded_site(tmp_path, monkeypatch, request_timeout=5) as site,
        httpx.AsyncClient(base_url=site.server.http) as client,
    ):
        site.app.failure = failure
        assert (await client.get("/hello")).status_code == 500
