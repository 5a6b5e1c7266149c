"""`/live/client.js`: the browser client, readable in dev, small elsewhere. Spec: platform 3.1, live-api 25.6."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.server.compression import available_codings
from runtime.server.representation import Encoded, Representation, respond

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["CLIENT_FILE", "PACKED_CLIENT_FILE", "ClientFile", "script"]

# By its place and not by import: the client packages stand to the right of this one in the order of layers.
CLIENT_FILE: Final = Path(__file__).parents[1] / "client" / "browser" / "realtime.js"
#: The same without comments and with short names.
PACKED_CLIENT_FILE: Final = CLIENT_FILE.with_name("realtime.min.js")


def script(source: str | bytes) -> Representation:
    """Return JavaScript as it is answered: browsers keep it, but ask each time whether it is the same."""
    body = source.encode("utf-8") if isinstance(source, str) else source
    headers = {
        "content-type": "text/javascript; charset=utf-8",
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
    }
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
    return Representation(len(body), body, etag, headers)


def packed_script(source: bytes) -> Representation:
    """Return JavaScript that has its compressed forms beside it, as a file of `web/` has its siblings."""
    item = script(source)
    bodies = ((coding, compress(source)) for coding, compress in available_codings().items())
    encoded = tuple(Encoded(coding, len(body), body) for coding, body in bodies if len(body) < item.size)
    return replace(item, headers={**item.headers, "vary": "Accept-Encoding"}, encoded=encoded)


@dataclass(slots=True)
class ClientFile:
    """The client script, read when it is first asked for; with `fresh` also whenever the file has changed."""

    file: Path
    fresh: bool = False
    _version: int = -1
    _item: Representation | None = field(default=None)

    def respond(self, request: Request) -> Response:
        """Return the answer to a GET or HEAD."""
        version = self.file.stat().st_mtime_ns if self.fresh else 0
        if self._item is None or version != self._version:
            self._item = packed_script(self.file.read_bytes())
            self._version = version
        return respond(request, self._item)
