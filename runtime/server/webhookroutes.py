"""The webhooks that have a path: `POST` there runs them. Spec: live-api 13.

Which there are is looked up at each request, so a reload changes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Match, NoMatchFound

from runtime.server.requestcontext import route_path

if TYPE_CHECKING:
    from starlette.datastructures import URLPath
    from starlette.types import Receive, Scope, Send

    from runtime.live.app import LiveApp
    from runtime.live.webhook import Webhook

__all__ = ["WebhookRoutes"]

METHOD: Final = "POST"
WEBHOOK_KEY: Final = "realtime.webhook"  # in the scope: the one that matched


class WebhookRoutes(BaseRoute):
    """Stands for every webhook of the live modules and `hooks.py` that has a path."""

    def __init__(self, live: LiveApp) -> None:
        self._live = live

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return a full match for the path of a webhook, whatever the method."""
        webhook = self._find(scope) if scope["type"] == "http" else None
        return (Match.NONE, {}) if webhook is None else (Match.FULL, {WEBHOOK_KEY: webhook})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with what the webhook says; 405 for other methods."""
        if scope["method"] != METHOD:
            refusal = PlainTextResponse("Method Not Allowed", 405, {"allow": METHOD})
            await refusal(scope, receive, send)
            return
        webhook: Webhook = scope[WEBHOOK_KEY]
        request = Request(scope, receive)
        try:
            body = await request.body()  # as long as `body_limit_of` lets it be
        except ClientDisconnect:
            return  # half of a delivery; the sender will send it again
        generation = self._live.generation
        generation.enter()
        try:
            platform = request.state.platform
            result = await webhook.handle(body=body, headers=request.headers, platform=platform)
        finally:
            generation.exit()
        answer = PlainTextResponse(result.body, result.status, {"cache-control": "no-store"})
        await answer(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        """Raise: webhooks have no names for `url_for`."""
        raise NoMatchFound(name, path_params)

    def body_limit_of(self, scope: Scope) -> int | None:
        """Return how many bytes a delivery may have, `None` for a request that is none."""
        webhook = self._find(scope) if scope["method"] == METHOD else None
        return None if webhook is None else webhook.max_body

    def _find(self, scope: Scope) -> Webhook | None:
        webhooks = self._live.registry.webhooks
        return webhooks.get(route_path(scope)) if webhooks else None
