"""Answer a GET or HEAD for a known body: conditional requests, ranges, encodings. Spec: platform 3.2."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from starlette.responses import Response, StreamingResponse

from runtime.server.ranges import ByteRange, Unsatisfiable, parse_range

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Message, Receive, Scope, Send

__all__ = ["MEMO_KEY", "Encoded", "Representation", "accepted_encodings", "base36", "etag_matches", "respond"]

#: In a body message: where its compressed forms are kept, by coding; for bodies that are sent again and again.
MEMO_KEY: Final = "realtime.compressed"
CHUNK_BYTES: Final = 256 * 1024  # read from disk at once
_BASE36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A compressed form of the same body; `coding` is its name in `content-encoding`."""

    coding: str
    size: int
    body: bytes | Path


@dataclass(frozen=True, slots=True)
class Representation:
    """A body with what its answer needs. A `Path` as body is streamed from disk.

    Without `etag` neither conditional requests nor ranges are served. `encoded` is ordered, the best first.
    """

    size: int
    body: bytes | Path
    etag: str | None
    headers: Mapping[str, str]
    encoded: tuple[Encoded, ...] = ()
    #: Forms that were compressed on the way out, by coding; `None` for one that is no smaller.
    memo: dict[str, bytes | None] = field(default_factory=dict, compare=False)


class _Lasting(Response):
    """A whole body that is kept, with the place for its compressed forms."""

    def __init__(self, item: Representation, headers: Mapping[str, str]) -> None:
        super().__init__(item.body, 200, headers)
        self._memo = item.memo

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_memo(message: Message) -> None:
            if message["type"] == "http.response.body":
                message[MEMO_KEY] = self._memo
            await send(message)

        await super().__call__(scope, receive, send_with_memo)


def base36(number: int) -> str:
    """Return a number >= 0 with the digits 0-9 and a-z."""
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _BASE36[digit] + digits
        if number == 0:
            return digits


def etag_matches(header: str, etag: str) -> bool:
    """Whether an `If-None-Match` header names `etag`: alone, in a list, or as `*`; weak or strong is one."""
    if header.strip() == "*":
        return True
    opaque = etag.removeprefix("W/")
    return any(candidate.strip().removeprefix("W/") == opaque for candidate in header.split(","))


@functools.lru_cache(256)
def accepted_encodings(header: str) -> frozenset[str]:
    """Return which of br, zstd and gzip an `Accept-Encoding` header accepts; `q=0` refuses one."""
    weights: dict[str, float] = {}
    for item in header.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        weights[coding] = min([1.0, *(_weight(text) for text in parameters)])
    anything = weights.get("*", 0.0)
    return frozenset(coding for coding in ("br", "zstd", "gzip") if weights.get(coding, anything) > 0)


def _weight(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if weight >= 0 else 0.0  # also of "nan", which is a number to Python


def respond(request: Request, item: Representation) -> Response:
    """Return the answer to a GET or HEAD: 200, 206, 304 or 416. The layer around takes the body of HEAD away."""
    headers = dict(item.headers)
    if item.etag is not None:
        headers["etag"] = item.etag
        known = request.headers.getlist("if-none-match")
        if known and etag_matches(",".join(known), item.etag):
            return Response(None, 304, headers)
        wanted = _wanted_range(request, item)
        if isinstance(wanted, Unsatisfiable):
            headers["content-range"] = f"bytes */{item.size}"
            headers["content-type"] = "text/plain; charset=utf-8"
            return Response("Range Not Satisfiable", 416, headers)
        if wanted is not None:
            headers["content-range"] = f"bytes {wanted.first}-{wanted.last}/{item.size}"
            return _send(request, 206, headers, item.body, wanted)
    encoded = _choose(request, item)
    if encoded is not None:
        headers["content-encoding"] = encoded.coding
        return _send(request, 200, headers, encoded.body, ByteRange(0, encoded.size - 1))
    if isinstance(item.body, bytes):
        return _Lasting(item, headers)
    return _send(request, 200, headers, item.body, ByteRange(0, item.size - 1))


def _wanted_range(request: Request, item: Representation) -> ByteRange | Unsatisfiable | None:
    asked = request.headers.getlist("range")
    unchanged = request.headers.get("if-range", item.etag) == item.etag
    return parse_range(asked[0], item.size) if len(asked) == 1 and unchanged else None


def _choose(request: Request, item: Representation) -> Encoded | None:
    if not item.encoded:
        return None
    accepted = accepted_encodings(",".join(request.headers.getlist("accept-encoding")))
    return next((one for one in item.encoded if one.coding in accepted), None)


def _send(
    request: Request, status: int, headers: dict[str, str], body: bytes | Path, part: ByteRange
) -> Response:
    headers["content-length"] = str(part.length)
    if isinstance(body, Path):
        if request.method == "HEAD":
            return Response(None, status, headers)
        return StreamingResponse(_read(body, part), status, headers)
    whole = part.length == len(body)
    return Response(body if whole else body[part.first : part.last + 1], status, headers)


async def _read(path: Path, part: ByteRange) -> AsyncIterator[bytes]:
    """Yield a part of a file; one that has become shorter raises, which cuts the connection."""
    left = part.length
    handle = await asyncio.to_thread(_open_at, path, part.first)
    try:
        while left:
            piece = await asyncio.to_thread(handle.read, min(CHUNK_BYTES, left))
            if not piece:
                raise EOFError(f"{path.name} has become shorter while it was sent")
            left -= len(piece)
            yield piece
    finally:
        handle.close()


def _open_at(path: Path, position: int) -> BinaryIO:
    handle = path.open("rb")
    handle.seek(position)
    return handle
