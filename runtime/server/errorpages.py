"""What a browser sees when something goes wrong outside a handler of the app.

Short plain text without detail; in dev, for a browser that takes HTML, a page with the traceback.
Spec: platform 3.9 and 9.2.
"""

from __future__ import annotations

import html
import traceback
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from runtime.live.problems import user_traceback
from runtime.server.importmap import inject
from runtime.server.liveerrors import live_error_handlers
from runtime.server.pages import mount_prefix

if TYPE_CHECKING:
    from starlette.requests import Request

    from runtime.server.http import HttpRuntime
    from runtime.server.static import StaticIndex

__all__ = ["error_handlers"]

# The phrases of the specification where Python's are older.
_PHRASES: Final = {413: "Content Too Large", 426: "Upgrade Required"}
# Starlette answers an exception outside of the middleware that adds this elsewhere.
NOSNIFF: Final = {"x-content-type-options": "nosniff"}
_NO_BODY: Final = frozenset({204, 304})
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }}
h1 {{ font-size: 1.3rem; overflow-wrap: anywhere; }}
pre {{ background: color-mix(in srgb, currentColor 8%, transparent); border-radius: .5rem; overflow-x: auto;
  padding: 1rem; font: .85rem/1.5 ui-monospace, monospace; }}
details {{ margin-top: 1rem; }}
</style></head><body><h1>{title}</h1>{body}</body></html>
"""

Handler = Callable[["Request", Any], Awaitable[Response]]


def error_handlers(runtime: HttpRuntime) -> dict[Any, Handler]:
    """Return the exception handlers of the app, for `Starlette(exception_handlers=...)`.

    In dev a page shows the traceback, the frames of the project first, and carries the page snippets, so that it
    reloads when the file is right; a 404 lists the pages that there are.
    """
    dev, project, snippets = runtime.settings.is_dev, runtime.project, runtime.page_snippets

    async def http_error(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code in _NO_BODY or error.status_code < 200:
            return Response(None, error.status_code, headers)
        phrase = _phrase(error.status_code)
        text = phrase if error.detail == HTTPStatus(error.status_code).phrase else error.detail
        if dev and error.status_code == 404 and text == phrase and _takes_html(request):
            return page(
                request,
                404,
                f"404: nothing at {request.url.path}",
                _listing(request, runtime.static),
                headers,
            )
        return PlainTextResponse(text, error.status_code, headers)

    async def server_error(request: Request, error: Exception) -> Response:
        if not dev:
            return PlainTextResponse(_phrase(500), 500, NOSNIFF)
        trace = runtime.redactor.trace
        whole = trace("".join(traceback.format_exception(error)))
        if not _takes_html(request):
            return PlainTextResponse(whole, 500, NOSNIFF)
        own = trace(user_traceback(error, project)) if project is not None else whole
        body = f"<pre>{html.escape(own)}</pre>"
        if own != whole:
            body += f"<details><summary>All frames</summary><pre>{html.escape(whole)}</pre></details>"
        return page(request, 500, trace(f"{type(error).__name__}: {error}"), body, NOSNIFF)

    def page(request: Request, status: int, title: str, body: str, headers: dict[str, str]) -> Response:
        text = _PAGE.format(title=html.escape(title), body=body)
        content = inject(text.encode("utf-8", "replace"), mount_prefix(request), snippets)
        return HTMLResponse(content, status, headers)

    return {HTTPException: http_error, **live_error_handlers(runtime), Exception: server_error}


def _phrase(status: int) -> str:
    return _PHRASES.get(status) or HTTPStatus(status).phrase


def _takes_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _listing(request: Request, static: StaticIndex | None) -> str:
    paths = [path for path in static.paths() if path.endswith((".html", "/"))] if static is not None else []
    if not paths:
        return (
            "<p>There are no pages yet: put an <code>index.html</code> into the folder of the web files.</p>"
        )
    prefix = mount_prefix(request)
    links = "".join(
        f'<li><a href="{html.escape(prefix + path)}">{html.escape(path)}</a></li>' for path in paths
    )
    return f"<p>There is:</p><ul>{links}</ul>"
