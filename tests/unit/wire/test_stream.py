from __future__ import annotations

import pytest

from runtime.wire.stream import StreamReply, encode_stream_reply


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (
            StreamReply(b'[{"id":1}]', topic="todos", merge="crud", key="id"),
            '{"id":"k","ok":true,"data":[{"id":1}],"topic":"todos","merge":"crud","key":"id"}',
        ),
        (
            StreamReply(b"[]", "log:web", "crud", "id", prepend=True, max=50, has_more=True, cursor=8),
            '{"id":"k","ok":true,"data":[],"topic":"log:web","merge":"crud","key":"id","prepend":true,"max":50,'
            '"hasMore":true,"cursor":8}',
        ),
        (
            StreamReply(b"[]", "log", "crud", "id", has_more=False, cursor=None),
            '{"id":"k","ok":true,"data":[],"topic":"log","merge":"crud","key":"id","hasMore":false,"cursor":null}',
        ),
        (
            StreamReply(b"null", "cfg", "set", channel=True),
            '{"id":"k","ok":true,"data":null,"topic":"cfg","merge":"set","channel":true}',
        ),
        (
            StreamReply(b'{"n":4}', "dash/stats", "set", derived=True),
            '{"id":"k","ok":true,"data":{"n":4},"topic":"dash/stats","merge":"set","derived":true}',
        ),
        (
            StreamReply(b"[]", "feed", "crud", "id", seq=44, replay=True),
            '{"id":"k","ok":true,"data":[],"topic":"feed","merge":"crud","key":"id","seq":44,"replay":true}',
        ),
        (
            StreamReply(b"[]", "feed", "crud", "id", seq=0, version=3, schema_version=2, replay=False),
            '{"id":"k","ok":true,"data":[],"topic":"feed","merge":"crud","key":"id","seq":0,"version":3,'
            '"schemaVersion":2,"replay":false}',
        ),
        (
            StreamReply(b"[]", "feed", "crud", "id", unchanged=True, version=None),
            '{"id":"k","ok":true,"data":[],"topic":"feed","merge":"crud","key":"id","unchanged":true,"version":null}',
        ),
        (
            StreamReply(b"[]", "feed", "crud", "id", delta=True, version="v2"),
            '{"id":"k","ok":true,"data":[],"topic":"feed","merge":"crud","key":"id","delta":true,"version":"v2"}',
        ),
        (StreamReply(b"null", gated=True), '{"id":"k","ok":true,"data":null,"gated":true}'),
        (
            StreamReply(b"1", topic='t"', prepend=False),
            '{"id":"k","ok":true,"data":1,"topic":"t\\"","prepend":false}',
        ),
    ],
)
@pytest.mark.spec("WIRE-90")
def test_a_stream_reply_has_the_keys_that_apply_in_order(reply: StreamReply, text: str) -> None:
    assert encode_stream_reply("k", reply) == text.encode()
