"""Time and size under ASGI servers that are not ours: there their own settings count. Spec: platform 2.9."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from runtime.server.abilities import ASGI_DIFFERENCES
from tests.certificates import make_certificate
from tests.cli.commands import realtime
from tests.server.foreign import SERVERS, SETTINGS, Foreign, foreign_server
from tests.server.rawpeer import client_frame, raw_peer
from tests.server.sockets import TIMEOUT

PING, PONG, TEXT = 0x9, 0xA, 0x1
# What the own server would hold everybody to within a second.
STRICT = """
    header_timeout = "200ms"
    keepalive_timeout = "200ms"
    min_body_rate = "1M"
    stream_write_timeout = "200ms"
    uds = "ours.sock"
    tls_cert = "ours.pem"
    tls_key = "ours.key"
"""
# How each server is told to ping; granian has no flag for it.
PINGS = {
    "uvicorn": ("--ws-ping-interval", "0.3", "--ws-ping-timeout", "0.3"),
    "hypercorn": ("--websocket-ping-interval", "1"),
}


def assert_doctor_names(server: Foreign, feature: str) -> None:
    """Check that `realtime doctor` has the row of this feature for the project of `server`."""
    (row,) = [row for row in ASGI_DIFFERENCES if row.feature.startswith(feature)]
    ended = realtime("doctor", "--json", cwd=server.project)
    assert ended.code == 0
    told = {one["feature"]: one["on_asgi"] for one in ended.data["asgi_differences"]}
    assert told[row.feature] == row.on_asgi
    assert "the server's own" in row.on_asgi


@pytest.mark.spec("PLAT-181")
@pytest.mark.parametrize("name", list(PINGS))
async def test_pings_and_the_wait_for_pongs_are_those_of_the_server(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("pings")
    with foreign_server(name, folder, *PINGS[name]) as server:
        address = server.http.removeprefix("http://")
        async with raw_peer(address) as alive, raw_peer(address) as silent:
            for _ in range(2):  # our own would come after a minute
                alive.write(client_frame(PONG, await alive.until(PING)))
            alive.write(client_frame(TEXT, b'{"rpc":"a/echo","id":"c1","args":[1]}'))
            while b'"c1"' not in await alive.until(TEXT):
                pass
            if name == "uvicorn":  # hypercorn waits for no pong
                async with asyncio.timeout(TIMEOUT):
                    await silent.reader.read()
        assert_doctor_names(server, "ping()")


@pytest.fixture(scope="module", params=SERVERS)
def strict(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    folder = tmp_path_factory.mktemp("strict")
    make_certificate(folder, "ours")
    toml = SETTINGS.replace("[server]", f"[server]{STRICT}")
    with foreign_server(request.param, folder, toml=toml) as running:
        yield running


@pytest.mark.spec("PLAT-181")
async def test_the_bounds_of_requests_are_those_of_the_server(strict: Foreign) -> None:
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", strict.port)
        writer.write(b"POST /__ws/auth HTTP/1.1\r\nhost: 127.0.0.1\r\nx-requested-with: realtime\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.6)  # three times header_timeout
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", strict.port)
        head = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        for _ in range(2):  # three times keepalive_timeout between them
            writer.write(head + b"\r\n")
            assert (await reader.readuntil(b"\r\n\r\nOK")).startswith(b"HTTP/1.1 200 ")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.6)
        writer.write(head + b"x: " + b"y" * 70_000 + b"\r\n\r\n")
        assert b" 431 Request Header Fields Too Large" not in await reader.readline()
        writer.close()
    assert_doctor_names(strict, "header_timeout")


@pytest.mark.spec("PLAT-181")
async def test_the_keys_of_sockets_and_tls_are_for_the_own_server(strict: Foreign) -> None:
    async with httpx.AsyncClient(base_url=strict.http) as client:  # neither TLS nor a file
        assert (await client.get("/healthz")).text == "OK"
    assert not (strict.project / "ours.sock").exists()
