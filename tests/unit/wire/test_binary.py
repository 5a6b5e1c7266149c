"""Binary frames, byte for byte. Spec: wire 4.6 and 4.7."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.wire import binary
from runtime.wire.binary import BinaryCall, UploadCancel, UploadChunk, UploadHeader, parse_binary

CALL = bytes.fromhex(
    "00 00 2d 7b 22 72 70 63 22 3a 22 69 6d 67 2f 74 68 75 6d 62 22 2c 22 69 64 22 3a 22 6b 33 66 39 30 22"
    "2c 22 61 72 67 73 22 3a 5b 31 32 38 5d 7d ff d8"
)
CHUNKS = [
    bytes.fromhex(text)
    for text in (
        "01 01 00 00 00 01 00 00 00 00 00 24 7b 22 72 70 63 22 3a 22 66 69 6c 65 73 2f 70 75 74 22 2c 22 61 72"
        "67 73 22 3a 5b 22 61 2e 74 78 74 22 5d 7d 41 41 41 41",
        "01 00 00 00 00 01 00 00 00 01 42 42 42 42",
        "01 02 00 00 00 01 00 00 00 02 43 43",
    )
]
EMPTY = bytes.fromhex("01 03 00 00 00 02 00 00 00 00 00 13") + b'{"rpc":"files/put"}'

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ids = st.integers(0, 2**32 - 1)


def test_the_examples_of_the_specification_read_as_it_says() -> None:
    assert parse_binary(CALL) == BinaryCall("img/thumb", "k3f90", [128], b"\xff\xd8")
    header = UploadHeader("files/put", ["a.txt"])
    assert [parse_binary(chunk) for chunk in CHUNKS] == [
        UploadChunk(1, 0, False, header, b"AAAA"),
        UploadChunk(1, 1, False, None, b"BBBB"),
        UploadChunk(1, 2, True, None, b"CC"),
    ]
    assert parse_binary(EMPTY) == UploadChunk(2, 0, True, UploadHeader("files/put", []), b"")
    assert parse_binary(bytes.fromhex("021000000001")) == UploadCancel(1)
    assert parse_binary(bytes.fromhex("021000000001") + b"rest") == UploadCancel(1)


def test_the_examples_of_the_specification_are_written_byte_for_byte() -> None:
    assert binary.encode_binary_call("img/thumb", "k3f90", [128], b"\xff\xd8") == CALL
    header = binary.encode_upload_header("files/put", ["a.txt"])
    assert [
        binary.encode_chunk(1, 0, b"AAAA", is_last=False, header=header),
        binary.encode_chunk(1, 1, b"BBBB", is_last=False),
        binary.encode_chunk(1, 2, b"CC", is_last=True),
    ] == CHUNKS
    plain = binary.encode_upload_header("files/put", [])
    assert binary.encode_chunk(2, 0, b"", is_last=True, header=plain) == EMPTY
    assert binary.encode_cancel(1) == bytes.fromhex("021000000001")
    assert binary.upload_event(1) == "00000001"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00",
        b"\x00\x00\x00",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x09{}",
        b"\x00\x00\x02[]",
        b"\x00\x00\x02{}",
        b'\x00\x00\x0e{"rpc":"a/b"}x',
        b'\x00\x00\x15{"rpc":"a/b","id":105}',
        b'\x00\x00\x0d{"rpc":"\xff/b"}',
        b"\x03rest",
    ],
)
def test_a_malformed_call_is_none(frame: bytes) -> None:
    assert parse_binary(frame) is None


@pytest.mark.parametrize(
    "change",
    [
        {1: 0x05},  # a reserved bit
        {1: 0x81},
        {1: 0x00},  # number 0 without arguments
        {9: 0x01},  # arguments behind number 0
        {11: 0x00},  # no arguments at all
        {10: 0xFF},  # arguments beyond the frame
        {12: 0x5B},  # arguments that are no object
    ],
)
def test_a_malformed_chunk_is_none(change: dict[int, int]) -> None:
    frame = bytearray(CHUNKS[0])
    for place, value in change.items():
        frame[place] = value
    assert parse_binary(bytes(frame)) is None


@pytest.mark.parametrize("size", range(12))
def test_a_chunk_that_is_cut_short_is_none(size: int) -> None:
    assert parse_binary(CHUNKS[0][:size]) is None


@pytest.mark.parametrize(
    "frame", [b"\x02", b"\x02\x10\x00\x00\x00", b"\x02\x11\x00\x00\x00\x01", b"\x02\x00\x00\x00\x00\x01"]
)
def test_a_control_that_is_none_of_ours_is_none(frame: bytes) -> None:
    assert parse_binary(frame) is None


def test_a_header_may_have_any_path_and_arguments() -> None:
    for header, found in (
        (b'{"args":[1]}', UploadHeader(None, [1])),
        (b'{"rpc":5}', UploadHeader(None, [])),
        (b'{"rpc":"a/b","args":{"no":1}}', UploadHeader("a/b", [])),
    ):
        chunk = parse_binary(binary.encode_chunk(7, 0, b"x", is_last=False, header=header))
        assert chunk == UploadChunk(7, 0, False, found, b"x")


def test_arguments_that_do_not_fit_are_refused() -> None:
    most = binary.MAX_HEADER - len('{"rpc":"a/b","args":[""]}')
    assert len(binary.encode_upload_header("a/b", ["x" * most])) == binary.MAX_HEADER
    for encode in (
        lambda: binary.encode_upload_header("a/b", ["x" * (most + 1)]),
        lambda: binary.encode_binary_call("a/b", "1", ["x" * most], b""),
    ):
        with pytest.raises(ValueError, match="at most 65535 fit"):
            encode()


@given(st.text(), st.text(), st.lists(json_values, max_size=3), st.binary(max_size=50))
def test_what_is_written_is_read_again(path: str, id: str, args: list[Any], payload: bytes) -> None:
    assert parse_binary(binary.encode_binary_call(path, id, args, payload)) == BinaryCall(
        path, id, args, payload
    )
    header = binary.encode_upload_header(path, args)
    first = parse_binary(binary.encode_chunk(3, 0, payload, is_last=False, header=header))
    assert first == UploadChunk(3, 0, False, UploadHeader(path, args), payload)


@given(ids, st.integers(1, 2**32 - 1), st.binary(max_size=50), st.booleans())
def test_later_chunks_and_ends_are_read_again(
    stream_id: int, seq: int, payload: bytes, is_last: bool
) -> None:
    chunk = binary.encode_chunk(stream_id, seq, payload, is_last=is_last)
    assert parse_binary(chunk) == UploadChunk(stream_id, seq, is_last, None, payload)
    assert parse_binary(binary.encode_cancel(stream_id)) == UploadCancel(stream_id)


@given(st.binary(max_size=80))
def test_any_bytes_are_something_or_none(data: bytes) -> None:
    parse_binary(data)
