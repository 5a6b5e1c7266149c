"""What a page sends on its sockets."""

from __future__ import annotations

import json
from typing import Any

from playwright.async_api import Page, WebSocket


def sent_frames(page: Page) -> list[list[dict[str, Any]]]:
    """The frames that a page sends from now on, a list for each of its connections."""
    connections: list[list[dict[str, Any]]] = []

    def note(socket: WebSocket) -> None:
        frames: list[dict[str, Any]] = []
        connections.append(frames)
        socket.on("framesent", lambda text: frames.append(json.loads(text)))

    page.on("websocket", note)
    return connections
