"""Our reader and the one of `websockets`, fed with the same bytes in whatever pieces, must come to the same end."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close as TheirClose
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from runtime.server.fastpath.messages import Close, Failure, MessageReader, Ping, Pong

MAX_SIZE = 300
MASKS = st.binary(min_size=4, max_size=4)
TEXTS = st.one_of(st.text(max_size=20).map(str.encode), st.binary(max_size=20))


def mask(payload: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


@st.composite
def frames(draw: Any) -> bytes:
    """One frame, sane or not."""
    opcode = draw(st.sampled_from([0, 1, 1, 2, 2, 8, 9, 10, 3, 11]))
    first = (0x80 if draw(st.integers(0, 4)) else 0) | opcode
    if not draw(st.integers(0, 9)):
        first |= draw(st.sampled_from([0x10, 0x20, 0x40]))
    payload = draw(TEXTS)
    if not draw(st.integers(0, 5)):
        payload *= draw(st.sampled_from([7, 20]))
    if opcode == 8:
        payload = draw(
            st.sampled_from(
                [b"", b"\x03", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xed", b"\x0f\xa0\xff", b"\x03\xf8"]
            )
        )
    size = len(payload)
    if size < 126 and (opcode >= 8 or draw(st.integers(0, 20))):
        head = bytes([first, 0x80 | size])
    elif size < 65536 and (opcode >= 8 or draw(st.integers(0, 3))):
        head = bytes([first, 0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, 0x80 | 127]) + size.to_bytes(8, "big")
    if not draw(st.integers(0, 30)):
        return bytes([head[0], head[1] & 0x7F]) + head[2:] + payload
    key = draw(MASKS)
    return head + key + mask(payload, key)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    found, start = [], 0
    for cut in sorted({min(cut, len(data)) for cut in cuts}):
        found.append(data[start:cut])
        start = cut
    found.append(data[start:])
    return [piece for piece in found if piece]


def ours(parts: list[bytes], *, inflates: bool = False) -> list[Any]:
    reader = MessageReader(MAX_SIZE, inflates=inflates)
    found: list[Any] = []
    for part in parts:
        found.extend(reader.feed(part))
    return [("failed", item.code) if isinstance(item, Failure) else item for item in found]


def theirs(data: bytes, *, inflates: bool = False) -> list[Any]:
    extensions = [PerMessageDeflate(True, True, 15, 15)] if inflates else []
    protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=MAX_SIZE)
    protocol.extensions = list(extensions)
    protocol.receive_data(data)
    found: list[Any] = []
    kind, parts = Opcode.CONT, b""
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        if event.opcode is Opcode.PING:
            found.append(Ping(bytes(event.data)))
        elif event.opcode is Opcode.PONG:
            found.append(Pong(bytes(event.data)))
        elif event.opcode is Opcode.CLOSE:
            close = TheirClose.parse(bytes(event.data))
            found.append(Close(close.code, close.reason))
            return found
        else:
            if event.opcode is not Opcode.CONT:
                kind, parts = event.opcode, b""
            parts += bytes(event.data)
            if event.fin:
                try:
                    found.append(parts.decode() if kind is Opcode.TEXT else parts)
                except UnicodeDecodeError:
                    found.append(("failed", 1007))
                    return found
    if protocol.parser_exc is not None:
        assert protocol.close_sent is not None
        found.append(("failed", protocol.close_sent.code))
    return found


def agree(mine: list[Any], other: list[Any]) -> bool:
    """Whether both came to the same end.

    We may tell a fault before the frame or message with it is complete, and of two faults of one frame the other one;
    what came before it must be equal, and they must find a fault too if they see the whole.
    """
    if mine == other:
        return True
    if mine and isinstance(mine[-1], Close):
        # They take a close inside of a fragmented message for a fault, we for the end that it is.
        return other == [*mine[:-1], ("failed", 1002)]
    if not mine or mine[-1][0] != "failed":
        return False
    before = mine[:-1]
    if other[: len(before)] != before:
        return False
    rest = other[len(before) :]
    # Bad text is told at its first bad fragment, theirs at its last: control frames may come in between.
    return (
        mine[-1][1] == 1007 or not rest or rest[0] in [("failed", 1002), ("failed", 1009), ("failed", 1007)]
    )


@pytest.mark.spec("WIRE-19", "WIRE-18")
@settings(max_examples=400, deadline=None)
@given(st.lists(frames(), max_size=8), st.lists(st.integers(0, 400), max_size=6))
def test_we_read_what_websockets_reads(sent: list[bytes], cuts: list[int]) -> None:
    data = b"".join(sent)
    mine, other = ours(pieces(data, cuts)), theirs(data)
    assert agree(mine, other), (mine, other)
    assert ours([data]) == mine == ours([data[index : index + 1] for index in range(len(data))])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_noise_is_read_alike_and_raises_nothing(data: bytes, cuts: list[int]) -> None:
    mine, other = ours(pieces(data, cuts)), theirs(data)
    # They read control frames whose length takes more bytes than it needs, which RFC 6455 5.2 and 5.5 forbid.
    lenient = mine[-1:] == [("failed", 1002)] and any(
        isinstance(item, Ping | Pong | Close) for item in other[len(mine) - 1 :][:1]
    )
    assert lenient or agree(mine, other), (mine, other)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text(max_size=60), max_size=5),
    MASKS,
    st.integers(1, 9),
    st.lists(st.integers(0, 400), max_size=6),
)
def test_deflated_messages_in_fragments(texts: list[str], key: bytes, step: int, cuts: list[int]) -> None:
    data = b""
    for text in texts:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        packed = (packer.compress(text.encode()) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
        parts = [packed[start : start + step] for start in range(0, len(packed), step)]
        for index, part in enumerate(parts):
            first = (0x41 if index == 0 else 0) | (0x80 if index == len(parts) - 1 else 0)
            data += bytes([first, 0x80 | len(part)]) + key + mask(part, key)
    assert ours(pieces(data, cuts), inflates=True) == texts
    assert theirs(data, inflates=True) == texts
