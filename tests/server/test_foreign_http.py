"""The HTTP side under ASGI servers that are not ours."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator

import httpx
import pytest

from tests.server.foreign import SERVERS, Foreign, foreign_server
from tests.server.sockets import TIMEOUT


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    with foreign_server(request.param, tmp_path_factory.mktemp("foreign")) as running:
        yield running


@pytest.mark.spec("PLAT-81", "PLAT-89", "PLAT-109")
async def test_head_has_the_length_of_get_compressed_or_not(server: Foreign) -> None:
    async with httpx.AsyncClient(base_url=server.http) as ask:
        for headers in ({"accept-encoding": "gzip"}, {"accept-encoding": "identity"}):
            async with ask.stream("GET", "/live/client.js", headers=headers) as get:
                body = b"".join([piece async for piece in get.aiter_raw()])
            head = await ask.head("/live/client.js", headers=headers)
            assert head.content == b""
            assert head.headers["content-length"] == get.headers["content-length"] == str(len(body))
            assert head.headers.get("content-encoding") == get.headers.get("content-encoding")
            if headers["accept-encoding"] == "gzip":
                assert gzip.decompress(body).startswith(b"/")


@pytest.mark.spec("PLAT-92")
@pytest.mark.parametrize("path", ["/live/client.js", "/__ws/auth"])
async def test_bodies_that_announce_too_much_are_refused_before_they_are_sent(
    server: Foreign, path: str
) -> None:
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {512 * 1024 + 1}\r\n\r\n"
        writer.write(head.encode())
        answer = await reader.readuntil(b"Content Too Large")
        writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ")
