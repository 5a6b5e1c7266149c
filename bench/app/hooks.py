"""The hooks of the load cases: who connects, and what binary frames are for."""

from __future__ import annotations

from typing import Any

EDGE = 8  # bytes at each end of an upload that its acknowledgement repeats


async def upgrade(headers: Any, remote_address: str) -> dict[str, str] | bool:
    """Take everybody who says where the page comes from."""
    return {"id": remote_address} if headers.get("origin") else False


def message(ws: Any, data: str | bytes) -> None:
    """Acknowledge a binary frame by its two ends."""
    if isinstance(data, bytes):
        ws.send(data[:EDGE] + data[-EDGE:])
