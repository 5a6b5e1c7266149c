"""The quick reading of a handshake never differs from that of a complete implementation."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.http11 import Request
from websockets.server import ServerProtocol

from runtime.server.fastpath.handshake import MAX_PLAIN_HEAD, Upgrade, encode_accept, read_upgrade

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
PLAIN: tuple[tuple[str, str], ...] = (
    ("Host", "app.example"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
)

keys = st.binary(min_size=14, max_size=18).map(lambda key: base64.b64encode(key).decode())
tokens = st.sampled_from(["Upgrade", "keep-alive", "upgrade", "x", ""])
values = st.one_of(
    st.sampled_from(["websocket", "WebSocket", "h2c", "13", "12", KEY, "x", "", "a-b; c=d, e", ",;"]),
    keys,
    st.lists(tokens, max_size=3).map(", ".join),
    st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=12),
)
names = st.sampled_from(
    [
        *(name for name, _ in PLAIN),
        *("Origin", "Cookie", "X-Other", "Content-Length", "Transfer-Encoding"),
        *("Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"),
    ]
)
headers = st.one_of(
    st.lists(st.tuples(names, values), max_size=3).map(lambda more: [*PLAIN, *more]),
    st.lists(st.tuples(names, values), max_size=8),
    st.tuples(st.integers(0, len(PLAIN) - 1), values).map(
        lambda change: [(n, change[1] if i == change[0] else v) for i, (n, v) in enumerate(PLAIN)]
    ),
)
targets = st.one_of(st.just("/ws"), st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=8))


def head_of(fields: list[tuple[str, str]], first: str = "GET /ws HTTP/1.1") -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def theirs(head: bytes) -> tuple[Request, str] | None:
    """Return the request and the accept header, `None` if websockets does not accept it as a whole request."""
    server = ServerProtocol()
    server.receive_data(head)
    events = server.events_received()
    if len(events) != 1 or not isinstance(events[0], Request):
        return None
    response = server.accept(events[0])
    return (events[0], response.headers["Sec-WebSocket-Accept"]) if response.status_code == 101 else None


def octets(value: str) -> bytes:
    """Return the bytes of a header as they came; websockets before 17 keeps those beyond ASCII as surrogates."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("ascii", "surrogateescape")


def read(head: bytes) -> Upgrade | None:
    return read_upgrade(head, with_extensions=True)


@given(headers, targets)
@example(list(PLAIN), "/ws?a=b%20c")
@example([*PLAIN, ("Cookie", "theme=d\xe4rk")], "/ws")
@example([*PLAIN, ("Sec-WebSocket-Protocol", "")], "/ws")
@example([*PLAIN, ("Sec-WebSocket-Protocol", "one two")], "/ws")
@example([*PLAIN, ("Sec-WebSocket-Protocol", "one, tw\xf6\xa0")], "/ws")
@example([*PLAIN, ("Sec-WebSocket-Extensions", "one; two=three four")], "/ws")
def test_what_is_read_is_what_websockets_reads(fields: list[tuple[str, str]], target: str) -> None:
    head = head_of(fields, f"GET {target} HTTP/1.1")
    ours = read(head)
    if ours is None:
        return
    other = theirs(head)
    assert other is not None
    request, accept = other
    assert ours.target == request.path
    assert ours.headers == [
        (name.lower().encode(), octets(value)) for name, value in request.headers.raw_items()
    ]
    assert f"Sec-WebSocket-Accept: {accept}\r\n".encode() in encode_accept(ours.key, ())


@given(st.binary(max_size=200))
def test_other_bytes_are_never_read(head: bytes) -> None:
    assert read(head) is None


def test_the_head_of_a_browser_is_plain() -> None:
    fields = [
        *PLAIN,
        ("Origin", "https://app.example"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ("Sec-WebSocket-Protocol", "chat, superchat"),
        ("Cookie", "sid=1; theme=d\xe4rk"),
        ("Pragma", "no-cache"),
    ]
    found = read(head_of(fields))
    assert found is not None
    assert found.target == "/ws"
    assert found.key == KEY.encode()
    assert found.subprotocols == ["chat", "superchat"]
    assert (b"cookie", b"sid=1; theme=d\xe4rk") in found.headers
    assert read_upgrade(head_of(fields), with_extensions=False) is None


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([(n, v) for n, v in PLAIN if n != missing], id=f"no {missing}")
        for missing in ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
    ]
    + [
        pytest.param([*PLAIN, (name, value)], id=f"{name} twice")
        for name, value in (*PLAIN[1:], ("Host", "other.example"))
    ]
    + [
        pytest.param([*PLAIN, ("Content-Length", "0")], id="with a length"),
        pytest.param([*PLAIN, ("Transfer-Encoding", "chunked")], id="chunked"),
        pytest.param([*PLAIN, ("Sec-WebSocket-Extensions", "a;;b")], id="bad extensions"),
        pytest.param([*PLAIN, ("X", "a\nb")], id="a line break"),
        pytest.param([*PLAIN, ("X", "a\0b")], id="a control character"),
        pytest.param([*PLAIN, ("X", "y" * MAX_PLAIN_HEAD)], id="large"),
        pytest.param([*PLAIN, *(("X", "y"),) * 200], id="many"),
    ],
)
def test_what_is_not_plain_is_left_to_others(fields: list[tuple[str, str]]) -> None:
    assert read(head_of(fields)) is None
    assert read(head_of(list(PLAIN))) is not None


@pytest.mark.parametrize(
    "first", ["POST /ws HTTP/1.1", "GET /ws HTTP/1.0", "GET  /ws HTTP/1.1", "GET /w\xe4 HTTP/1.1"]
)
def test_nor_is_another_first_line(first: str) -> None:
    assert read(head_of(list(PLAIN), first)) is None


def test_bytes_behind_the_head_are_not_read() -> None:
    assert read(head_of(list(PLAIN)) + b"\x81\x80\0\0\0\0") is None


def test_the_answer_of_the_standard() -> None:
    assert encode_accept(KEY.encode(), [(b"x-a", b"b")]) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nx-a: b\r\n\r\n"
    )


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\rb"])
def test_a_header_cannot_end_the_answer(value: bytes) -> None:
    with pytest.raises(ValueError, match="line break"):
        encode_accept(KEY.encode(), [(b"x", value)])
