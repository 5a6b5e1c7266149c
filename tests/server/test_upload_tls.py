"""Large frames under TLS, where the bytes of one read come in several records."""

from __future__ import annotations

import hashlib
import random
import ssl
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.wire.binary import encode_chunk, encode_upload_header
from tests.certificates import make_certificate
from tests.server.peers import write_file
from tests.server.sockets import receive_until, served

LIVE = """
    import hashlib
    from runtime import live

    @live.upload()
    async def put(ctx):
        found = hashlib.sha256()
        async for chunk in ctx.stream: found.update(chunk)
        return found.hexdigest()
"""


@pytest.mark.spec("LIVE-65")
@pytest.mark.usefixtures("write_path")
@pytest.mark.parametrize("size", [20_000, 200_000, 1_000_000])
async def test_every_byte_arrives_under_tls(tmp_path: Path, size: int) -> None:
    write_file(tmp_path, "live/a.py", LIVE)
    pair = make_certificate(tmp_path / "tls", "site")
    server = ServerSettings(env="test", shutdown_timeout=1, tls_cert=str(pair.cert), tls_key=str(pair.key))
    websocket = WebSocketSettings(upgrade_rate_limit=None)
    pieces = [random.Random(number).randbytes(size) for number in range(4)]
    context = ssl.create_default_context(cafile=pair.cert)
    async with served(tmp_path, Settings(server=server, websocket=websocket)) as site:
        url, origin = site.ws.replace("ws:", "wss:"), site.http.replace("http:", "https:")
        async with connect(url, additional_headers={"origin": origin}, ssl=context) as ws:
            header = encode_upload_header("a/put", [])
            for seq, piece in enumerate(pieces):
                is_last = seq == len(pieces) - 1
                await ws.send(encode_chunk(1, seq, piece, is_last=is_last, header=None if seq else header))
            frame = await receive_until(ws, topic="__upload")
    assert frame["data"]["data"] == hashlib.sha256(b"".join(pieces)).hexdigest()
