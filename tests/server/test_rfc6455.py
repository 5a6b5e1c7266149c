"""RFC 6455 on the wire: what the public conformance suites ask of a server, each as a test of its own."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.testing import eventually
from runtime.wire.limits import MAX_FRAGMENTS
from tests.server.peers import write_file
from tests.server.rawpeer import ACCEPT, RawPeer, client_frame, raw_peer, request
from tests.server.sockets import Served, served

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
MAX_SIZE = 70_000

HOOKS = """
    def message(ws, data, is_binary):
        ws.send(("b" if is_binary else "t") + (data.hex() if is_binary else data))
"""

pytestmark = [pytest.mark.usefixtures("write_path"), pytest.mark.spec("PLAT-158")]


@pytest.fixture
async def server(tmp_path: Path, write_path: str) -> AsyncIterator[Served]:
    write_file(tmp_path, "hooks.py", HOOKS)
    settings = Settings(
        server=ServerSettings(env="test", shutdown_timeout=1),
        websocket=WebSocketSettings(max_payload_length=MAX_SIZE, upgrade_rate_limit=None),
    )
    async with served(tmp_path, settings) as running:
        yield running


@pytest.fixture
async def peer(server: Served) -> AsyncIterator[RawPeer]:
    async with raw_peer(server.address) as raw:
        assert raw.status == "101 Switching Protocols"
        assert json.loads(await raw.until(TEXT))["type"] == "welcome"
        yield raw


async def still_answers(peer: RawPeer) -> None:
    peer.write(client_frame(TEXT, b'{"rpc":"no/where","id":"alive","args":[]}'))
    while b'"event":"alive"' not in await peer.until(TEXT):
        pass


class TestHandshake:
    async def test_the_key_is_answered(self, server: Served) -> None:
        async with raw_peer(server.address) as raw:
            assert raw.headers["sec-websocket-accept"] == ACCEPT.lower()
            assert raw.headers["upgrade"] == "websocket"
            assert raw.headers["connection"] == "upgrade"
        key = base64.b64encode(os.urandom(16)).decode()
        made = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode(), usedforsecurity=False)
        async with raw_peer(server.address, request(server.address, sec_websocket_key=key)) as raw:
            assert raw.headers["sec-websocket-accept"] == base64.b64encode(made.digest()).decode().lower()

    @pytest.mark.parametrize(
        "changed",
        [{"sec_websocket_key": None}, {"sec_websocket_key": "short"}, {"sec_websocket_key": "!" * 24}],
    )
    async def test_a_bad_key_is_refused(self, server: Served, changed: dict[str, str | None]) -> None:
        async with raw_peer(server.address, request(server.address, **changed)) as raw:
            assert raw.status.startswith("400")

    @pytest.mark.parametrize("version", [None, "8", "14", "x"])
    async def test_another_version_is_told_ours(self, server: Served, version: str | None) -> None:
        async with raw_peer(server.address, request(server.address, sec_websocket_version=version)) as raw:
            assert raw.status.startswith(("400", "426"))

    async def test_tokens_may_be_in_lists_and_of_any_case(self, server: Served) -> None:
        head = request(server.address, connection="keep-alive, upGRADE", upgrade="WebSocket")
        async with raw_peer(server.address, head) as raw:
            assert raw.status.startswith("101")

    async def test_no_upgrade_is_a_plain_request(self, server: Served) -> None:
        for changed in ({"upgrade": None}, {"connection": "keep-alive"}):
            async with raw_peer(server.address, request(server.address, **changed)) as raw:
                assert raw.status.startswith("426")

    async def test_the_first_offered_subprotocol_is_echoed(self, server: Served) -> None:
        head = request(server.address, sec_websocket_protocol="chat, superchat")
        async with raw_peer(server.address, head) as raw:
            assert raw.headers["sec-websocket-protocol"] == "chat"

    async def test_compression_is_not_agreed_to_by_default(self, server: Served) -> None:
        head = request(server.address, sec_websocket_extensions="permessage-deflate; client_max_window_bits")
        async with raw_peer(server.address, head) as raw:
            assert "sec-websocket-extensions" not in raw.headers


class TestFraming:
    @pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65535, 65536, MAX_SIZE])
    @pytest.mark.spec("WIRE-18")
    async def test_messages_of_every_length_form(self, peer: RawPeer, size: int) -> None:
        peer.write(client_frame(TEXT, b"*" * size))
        assert await peer.until(TEXT) == b"t" + b"*" * size

    @pytest.mark.parametrize("size", [0, 125, 126, 30_000])
    async def test_binary_messages(self, peer: RawPeer, size: int) -> None:
        payload = os.urandom(size)
        peer.write(client_frame(BINARY, b"\xff" + payload))
        assert await peer.until(TEXT) == b"b" + (b"\xff" + payload).hex().encode()

    async def test_byte_by_byte(self, peer: RawPeer) -> None:
        data = (
            client_frame(TEXT, "täglich".encode()) + client_frame(PING, b"p") + client_frame(TEXT, b"x" * 200)
        )
        for index in range(len(data)):
            peer.write(data[index : index + 1])
            await peer.writer.drain()
        wanted = {(TEXT, "ttäglich".encode()), (PONG, b"p"), (TEXT, b"t" + b"x" * 200)}
        assert {await peer.frame() for _ in wanted} == wanted

    async def test_many_messages_in_one_segment(self, peer: RawPeer) -> None:
        peer.write(*(client_frame(TEXT, b"%d" % number) for number in range(300)))
        for number in range(300):
            assert await peer.until(TEXT) == b"t%d" % number

    @pytest.mark.parametrize("reserved", [1, 2, 4, 7])
    @pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
    async def test_reserved_bits(self, peer: RawPeer, opcode: int, reserved: int) -> None:
        peer.write(client_frame(opcode, reserved=reserved))
        assert await peer.closed_with() == 1002

    @pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
    async def test_reserved_opcodes(self, peer: RawPeer, opcode: int) -> None:
        peer.write(client_frame(opcode))
        assert await peer.closed_with() == 1002

    async def test_a_frame_without_a_mask(self, peer: RawPeer) -> None:
        peer.write(client_frame(TEXT, b"x", masked=False))
        assert await peer.closed_with() == 1002

    @pytest.mark.spec("WIRE-18")
    async def test_a_message_that_is_too_big_is_told_before_it_has_come(
        self, peer: RawPeer, write_path: str
    ) -> None:
        whole = write_path == "off"  # plain ASGI has the size of whole messages only (platform 2.9)
        peer.write(client_frame(TEXT, b"x" * (MAX_SIZE + 1))[: None if whole else 20])
        if whole:
            assert (await peer.until(CLOSE))[:2] == (1009).to_bytes(2, "big")
            peer.write(client_frame(CLOSE))  # the server waits for the answer
            return
        assert await peer.closed_with() == 1009

    async def test_fragments_that_are_too_big_together(self, peer: RawPeer) -> None:
        peer.write(client_frame(TEXT, b"x" * 40_000, fin=False), client_frame(0, b"x" * 40_000))
        assert await peer.closed_with() == 1009


class TestFragments:
    @pytest.mark.parametrize("parts", [1, 2, 3, 5])
    async def test_a_fragmented_message(self, peer: RawPeer, parts: int) -> None:
        pieces = [b"part%d " % number for number in range(parts)]
        for number, piece in enumerate(pieces):
            peer.write(client_frame(TEXT if number == 0 else 0, piece, fin=number == parts - 1))
        assert await peer.until(TEXT) == b"t" + b"".join(pieces)

    async def test_empty_fragments(self, peer: RawPeer) -> None:
        peer.write(client_frame(TEXT, fin=False), client_frame(0, fin=False), client_frame(0, b"end"))
        assert await peer.until(TEXT) == b"tend"

    async def test_control_frames_between_fragments(self, peer: RawPeer) -> None:
        peer.write(
            client_frame(TEXT, b"a", fin=False),
            client_frame(PING, b"between"),
            client_frame(0, b"b"),
            client_frame(PONG),
        )
        assert await peer.until(PONG) == b"between"
        assert await peer.until(TEXT) == b"tab"

    async def test_a_continuation_of_nothing(self, peer: RawPeer) -> None:
        peer.write(client_frame(0, b"x"))
        assert await peer.closed_with() == 1002

    async def test_a_new_message_inside_of_one(self, peer: RawPeer) -> None:
        peer.write(client_frame(TEXT, b"x", fin=False), client_frame(TEXT, b"y"))
        assert await peer.closed_with() == 1002

    async def test_a_message_in_too_many_fragments(self, peer: RawPeer, write_path: str) -> None:
        few = write_path == "off"  # fragment floods are the server's on plain ASGI (platform 2.9)
        parts = itertools.repeat(client_frame(0, b"x", fin=False), 100 if few else MAX_FRAGMENTS)
        peer.write(client_frame(TEXT, b"x", fin=False), *parts)
        if few:
            peer.write(client_frame(0))
            assert await peer.until(TEXT) == b"t" + b"x" * 101
        else:
            assert await peer.closed_with() == 1002


class TestControlFrames:
    @pytest.mark.parametrize("payload", [b"", b"hello", b"\x00\xff\xfe", b"x" * 125])
    async def test_a_ping_is_answered_with_its_payload(self, peer: RawPeer, payload: bytes) -> None:
        peer.write(client_frame(PING, payload))
        assert await peer.until(PONG) == payload

    async def test_ten_pings_are_answered_in_order(self, peer: RawPeer) -> None:
        peer.write(*(client_frame(PING, b"%d" % number) for number in range(10)))
        assert [await peer.until(PONG) for _ in range(10)] == [b"%d" % number for number in range(10)]

    async def test_pongs_nobody_asked_for_are_ignored(self, peer: RawPeer) -> None:
        peer.write(client_frame(PONG, b"unasked"))
        await still_answers(peer)

    @pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
    async def test_a_fragmented_control_frame(self, peer: RawPeer, opcode: int) -> None:
        peer.write(client_frame(opcode, fin=False))
        assert await peer.closed_with() == 1002

    @pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
    async def test_a_control_frame_of_126_bytes(self, peer: RawPeer, opcode: int) -> None:
        peer.write(client_frame(opcode, b"x" * 126))
        assert await peer.closed_with() == 1002


class TestText:
    GOOD = ("κόσμε", "\ud7ff\ue000�\U00010000\U0010ffff", "\x00\x7f\x80", "𝄞")
    BAD = (
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xce",
        b"ok\xce\xba\xe1\xbd",
        b"\xf8\x88\x80\x80\x80",
    )

    @pytest.mark.parametrize("text", GOOD)
    async def test_valid_utf8(self, peer: RawPeer, text: str) -> None:
        peer.write(client_frame(TEXT, text.encode()))
        assert await peer.until(TEXT) == b"t" + text.encode()

    @pytest.mark.parametrize("text", GOOD)
    async def test_a_character_may_be_split_between_fragments(self, peer: RawPeer, text: str) -> None:
        raw = text.encode()
        peer.write(
            *(
                client_frame(TEXT if not index else 0, raw[index : index + 1], fin=False)
                for index in range(len(raw))
            )
        )
        peer.write(client_frame(0))
        assert await peer.until(TEXT) == b"t" + raw

    @pytest.mark.parametrize("raw", BAD)
    @pytest.mark.spec("WIRE-19")
    async def test_invalid_utf8_closes_with_1007(self, peer: RawPeer, raw: bytes) -> None:
        peer.write(client_frame(TEXT, raw))
        assert await peer.closed_with() == 1007

    async def test_invalid_utf8_in_fragments(self, peer: RawPeer) -> None:
        peer.write(client_frame(TEXT, b"\xce\xba\xe1", fin=False), client_frame(0, b"\xbd"))
        assert await peer.closed_with() == 1007


class TestClosing:
    @pytest.mark.parametrize(
        "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
    )
    async def test_a_close_is_answered_with_its_code(self, server: Served, peer: RawPeer, code: int) -> None:
        peer.write(client_frame(CLOSE, code.to_bytes(2, "big") + b"bye"))
        assert await peer.closed_with() == code
        await eventually(lambda: not server.runtime.connections)

    async def test_an_empty_close(self, peer: RawPeer) -> None:
        peer.write(client_frame(CLOSE))
        assert await peer.closed_with() in (1000, 1005)

    @pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535])
    async def test_codes_that_may_not_be_sent(self, peer: RawPeer, code: int) -> None:
        peer.write(client_frame(CLOSE, code.to_bytes(2, "big")))
        assert await peer.closed_with() == 1002

    async def test_half_a_code(self, peer: RawPeer) -> None:
        peer.write(client_frame(CLOSE, b"\x03"))
        assert await peer.closed_with() == 1002

    async def test_a_reason_that_is_no_utf8(self, peer: RawPeer) -> None:
        peer.write(client_frame(CLOSE, b"\x03\xe8\xff"))
        assert await peer.closed_with() == 1007

    async def test_nothing_behind_a_close_is_looked_at(self, server: Served, peer: RawPeer) -> None:
        peer.write(client_frame(CLOSE, b"\x03\xe8"), client_frame(TEXT, b"late"), client_frame(PING))
        assert await peer.closed_with() == 1000

    async def test_our_close_waits_for_the_answer(self, server: Served, peer: RawPeer) -> None:
        await eventually(lambda: len(server.runtime.connections) == 1)
        (connection,) = server.runtime.connections.values()
        await connection.close(4403, "no")
        assert await peer.until(CLOSE) == (4403).to_bytes(2, "big") + b"no"
        peer.write(client_frame(CLOSE, (4403).to_bytes(2, "big")))
        assert await peer.reader.read() == b""
        await eventually(lambda: not server.runtime.connections)

    async def test_a_peer_that_just_goes_is_forgotten(self, server: Served, peer: RawPeer) -> None:
        peer.writer.transport.abort()
        await eventually(lambda: not server.runtime.connections)
