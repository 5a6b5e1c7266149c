"""Compression of answers that are made per request. Spec: platform 3.6 and 5.7.

Only whole bodies of text types are compressed, never streams, and never for a request with credentials: the length of
what is compressed would tell what stands beside reflected input (BREACH). Files of `web/` have siblings instead.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import importlib
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import MutableHeaders

from runtime.server.representation import MEMO_KEY, accepted_encodings
from runtime.server.staticfile import ENTRY_KEY, StaticFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from runtime.server.credentials import Credentials

__all__ = ["Compression", "available_codings", "is_compressible"]

MIN_BYTES: Final = 1024  # a shorter body gains nothing
THREAD_BYTES: Final = 64 * 1024  # a longer body is compressed in a thread
GZIP_LEVEL: Final = 6
BROTLI_QUALITY: Final = 4

_TYPES: Final = frozenset(
    {f"text/{name}" for name in ("html", "css", "plain", "xml", "javascript", "csv", "markdown")}
    | {
        f"application/{name}"
        for name in ("json", "xml", "javascript", "xhtml+xml", "ld+json", "manifest+json")
    }
    | {"application/rss+xml", "application/atom+xml", "image/svg+xml"}
)
_WITHOUT_BODY: Final = frozenset({204, 205, 206, 304})
_FINAL: Final = frozenset({b"content-encoding", b"content-range"})  # say that the body is as it has to be


def is_compressible(content_type: str) -> bool:
    """Return whether bodies of this `content-type` gain from compression."""
    return content_type.partition(";")[0].strip().lower() in _TYPES


@functools.cache
def available_codings() -> dict[str, Callable[[bytes], bytes]]:
    """Return how to compress, by coding, the best first; brotli only where its package is installed."""
    found: dict[str, Callable[[bytes], bytes]] = {}
    try:
        brotli: Any = importlib.import_module("brotli")
    except ImportError:
        pass
    else:
        found["br"] = functools.partial(brotli.compress, quality=BROTLI_QUALITY)
    found["gzip"] = functools.partial(gzip.compress, compresslevel=GZIP_LEVEL, mtime=0)
    return found


class Compression:
    """Compresses for clients that accept it; every other message passes as it is. HEAD gets the headers of GET."""

    def __init__(self, app: ASGIApp, credentials: Credentials | None, *, enabled: bool = True) -> None:
        """Serve `app`; requests with `credentials` get plain answers (`None`: nobody's are told apart).

        Without `enabled` nothing is compressed; only the bodies of HEAD are taken away.
        """
        self._app = app
        self._credentials = credentials
        self._enabled = enabled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        await self._app(scope, receive, _Answer(self, scope, send).send)

    def may_change(self, scope: Scope, start: Message) -> bool:
        """Return whether an answer that begins like this may be compressed if its body comes in one piece."""
        status = start["status"]
        if not self._enabled or status < 200 or status in _WITHOUT_BODY:
            return False
        is_text = False
        for name, value in start.get("headers", ()):
            if name == b"content-type":
                is_text = is_compressible(value.decode("latin-1"))
            elif name in _FINAL or (name == b"cache-control" and b"no-transform" in value.lower()):
                return False
        return is_text and not isinstance(scope.get(ENTRY_KEY), StaticFile)

    def coding(self, scope: Scope) -> str | None:
        """Return the coding for the answer to this request, if it may have one."""
        if self._credentials is not None and self._credentials.are_in(scope["headers"]):
            return None
        sent = [value.decode("latin-1") for name, value in scope["headers"] if name == b"accept-encoding"]
        accepted = accepted_encodings(",".join(sent)) if sent else frozenset()
        return next((coding for coding in available_codings() if coding in accepted), None)


class _Answer:
    """One answer on its way: its start is held until it is known whether the body comes in one piece."""

    __slots__ = ("_held", "_is_head", "_layer", "_scope", "_send")

    def __init__(self, layer: Compression, scope: Scope, send: Send) -> None:
        self._layer = layer
        self._scope = scope
        self._send = send
        self._is_head = scope["method"] == "HEAD"
        self._held: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self._layer.may_change(self._scope, message):
            self._held = message
            return
        start, self._held = self._held, None
        is_body = message["type"] == "http.response.body"
        memo = message.pop(MEMO_KEY, None) if is_body else None
        if start is not None:
            if is_body and not message.get("more_body", False):
                start, message = await self._whole(start, message, memo)
            await self._send(start)
        await self._send({**message, "body": b""} if is_body and self._is_head else message)

    async def _whole(
        self, start: Message, message: Message, memo: dict[str, bytes | None] | None
    ) -> tuple[Message, Message]:
        """Return the messages of a body in one piece, compressed where that is possible and worth it."""
        body = message.get("body", b"")
        if len(body) < MIN_BYTES:
            return start, message
        headers = MutableHeaders(raw=list(start.get("headers", [])))
        _vary(headers)
        start = {**start, "headers": headers.raw}
        coding = self._layer.coding(self._scope)
        packed = await _packed(body, coding, memo) if coding is not None else None
        if packed is None or coding is None:
            return start, message
        headers["content-encoding"] = coding
        headers["content-length"] = str(len(packed))
        etag = headers.get("etag")
        if etag is not None and not etag.startswith("W/"):
            headers["etag"] = f"W/{etag}"
        return {**start, "headers": headers.raw}, {**message, "body": packed}


async def _packed(body: bytes, coding: str, memo: dict[str, bytes | None] | None) -> bytes | None:
    """Return the body compressed, `None` if that is no smaller."""
    if memo is not None and coding in memo:
        return memo[coding]
    compress = available_codings()[coding]
    if len(body) > THREAD_BYTES:
        packed = await asyncio.to_thread(compress, bytes(body))
    else:
        packed = compress(bytes(body))
    result = packed if len(packed) < len(body) else None
    if memo is not None:
        memo[coding] = result
    return result


def _vary(headers: MutableHeaders) -> None:
    """Say that the answer depends on what the client accepts, beside what it says already."""
    present = [part.strip().lower() for part in ",".join(headers.getlist("vary")).split(",")]
    if "*" not in present and "accept-encoding" not in present:
        headers.add_vary_header("Accept-Encoding")
