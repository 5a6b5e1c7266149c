"""`[server] body_limit`: how large the body of a request may be. Spec: platform 3.9.

A body that announces too much is refused before a byte of it is read, one that does not while it is read; what the app
does not read is not counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from runtime.core.metrics import Metrics

__all__ = ["BodyLimit", "announced_length"]

TOO_LARGE: Final = "Content Too Large"
NOSNIFF: Final = {"x-content-type-options": "nosniff"}


def announced_length(scope: Scope) -> int | None:
    """Return the `content-length` of a request, `None` if it has none that is a number."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < 20 else None
    return None


class BodyLimit:
    """Refuses bodies of more than `limit` bytes (`None`: none) with 413, and longer ones than announced with 400.

    `own_limit(scope)` returns the limit of a request that has one of its own, else `None`.
    """

    def __init__(
        self,
        app: ASGIApp,
        limit: int | None,
        metrics: Metrics,
        own_limit: Callable[[Scope], int | None] | None = None,
    ) -> None:
        self._app = app
        self._limit = limit
        self._metrics = metrics
        self._own_limit = own_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        limit, announced = self._limit, announced_length(scope)
        own = self._own_limit(scope) if self._own_limit is not None else None
        if own is not None:
            limit = own
        if limit is not None and announced is not None and announced > limit:
            self._metrics.add("security_refusals_total", "body_limit")
            await PlainTextResponse(TOO_LARGE, 413, NOSNIFF)(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                if announced is not None and read > announced:
                    self._metrics.add("security_refusals_total", "body_length")
                    raise HTTPException(400)
                if limit is not None and read > limit:
                    self._metrics.add("security_refusals_total", "body_limit")
                    raise HTTPException(413, TOO_LARGE)
            return message

        await self._app(scope, counted, send)
