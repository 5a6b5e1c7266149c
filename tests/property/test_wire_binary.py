"""Binary frames: what is encoded is what is read, and nothing that comes raises. Spec: wire 4.6 and 4.7."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.wire.binary import (
    BinaryCall,
    UploadCancel,
    UploadChunk,
    UploadHeader,
    encode_binary_call,
    encode_cancel,
    encode_chunk,
    encode_upload_header,
    parse_binary,
    upload_event,
)

UINT32 = st.integers(0, 2**32 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ARGS = st.lists(JSON, max_size=4)


@pytest.mark.spec("WIRE-72")
@given(TEXT, TEXT, ARGS, st.binary(max_size=50))
def test_calls_are_read_as_they_were_written(path: str, id: str, args: list[Any], payload: bytes) -> None:
    assert parse_binary(encode_binary_call(path, id, args, payload)) == BinaryCall(path, id, args, payload)


@pytest.mark.spec("WIRE-78")
@given(UINT32, st.integers(1, 2**32 - 1), st.booleans(), st.binary(max_size=50))
def test_chunks_are_read_as_they_were_written(id: int, seq: int, is_last: bool, payload: bytes) -> None:
    frame = encode_chunk(id, seq, payload, is_last=is_last)
    assert parse_binary(frame) == UploadChunk(id, seq, is_last, None, payload)
    assert len(frame) == 10 + len(payload)
    assert encode_chunk(id, seq, memoryview(payload), is_last=is_last) == frame


@pytest.mark.spec("WIRE-78")
@given(UINT32, st.booleans(), TEXT, ARGS, st.binary(max_size=50))
def test_first_chunks_are_read_as_they_were_written(
    id: int, is_last: bool, path: str, args: list[Any], payload: bytes
) -> None:
    header = encode_upload_header(path, args)
    frame = encode_chunk(id, 0, payload, is_last=is_last, header=header)
    assert parse_binary(frame) == UploadChunk(id, 0, is_last, UploadHeader(path, args), payload)
    assert len(frame) == 12 + len(header) + len(payload)


@pytest.mark.spec("WIRE-86")
@given(UINT32, st.binary(max_size=5))
def test_what_follows_a_cancel_is_ignored(id: int, rest: bytes) -> None:
    assert parse_binary(encode_cancel(id) + rest) == UploadCancel(id)
    assert int(upload_event(id), 16) == id
    assert len(upload_event(id)) == 8


@pytest.mark.spec("WIRE-82")
@given(UINT32, UINT32, st.integers(0, 255), st.binary(max_size=50))
def test_flags_that_do_not_fit_are_no_frame(id: int, seq: int, flags: int, rest: bytes) -> None:
    frame = bytes((1, flags)) + id.to_bytes(4, "big") + seq.to_bytes(4, "big") + rest
    found = parse_binary(frame)
    if flags & 0xFC or bool(flags & 1) is not (seq == 0):
        assert found is None
    elif not flags & 1:
        assert found == UploadChunk(id, seq, bool(flags & 2), None, rest)


@given(st.binary(max_size=80), st.sampled_from([b"", b"\x00", b"\x01", b"\x02", b"\x02\x10"]))
def test_nothing_that_comes_raises(data: bytes, marker: bytes) -> None:
    found = parse_binary(marker + data)
    assert found is None or isinstance(found, BinaryCall | UploadChunk | UploadCancel)


@given(st.data(), ARGS, st.binary(max_size=20))
def test_a_frame_that_is_cut_is_shorter_or_none(data: st.DataObject, args: list[Any], payload: bytes) -> None:
    whole = encode_chunk(7, 0, payload, is_last=True, header=encode_upload_header("a/b", args))
    cut = data.draw(st.integers(0, len(whole) - 1))
    found = parse_binary(whole[:cut])
    head = len(whole) - len(payload)
    if cut < head:
        assert found is None
    else:
        assert isinstance(found, UploadChunk)
        assert found.payload == payload[: cut - head]
