"""Ranges of static files. Spec: platform 3.2."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.server.ranges import UNSATISFIABLE, ByteRange, parse_range


@pytest.mark.spec("PLAT-82")
@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        ("bytes=0-4", 10, ByteRange(0, 4)),
        ("bytes=0-0", 10, ByteRange(0, 0)),
        ("bytes=5-", 10, ByteRange(5, 9)),
        ("bytes=9-9", 10, ByteRange(9, 9)),
        ("bytes=5-100", 10, ByteRange(5, 9)),
        ("bytes=-3", 10, ByteRange(7, 9)),
        ("bytes=-100", 10, ByteRange(0, 9)),
        ("bytes=00005-0000006", 10, ByteRange(5, 6)),
        (f"bytes=0-{'9' * 5000}", 10, ByteRange(0, 9)),
        (f"bytes=-{'9' * 5000}", 10, ByteRange(0, 9)),
        (f"bytes={'0' * 5000}1-", 10, ByteRange(1, 9)),
        ("bytes=10-", 10, UNSATISFIABLE),
        ("bytes=10-20", 10, UNSATISFIABLE),
        (f"bytes={'9' * 5000}-", 10, UNSATISFIABLE),
        ("bytes=0-", 0, UNSATISFIABLE),
        ("bytes=-1", 0, UNSATISFIABLE),
        ("bytes=4-3", 10, None),
        ("bytes=20-10", 10, None),
        ("bytes=-0", 10, None),
        ("bytes=-", 10, None),
        ("bytes=", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("bytes=a-b", 10, None),
        ("bytes=1.5-", 10, None),
        ("bytes=+1-", 10, None),
        ("bytes= 1-2", 10, None),
        ("bytes=1 -2", 10, None),
        ("bytes=\u0661-\u0662", 10, None),
        ("items=0-1", 10, None),
        ("0-1", 10, None),
        ("", 10, None),
        ("bytes=0-1\n", 10, None),
    ],
)
def test_parse_range(header, size, expected):
    assert parse_range(header, size) == expected


@given(
    st.text(alphabet="bytes=-,0123456789 x", max_size=30) | st.from_regex(r"bytes=\d*-\d*", fullmatch=True),
    st.integers(0, 1000),
)
@example("bytes=0-999", 1000)
def test_a_range_always_lies_inside_the_body(header, size):
    found = parse_range(header, size)
    if isinstance(found, ByteRange):
        assert 0 <= found.first <= found.last < size
        assert found.length == found.last - found.first + 1
        assert re.fullmatch(r"bytes=\d*-\d*", header)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 100))
def test_agrees_with_slicing(first, last, size):
    data = bytes(range(100))[:size]
    found = parse_range(f"bytes={first}-{last}", size)
    if last < first:
        assert found is None
    elif first >= size:
        assert found is UNSATISFIABLE
    else:
        assert isinstance(found, ByteRange)
        assert data[found.first : found.last + 1] == data[first : last + 1]


DATA = "0123456789"


@pytest.mark.spec("PLAT-82")
@pytest.mark.parametrize("memory", [0, 1000], ids=["streamed", "held"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("headers", "status", "content_range", "body"),
    [
        ({"range": "bytes=2-4"}, 206, "bytes 2-4/10", "234"),
        ({"range": "bytes=8-20"}, 206, "bytes 8-9/10", "89"),
        ({"range": "bytes=-2"}, 206, "bytes 8-9/10", "89"),
        ({"range": "bytes=0-"}, 206, "bytes 0-9/10", DATA),
        ({"range": "bytes=10-"}, 416, "bytes */10", "Range Not Satisfiable"),
        ({"range": "bytes=0-1,4-5"}, 200, None, DATA),
        ({"range": "bytes=5-1"}, 200, None, DATA),
        ({"range": "lines=0-1"}, 200, None, DATA),
        ({"range": "bytes=0-1", "if-range": 'W/"loyw3v5n-a"'}, 206, "bytes 0-1/10", "01"),
        ({"range": "bytes=0-1", "if-range": 'W/"other"'}, 200, None, DATA),
        ({"range": "bytes=0-1", "if-range": "Wed, 21 Oct 2015 07:28:00 GMT"}, 200, None, DATA),
        ({"range": "bytes=0-1", "if-none-match": "*"}, 304, None, ""),
    ],
)
def test_range_matrix(make_site, memory, method, headers, status, content_range, body):
    site = make_site({"web/a.txt": DATA}, static_memory_file=memory)
    answer = site.client.request(method, "/a.txt", headers=headers)
    assert answer.status_code == status
    assert answer.headers.get("content-range") == content_range
    if status != 304:
        assert answer.headers["content-length"] == str(len(body))
        assert answer.headers["x-content-type-options"] == "nosniff"
    if method == "GET":
        assert answer.text == body
    if status == 206:
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["accept-ranges"] == "bytes"


@pytest.mark.spec("PLAT-82")
def test_two_range_headers_are_ignored(make_site):
    site = make_site({"web/a.txt": DATA})
    answer = site.get("/a.txt", headers=[("range", "bytes=0-1"), ("range", "bytes=3-4")])
    assert (answer.status_code, answer.text) == (200, DATA)


@pytest.mark.spec("PLAT-82")
def test_ranges_are_of_the_uncompressed_bytes(make_site):
    site = make_site({"web/a.txt": DATA, "web/a.txt.gz": "GZ"})
    answer = site.get("/a.txt", headers={"range": "bytes=2-4", "accept-encoding": "gzip"})
    assert (answer.status_code, answer.text) == (206, "234")
    assert "content-encoding" not in answer.headers


def test_empty_file(make_site):
    site = make_site({"web/a.txt": ""})
    assert (site.get("/a.txt").status_code, site.get("/a.txt").content) == (200, b"")
    answer = site.get("/a.txt", headers={"range": "bytes=0-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */0")
