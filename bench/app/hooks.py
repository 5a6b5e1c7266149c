"""The hooks of the load cases: who connects, and what binary frames are for."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

EDGE = 8  # bytes at each end of an upload that its acknowledgement repeats


async def upgrade(headers: Any, remote_address: str) -> dict[str, str] | bool:
    """Take everybody who says where the page comes from."""
    return {"id": remote_address} if headers.get("origin") else False


def message(ws: Any, data: str | bytes) -> None:
    """Acknowledge a binary frame by its two ends."""
    if isinstance(data, bytes):
        ws.send(data[:EDGE] + data[-EDGE:])


async def take(request: Request) -> JSONResponse:
    """Count the bytes of a body."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return JSONResponse({"size": size})


routes = [Route("/take", take, methods=["POST"])]
