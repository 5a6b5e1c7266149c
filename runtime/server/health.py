"""`/healthz` says that the process runs, `/readyz` whether it takes connections. Spec: platform 3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

    from runtime.core.platform import Platform
    from runtime.core.settings import ServerSettings

__all__ = ["Readiness", "health_routes"]


class Readiness(Protocol):
    """What knows whether the app takes connections."""

    is_ready: bool
    is_draining: bool
    platform: Platform


def health_routes(settings: ServerSettings, state: Readiness) -> list[Route]:
    """Return the routes of the health paths that are switched on; they touch no backend."""

    async def health(request: Request) -> Response:
        return PlainTextResponse("OK", headers={"cache-control": "no-store"})

    async def ready(request: Request) -> Response:
        reason = unready()
        headers = {"cache-control": "no-store"}
        if reason is None:
            return JSONResponse({"ready": True}, headers=headers)
        return JSONResponse({"ready": False, "reason": reason}, 503, headers=headers)

    def unready() -> str | None:
        if state.is_draining:
            return "draining"
        if not state.is_ready:
            return "starting"
        is_full = settings.ready_pressure and state.platform.pressure.reason == "MEMORY"
        return "pressure" if is_full else None

    paths = ((settings.health_path, health), (settings.ready_path, ready))
    return [Route(path, endpoint) for path, endpoint in paths if path is not None]
