"""HTML pages: files as they are, and Jinja2 templates (`*.html.j2`) rendered per request.

Both get the import map and the page snippets in their head. Spec: platform 3.2 and 3.4, live-api 21.1.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from runtime.live.pageload import load, preload
from runtime.server.importmap import inject
from runtime.server.representation import Representation, base36, respond

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.requests import Request

__all__ = ["HTML_HEADERS", "HtmlPage", "TemplatePage", "mount_prefix"]

HTML_HEADERS: Final = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
}
MAX_PREFIXES: Final = 8  # rendered forms kept per page, one per mount path; further ones are made per request


def mount_prefix(request: Request) -> str:
    """Return the path under which the app is mounted, without a slash at its end; "" at the root."""
    root_path: str = request.scope.get("root_path", "")
    return root_path.rstrip("/")


@dataclass(slots=True)
class HtmlPage:
    """One HTML file. `source` is `None` for a file too large to be held, which is read for every request."""

    file: Path
    source: bytes | None
    mtime_ms: int
    snippets: Sequence[str]
    _rendered: dict[str, Representation] = field(default_factory=dict)

    async def respond(self, request: Request) -> Response:
        """Return the page with its head filled; length and ETag are those of the bytes sent."""
        prefix = mount_prefix(request)
        ready = self._rendered.get(prefix)
        if ready is None:
            ready = self._render(self.source if self.source is not None else await self._read(), prefix)
            if self.source is not None and len(self._rendered) < MAX_PREFIXES:
                self._rendered[prefix] = ready
        return respond(request, ready)

    async def _read(self) -> bytes:
        try:
            return await asyncio.to_thread(self.file.read_bytes)
        except OSError:
            raise HTTPException(404) from None

    def _render(self, source: bytes, prefix: str) -> Representation:
        body = inject(source, prefix, self.snippets)
        headers = {**HTML_HEADERS, "vary": "Accept-Encoding", "accept-ranges": "bytes"}
        etag = f'W/"{base36(self.mtime_ms)}-{base36(len(body))}"'
        return Representation(len(body), body, etag, headers)


class TemplatePage:
    """One Jinja2 page. The template sees `request`, `prefix` (the path under which the app is mounted), and `load` and
    `preload` of `live`, for the app's platform.
    """

    __slots__ = ("name", "snippets", "templates")

    def __init__(self, name: str, templates: Environment, snippets: Sequence[str]) -> None:
        self.name = name
        self.templates = templates
        self.snippets = snippets

    async def respond(
        self,
        request: Request,
        context: Mapping[str, Any] | None = None,
        *,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Return the rendered page, also for HEAD. What the template raises is the caller's: a 500, or what is
        answered for a `LiveError`.
        """
        prefix = mount_prefix(request)
        platform = request.scope.get("state", {}).get("platform")
        names = {
            "request": request,
            "prefix": prefix,
            "load": functools.partial(load, platform=platform),
            "preload": functools.partial(preload, platform=platform),
            **(context or {}),
        }
        text = await self.templates.get_template(self.name).render_async(names)
        body = inject(text.encode("utf-8"), prefix, self.snippets)
        own = {name.lower(): value for name, value in (headers or {}).items()}
        return Response(body, status_code, {**HTML_HEADERS, **own, "content-length": str(len(body))})
