"""`[server] request_timeout`: how long an answer may take to begin. Spec: platform 3.9."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

from runtime.server.accesslog import shown_path

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from runtime.core.clock import Clock

__all__ = ["RequestTimeout"]

logger = logging.getLogger("realtime.http")


class RequestTimeout:
    """Ends a handler whose answer has not begun after `limit` seconds, and answers 503 in its stead.

    What an answer that has begun still takes is bounded by what the client takes of it, not here.
    """

    def __init__(self, app: ASGIApp, limit: float, clock: Clock) -> None:
        self._app = app
        self._limit = limit
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = asyncio.timeout(None)
        loop = asyncio.get_running_loop()

        async def begun(message: Message) -> None:
            timer.cancel()
            await send(message)

        try:
            async with limit:
                timer = self._clock.call_later(self._limit, lambda: limit.reschedule(loop.time()))
                try:
                    await self._app(scope, receive, begun)
                finally:
                    timer.cancel()
        except TimeoutError:
            if not limit.expired():
                raise
            path = shown_path(scope["path"])
            logger.warning(
                "%s %s took longer than request_timeout (%g s)", scope["method"], path, self._limit
            )
            answer = PlainTextResponse("Service Unavailable", 503, {"x-content-type-options": "nosniff"})
            await answer(scope, receive, send)
