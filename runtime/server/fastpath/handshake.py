"""The opening handshake of a client that does what every browser does, read and answered in one go. RFC 6455 4.2.

Only the plain case is known here. Whatever else comes, wrong or merely unusual, is for a complete implementation of
the handshake to accept or to refuse, so `read_upgrade` answers `None` where it has the slightest doubt.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_PLAIN_HEAD", "Upgrade", "encode_accept", "read_upgrade"]

MAX_PLAIN_HEAD: Final = 8192  # bytes of a head that is read here
MAX_PLAIN_HEADERS: Final = 100

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_HEAD: Final = re.compile(
    rb"GET [\x21-\x7e]+ HTTP/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)+\r\n"
)
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")
# A list of extensions, each with its parameters, without quoted values.
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_EXTENSIONS: Final = re.compile(
    rb"(?:%b(?: ?; ?%b(?:=%b)?)*)(?: ?, ?%b(?: ?; ?%b(?:=%b)?)*)*" % ((_TOKEN,) * 6)
)
_PROTOCOLS: Final = re.compile(rb"%b(?:[ \t]*,[ \t]*%b)*" % ((_TOKEN,) * 2))
# Headers that come at most once in a plain handshake.
_ONCE: Final = frozenset(
    {
        b"connection",
        b"host",
        b"origin",
        b"sec-websocket-extensions",
        b"sec-websocket-key",
        b"sec-websocket-protocol",
        b"sec-websocket-version",
        b"upgrade",
    }
)
_WITH_BODY: Final = frozenset({b"content-length", b"transfer-encoding"})


class Upgrade(NamedTuple):
    """A plain upgrade request; names of headers are in lower case, as ASGI has them."""

    target: str
    headers: list[tuple[bytes, bytes]]
    key: bytes
    subprotocols: list[str]


def read_upgrade(head: bytes, *, with_extensions: bool) -> Upgrade | None:
    """Return the request in `head`, or `None` when it is not the plain case.

    Args:
        head: the request up to and with its blank line, and nothing behind it.
        with_extensions: whether one that offers extensions counts as plain, because none will be taken.
    """
    if len(head) > MAX_PLAIN_HEAD or _HEAD.fullmatch(head) is None:
        return None
    lines = head.split(b"\r\n")
    if len(lines) > MAX_PLAIN_HEADERS:
        return None
    headers: list[tuple[bytes, bytes]] = []
    once: dict[bytes, bytes] = {}
    for line in lines[1:-2]:
        name, _, value = line.partition(b":")
        name = name.lower()
        value = value.strip(b" \t")
        headers.append((name, value))
        if name in _ONCE:
            if name in once:
                return None
            once[name] = value
        elif name in _WITH_BODY:
            return None
    key = once.get(b"sec-websocket-key", b"")
    if (
        once.get(b"sec-websocket-version") != b"13"
        or once.get(b"upgrade", b"").lower() != b"websocket"
        or _KEY.fullmatch(key) is None
        or not _asks_to_upgrade(once.get(b"connection", b""))
    ):
        return None
    offered = once.get(b"sec-websocket-extensions")
    if offered is not None and not (with_extensions and _EXTENSIONS.fullmatch(offered)):
        return None
    protocols = once.get(b"sec-websocket-protocol")
    if protocols is not None and _PROTOCOLS.fullmatch(protocols) is None:
        return None
    return Upgrade(
        target=lines[0][4:-9].decode("ascii"),
        headers=headers,
        key=key,
        subprotocols=[]
        if protocols is None
        else [text.strip() for text in protocols.decode("ascii").split(",")],
    )


def encode_accept(key: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the 101 answer to the request with this key; `headers` go behind those of the handshake.

    Raises:
        ValueError: a header with a line break in it.
    """
    digest = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + digest,
    ]
    lines += [b"%b: %b" % header for header in headers]
    lines.append(b"\r\n")
    answer = b"\r\n".join(lines)
    if not answer.count(b"\n") == answer.count(b"\r") == len(lines):
        raise ValueError("a header of the 101 answer has a line break in it")
    return answer


def _asks_to_upgrade(connection: bytes) -> bool:
    return connection.lower() == b"upgrade" or b"upgrade" in [
        token.strip(b" \t") for token in connection.lower().split(b",")
    ]
