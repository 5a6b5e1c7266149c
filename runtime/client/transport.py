"""What carries the frames: a WebSocket of the `websockets` library, or whatever else offers the same."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING, Any, Protocol

from runtime.wire.closing import ABNORMAL, TOO_BIG
from runtime.wire.limits import MAX_OUTBOUND_CHARS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from websockets.asyncio.client import ClientConnection

__all__ = [
    "ConnectFailed",
    "Socket",
    "SocketClosed",
    "Transport",
    "WebSocketTransport",
    "add_cookies",
    "is_binary",
    "origin_of",
    "shown_url",
]

#: Bytes of an inbound frame: a frame has at most so many UTF-16 code units, each of at most three bytes.
MAX_INBOUND_BYTES = 3 * MAX_OUTBOUND_CHARS
#: Seconds that the closing handshake may take.
CLOSE_TIMEOUT = 2.0
#: Servers answer a wrong path of a WebSocket with 403 as often as with 404.
REFUSED_HINTS = {403: "a wrong path, or an Origin it does not allow", 404: "nothing is at this path"}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class ConnectFailed(Exception):
    """No connection came about; the text says why. Always worth another try, as a browser sees it."""


class SocketClosed(Exception):
    """The connection is gone, with the peer's close code or 1006."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Socket(Protocol):
    """An open connection."""

    @property
    def buffered(self) -> int:
        """Bytes that were sent and that the operating system has not taken yet."""
        ...

    async def send(self, frame: bytes) -> None:
        """Send one frame, waiting while the peer is slow: text, unless `is_binary`. Raises `SocketClosed`."""
        ...

    async def recv(self) -> bytes:
        """Return the next frame. Raises `SocketClosed`."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close, waiting a bounded time for the peer's answer. Never raises."""
        ...


def add_cookies(headers: dict[str, str], cookies: str) -> None:
    """Put `cookies` into the `Cookie` header; they replace those of the same names, of which servers take the first."""
    name = next((name for name in headers if name.lower() == "cookie"), "Cookie")
    fresh = {pair.partition("=")[0].strip() for pair in cookies.split(";")}
    old = [pair.strip() for pair in headers.get(name, "").split(";")]
    kept = [pair for pair in old if pair and pair.partition("=")[0].strip() not in fresh]
    headers[name] = "; ".join([*kept, cookies])


class Transport(Protocol):
    """A way to a server."""

    async def open(self, cookies: str | None) -> Socket:
        """Return a new connection, with `cookies` as its `Cookie` header. Raises `ConnectFailed`."""
        ...


class WebSocketTransport:
    """Opens WebSockets to one address.

    Args:
        url: `ws://` or `wss://`.
        headers: further request headers. Without an `Origin` among them the address' own origin is sent, as a
            page of that server would: servers refuse requests without one unless they authenticate.
        ssl: a context for `wss://`; `None` takes the system's certificates.
        open_timeout: seconds for the TCP connection and the handshake together.

    Raises:
        ValueError: an address that is not one of a WebSocket.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        ssl: ssl.SSLContext | None = None,
        open_timeout: float = 10.0,
    ) -> None:
        self.url = url
        self._headers = dict(headers or {})
        if not any(name.lower() == "origin" for name in self._headers):
            self._headers["Origin"] = origin_of(url)
        self._ssl = ssl
        self._open_timeout = open_timeout

    async def open(self, cookies: str | None) -> Socket:
        """Return a new connection, with `cookies` added to its `Cookie` header. Raises `ConnectFailed`."""
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus, WebSocketException

        headers = dict(self._headers)
        if cookies:
            add_cookies(headers, cookies)
        options: dict[str, Any] = {} if self._ssl is None else {"ssl": self._ssl}
        if urllib.parse.urlsplit(self.url).hostname in LOOPBACK:
            options["proxy"] = None
        try:
            connection = await connect(
                self.url,
                additional_headers=headers,
                open_timeout=self._open_timeout,
                close_timeout=CLOSE_TIMEOUT,
                max_size=MAX_INBOUND_BYTES,
                # A pong may be late: on a slow line a ping waits behind what an upload has handed over. What makes
                # sure of the line is `runtime.client.linewatch`.
                ping_timeout=None,
                **options,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            hint = REFUSED_HINTS.get(status)
            raise ConnectFailed(f"the server answered HTTP {status}{f' ({hint})' if hint else ''}") from error
        except (OSError, TimeoutError, WebSocketException) as error:
            raise ConnectFailed(str(error) or type(error).__name__) from error
        return _WebSocket(connection)


class _WebSocket:
    """`Socket` over a connection of the library."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @property
    def buffered(self) -> int:
        return self._connection.transport.get_write_buffer_size()

    async def send(self, frame: bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await self._connection.send(frame, text=not is_binary(frame))
        except ConnectionClosed as error:
            raise self._closed() from error

    async def recv(self) -> bytes:
        from websockets.exceptions import ConnectionClosed

        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed as error:
            if error.sent is not None and error.sent.code == TOO_BIG and not error.rcvd_then_sent:
                # It was this side that refused a frame: code 1009 would say that the server did.
                raise SocketClosed(
                    ABNORMAL, f"a frame of the server was above {MAX_INBOUND_BYTES} bytes"
                ) from error
            raise self._closed() from error

    async def close(self, code: int, reason: str) -> None:
        await self._connection.close(code, reason)

    def _closed(self) -> SocketClosed:
        code = self._connection.close_code
        return SocketClosed(ABNORMAL if code is None else code, self._connection.close_reason or "")


def is_binary(frame: bytes) -> bool:
    """Return whether a frame of ours is a binary one: JSON begins with no control character. Spec: wire 2.2."""
    return frame[0] < 0x20


def origin_of(url: str) -> str:
    """Return the origin of a page on the server of `url`, as a browser writes it.

    Raises:
        ValueError: not a `ws://` or `wss://` address with a host.
    """
    parts = urllib.parse.urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise ValueError(f"url: must be ws://host/path or wss://host/path, not {url!r}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, {"http": 80, "https": 443}[scheme]) else f":{parts.port}"
    return f"{scheme}://{host}{port}"


def shown_url(url: str) -> str:
    """Return `url` for logs and people: without its query, fragment and user, which may hold secrets."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
