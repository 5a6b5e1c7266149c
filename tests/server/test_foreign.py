"""The app under ASGI servers that are not ours: what works there too, and the rows of platform 2.9."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator

import httpx
import pytest
import websockets
from websockets.exceptions import ConnectionClosed

from tests.server.foreign import MAX_BACKPRESSURE, MAX_PAYLOAD, SERVERS, Foreign, foreign_server
from tests.server.sockets import TIMEOUT, call, receive, receive_until


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    with foreign_server(request.param, tmp_path_factory.mktemp("foreign")) as running:
        yield running


async def close_of(ws: websockets.ClientConnection) -> tuple[int | None, str | None]:
    """Return code and reason that the server closes with."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await receive(ws)
    return ws.close_code, ws.close_reason


@pytest.mark.spec("PLAT-158")
async def test_calls_and_events(server: Foreign) -> None:
    async with server.connect() as one, server.connect() as two:
        for ws in (one, two):
            assert (await receive(ws))["type"] == "welcome"
            await ws.send('{"type":"subscribe","topic":"news","ref":1}')
            assert await receive_until(ws, type="subscribed") == {
                "type": "subscribed",
                "topic": "news",
                "ref": 1,
            }
        assert (await call(one, "a/echo", "täglich"))["data"] == "täglich"
        await one.send('{"rpc":"a/publish","args":["news",[1]]}')
        first, second = [await receive_until(ws, topic="news") for ws in (one, two)]
        assert first == second
        assert (first["event"], first["data"]) == ("made", [1])
        assert first["seq"] > 0


@pytest.mark.spec("PLAT-158")
async def test_resume_is_answered(server: Foreign) -> None:
    async with server.connect() as ws:
        await ws.send('{"type":"resume","sessionId":"s","lastSeenSeqs":{"news":1}}')
        assert (await receive_until(ws, type="resumed"))["topics"].keys() == {"news"}


@pytest.mark.parametrize(
    ("query", "origin", "status", "body"),
    [
        ("nobody", None, 401, "Unauthorized"),
        ("crash", None, 500, "Internal Server Error"),
        ("", "https://evil.example", 403, "Origin not allowed"),
    ],
)
@pytest.mark.spec("PLAT-181")
async def test_a_refusal_has_its_status_and_body(
    server: Foreign, query: str, origin: str | None, status: int, body: str
) -> None:
    with pytest.raises(websockets.InvalidStatus) as caught:
        await server.connect(query, **({"origin": origin} if origin else {}))
    response = caught.value.response
    assert (response.status_code, response.body.decode()) == (status, body)


@pytest.mark.spec("PLAT-181")
async def test_a_message_of_the_limit_is_handled_and_a_longer_one_closes(server: Foreign) -> None:
    head, tail = '{"rpc":"a/measure","id":"m","args":["', '"]}'
    room = MAX_PAYLOAD - len(head) - len(tail)
    async with server.connect() as ws:
        await ws.send(head + "x" * room + tail)
        assert (await receive_until(ws, event="m"))["data"]["data"] == room
        await ws.send(head + "x" * (room + 1) + tail)
        assert (await close_of(ws))[0] == 1009
    async with server.connect() as ws:  # bytes count, not characters
        await ws.send(head + "ä" * (room // 2 + 1) + tail)
        assert (await close_of(ws))[0] == 1009


@pytest.mark.spec("PLAT-181")
async def test_frames_inside_cork_all_arrive_in_order(server: Foreign) -> None:
    async with server.connect() as ws:
        assert (await receive(ws))["type"] == "welcome"
        await ws.send('{"rpc":"a/corked","args":[]}')
        assert [await receive(ws) for _ in range(3)] == [{"number": number} for number in range(3)]


@pytest.mark.spec("PLAT-181")
async def test_a_ping_is_harmless(server: Foreign) -> None:
    async with server.connect() as ws:
        assert (await call(ws, "a/ping"))["ok"]
        assert (await call(ws, "a/echo", 1))["data"] == 1
        await asyncio.wait_for(await ws.ping(), TIMEOUT)  # a peer's own is answered by the server


@pytest.mark.spec("PLAT-181")
async def test_silence_is_broken_by_text(server: Foreign) -> None:
    async with server.connect() as ws:
        assert (await receive(ws))["type"] == "welcome"
        async with asyncio.timeout(TIMEOUT):
            assert await ws.recv() == '{"type":"ping"}'


@pytest.mark.spec("PLAT-181")
async def test_terminate_closes_with_1011(server: Foreign) -> None:
    async with server.connect() as ws, server.connect() as other:
        await ws.send('{"rpc":"a/terminate","args":[]}')
        assert (await close_of(ws))[0] == 1011
        assert (await call(other, "a/echo", 1))["data"] == 1


@pytest.mark.parametrize("code", [1000, 1013, 4401])
async def test_close_codes_reach_the_peer(server: Foreign, code: int) -> None:
    async with server.connect() as ws:
        await ws.send(json.dumps({"rpc": "a/close", "args": [code]}))
        assert await close_of(ws) == (code, "enough")


async def test_the_close_hook_hears_the_code_of_the_peer(server: Foreign) -> None:
    async with server.connect() as ws:
        assert (await receive(ws))["type"] == "welcome"
        await ws.close(4321)
    heard = 1006 if server.name == "hypercorn" else 4321  # hypercorn tells nobody what the peer closed with
    async with server.connect() as other, asyncio.timeout(TIMEOUT):
        while heard not in (await call(other, "a/gone"))["data"]:
            pass


@pytest.mark.spec("PLAT-181", "PLAT-45")
async def test_a_peer_that_does_not_read_slows_nobody_and_is_told_what_it_missed(server: Foreign) -> None:
    async with server.connect(max_queue=1) as slow, server.connect() as other:
        await slow.send('{"type":"subscribe","topic":"flood","ref":1}')
        await receive_until(slow, type="subscribed")
        slow.transport.pause_reading()
        async with asyncio.timeout(TIMEOUT * 4):
            dropped = 0
            while dropped < 50:
                assert (await call(other, "a/flood", "flood", 20_000, 3))["ok"]
                dropped, buffered = (await call(other, "a/backlog"))["data"]
                assert buffered < MAX_BACKPRESSURE + 20_000
        slow.transport.resume_reading()
        told = 0
        while told < dropped:
            told += (await receive_until(slow, event="lagged"))["data"]["dropped"]
        assert told == dropped
        assert (await call(slow, "a/echo", 1))["data"] == 1


async def test_pages_and_health(server: Foreign) -> None:
    async with httpx.AsyncClient(base_url=server.http) as client:
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/nothing")).status_code == 404
        assert (await client.get("/ws")).status_code == 426
        assert (await client.post("/__ws/auth", headers={"origin": server.http})).status_code == 204


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.spec("PLAT-43")
async def test_the_lifespan_of_the_server_starts_and_stops_the_app(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with foreign_server(name, tmp_path_factory.mktemp("lifespan")) as server:
        async with server.connect() as ws:
            assert (await receive(ws))["type"] == "welcome"
            assert (server.project / "started").exists()
            assert not (server.project / "stopped").exists()
        await asyncio.to_thread(server.stop)
        assert (server.project / "stopped").exists()
