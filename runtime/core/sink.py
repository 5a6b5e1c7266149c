"""The seam between a connection and its transport: what is written, and what a transport must offer.

A `Frame` is encoded once and shared by every peer that gets it. A transport may keep its own form of it in the
frame (a `str` for ASGI, header and payload for a raw WebSocket), made once for all peers as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Frame", "Sink"]


class Frame:
    """One outgoing text frame: UTF-8 JSON, immutable, shared between connections."""

    __slots__ = ("_text", "payload", "size")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.size = len(payload)
        self._text: str | None = None

    @property
    def text(self) -> str:
        """The payload as `str`, decoded at most once however many peers need it."""
        text = self._text
        if text is None:
            text = self._text = self.payload.decode()
        return text

    def __repr__(self) -> str:
        return f"Frame({self.payload[:80]!r})"


class Sink(Protocol):
    """What a transport offers to the connection above it. All methods belong to the loop's thread."""

    @property
    def buffered(self) -> int:
        """Bytes that were handed over and that the operating system has not taken yet."""

    def write(self, frames: Sequence[Frame]) -> None:
        """Send `frames` in order, behind everything written before. Never blocks, never raises for a dead peer."""

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake behind everything written before."""

    def terminate(self) -> None:
        """Drop the peer at once, without a close frame where the transport can do that."""
