"""`/healthz` says that the process runs, `/readyz` whether it takes connections. Spec: platform 3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

    from runtime.core.settings import ServerSettings

__all__ = ["Readiness", "health_routes"]


class Readiness(Protocol):
    """What knows whether the app takes connections."""

    is_ready: bool
    is_draining: bool


def health_routes(settings: ServerSettings, state: Readiness) -> list[Route]:
    """Return the routes of the health paths that are switched on; they touch no backend."""

    async def health(request: Request) -> Response:
        return PlainTextResponse("OK", headers={"cache-control": "no-store"})

    async def ready(request: Request) -> Response:
        if state.is_ready and not state.is_draining:
            return JSONResponse({"ready": True}, headers={"cache-control": "no-store"})
        reason = "draining" if state.is_draining else "starting"
        return JSONResponse({"ready": False, "reason": reason}, 503, headers={"cache-control": "no-store"})

    paths = ((settings.health_path, health), (settings.ready_path, ready))
    return [Route(path, endpoint) for path, endpoint in paths if path is not None]
