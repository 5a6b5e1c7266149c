"""What a page that raises a `LiveError` is answered with: an error page that the browser's client can read.

The app's own is `web/_error.html.j2`. Spec: live-api 19.1.
"""

from __future__ import annotations

import html
import logging
import math
import traceback
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import HTMLResponse, Response

from runtime.core.errors import LiveError, LockError, to_wire
from runtime.core.rpcerror import RpcError
from runtime.core.transport import transport
from runtime.live.problems import user_traceback
from runtime.server.importmap import inject
from runtime.server.livedata import live_error
from runtime.server.pages import TemplatePage, mount_prefix
from runtime.wire import jsoncodec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from runtime.server.http import HttpRuntime

__all__ = ["ERROR_TEMPLATE", "STATUS", "live_error_handlers", "status_of"]

logger = logging.getLogger("realtime.server")

#: Below `web/`: what the app shows instead of our page.
ERROR_TEMPLATE: Final = "_error.html.j2"

#: Statuses of the codes that have one; any other code is 400.
STATUS: Final = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "CONFLICT": 409,
    "PAYLOAD_TOO_LARGE": 413,
    "RATE_LIMITED": 429,
    "INTERNAL_ERROR": 500,
    "OVERLOADED": 503,
    "SERVICE_UNAVAILABLE": 503,
    "LOCK_TIMEOUT": 503,
    "LOCK_QUEUE_FULL": 503,
    "LOCK_CLEARED": 503,
    "LOCK_LOST": 503,
    "TIMEOUT": 504,
    # What a client of another server raises when that cannot be reached.
    "DISCONNECTED": 502,
    "CONNECTION_CLOSED": 502,
}
_HEADERS: Final = {"cache-control": "no-store", "vary": "Accept", "x-content-type-options": "nosniff"}
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{status} {code}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 36rem; padding: 18vh 1.25rem 2rem; }}
p {{ margin: 0; overflow-wrap: anywhere; }}
.code {{ color: color-mix(in srgb, currentColor 65%, transparent); font: .85rem/1.5 ui-monospace, monospace; }}
h1 {{ font-size: 1.6rem; line-height: 1.3; margin: .25rem 0 0; overflow-wrap: anywhere; }}
details {{ margin-top: 2rem; }}
pre {{ background: color-mix(in srgb, currentColor 8%, transparent); border-radius: .5rem; overflow-x: auto;
  padding: 1rem; font: .85rem/1.5 ui-monospace, monospace; }}
</style></head><body><main><p class="code">{status} · {kind} {code}</p><h1>{message}</h1>{more}</main>
{payload}</body></html>
"""


def status_of(error: LiveError | RpcError) -> int:
    """Return the HTTP status that fits the code of an error."""
    return STATUS.get(error.code, 400)


def live_error_handlers(
    runtime: HttpRuntime,
) -> dict[Any, Callable[[Request, Any], Awaitable[Response]]]:
    """Return the exception handlers for errors that a client may see, for `Starlette(exception_handlers=...)`.

    Whoever takes HTML gets a page with the error in it, anybody else `{"type", "value"}` as JSON. In dev the page also
    shows the traceback.
    """

    async def answer(request: Request, raised: LiveError | RpcError | LockError) -> Response:
        if isinstance(raised, LockError) and raised.public_text is None:
            raise raised  # a mistake in the app: 500, and its traceback in the log
        error = raised if isinstance(raised, LiveError | RpcError) else _of_lock(raised)
        status, headers = status_of(error), dict(_HEADERS)
        if error.retry_after is not None and math.isfinite(error.retry_after):
            headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
        if "text/html" not in request.headers.get("accept", ""):
            content = jsoncodec.encode(transport.encode(error))  # what a LiveError quotes may be any JSON
            return Response(content, status, headers, "application/json")
        own = await _own_page(request, error, status, headers)
        if own is not None:
            return own
        text = _PAGE.format(
            status=status,
            kind=type(error).__name__,
            code=html.escape(error.code),
            message=html.escape(error.message),
            more=_traceback(raised) if runtime.settings.is_dev else "",
            payload=live_error(error),
        )
        page = inject(text.encode("utf-8", "replace"), mount_prefix(request), runtime.page_snippets)
        return HTMLResponse(page, status, headers)

    async def _own_page(
        request: Request, error: LiveError | RpcError, status: int, headers: dict[str, str]
    ) -> Response | None:
        static = runtime.static
        if static is None or not (static.root / ERROR_TEMPLATE).is_file():
            return None
        page = TemplatePage(ERROR_TEMPLATE, static.templates, runtime.page_snippets)
        context = {"error": error, "status": status}
        try:
            return await page.respond(request, context, status_code=status, headers=headers)
        except Exception:
            logger.exception("%s failed; the built-in error page is shown", ERROR_TEMPLATE)
            return None

    def _traceback(error: BaseException) -> str:
        whole = "".join(traceback.format_exception(error))
        own = user_traceback(error, runtime.project) if runtime.project is not None else whole
        shown = html.escape(runtime.redactor.trace(own))
        return f"<details><summary>Where it came from</summary><pre>{shown}</pre></details>"

    return {LiveError: answer, RpcError: answer, LockError: answer}


def _of_lock(error: LockError) -> LiveError:
    wire = to_wire(error, None)
    return LiveError(wire.code, wire.message)
