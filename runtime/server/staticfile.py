"""One file of `web/` as it is answered: headers, ETag, precompressed siblings. Spec: platform 3.2."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from runtime.server.contenttypes import content_type, disposition
from runtime.server.pages import mount_prefix
from runtime.server.representation import Encoded, Representation, base36, respond

__all__ = ["CODINGS", "ENTRY_KEY", "Redirect", "StaticFile", "mtime_of"]
if TYPE_CHECKING:
    import os

    from starlette.requests import Request

#: In the scope of a request: what the index of `web/` has at its path, `None` for a malformed path.
ENTRY_KEY: Final = "realtime.static"
#: Suffixes of precompressed siblings and their codings, the best first.
CODINGS: Final = {".br": "br", ".zst": "zstd", ".gz": "gzip"}
#: What stands for itself in the path of a URL; `%`, `?` and `#` in the name of a file do not.
PATH_SAFE: Final = "/:@!$&'()*+,;="
IMMUTABLE: Final = "public, max-age=31536000, immutable"


def static_headers(name: str, *, immutable: bool) -> dict[str, str]:
    """Return the headers that every answer for a static file of this name has."""
    headers = {
        "content-type": content_type(name),
        "cache-control": IMMUTABLE if immutable else "no-cache",
        "vary": "Accept-Encoding",
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
    }
    attachment = disposition(name)
    if attachment is not None:
        headers["content-disposition"] = attachment
    return headers


def file_etag(mtime_ms: int, size: int) -> str:
    """Return the weak ETag of a file's version."""
    return f'W/"{base36(mtime_ms)}-{base36(size)}"'


@dataclass(slots=True)
class StaticFile:
    """One file, its content in memory or (`body` is `None`) streamed from disk."""

    file: Path
    size: int
    mtime_ms: int
    body: bytes | None
    encoded: tuple[Encoded, ...]
    immutable: bool

    async def respond(self, request: Request) -> Response:
        """Return the answer to a GET or HEAD."""
        size, mtime_ms, encoded = self.size, self.mtime_ms, self.encoded
        if self.body is None:
            # What lies on disk may have changed since it was indexed; the announced length has to be true.
            try:
                status = await asyncio.to_thread(self.file.stat)
            except OSError:
                raise HTTPException(404) from None
            if not stat.S_ISREG(status.st_mode):
                raise HTTPException(404)
            if (status.st_size, mtime_of(status)) != (size, mtime_ms):
                size, mtime_ms, encoded = status.st_size, mtime_of(status), ()
        etag = None if self.immutable else file_etag(mtime_ms, size)
        headers = static_headers(self.file.name, immutable=self.immutable)
        body = self.file if self.body is None else self.body
        return respond(request, Representation(size, body, etag, headers, encoded))


def mtime_of(status: os.stat_result) -> int:
    """Return the time of the last change in whole milliseconds, never negative."""
    return max(0, status.st_mtime_ns // 1_000_000)


@dataclass(slots=True, frozen=True)
class Redirect:
    """The other spelling of a page's name: `/about` for `/about/` or the other way round."""

    target: str

    async def respond(self, request: Request) -> Response:
        """Return a 308 to the page, the query kept, inside the mount prefix."""
        query = request.scope["query_string"].decode("latin-1")  # request.url would want a host that is one
        location = quote(f"{mount_prefix(request)}{self.target}", safe=PATH_SAFE)
        return RedirectResponse(f"{location}?{query}" if query else location, 308)
