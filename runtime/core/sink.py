"""The seam between a connection and its transport: what is written, and what a transport must offer.

A `Frame` is encoded once and shared by every peer that gets it, in whatever form its transport wants: text for ASGI,
a WebSocket frame for our own protocol, plain or deflated. Each form is made at most once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runtime.wire import framing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.core.connection import Connection

__all__ = ["Frame", "Sink"]


class Frame:
    """One outgoing text frame: UTF-8 JSON, immutable, shared between connections.

    `topic` and `seq` say what a peer misses if it does not get the frame; `parts` are the frames joined in a batch.
    """

    __slots__ = ("_deflated", "_text", "_wire", "parts", "payload", "seq", "size", "topic")

    def __init__(self, payload: bytes, topic: str | None = None, seq: int | None = None) -> None:
        self.payload = payload
        self.size = len(payload)
        self.topic = topic
        self.seq = seq
        self.parts: Sequence[Frame] = ()
        self._text: str | None = None
        self._wire: bytes | None = None
        self._deflated: bytes | None = None

    @property
    def text(self) -> str:
        """The payload as `str`, decoded at most once however many peers need it."""
        text = self._text
        if text is None:
            text = self._text = self.payload.decode()
        return text

    @property
    def wire(self) -> bytes:
        """The complete WebSocket frame."""
        wire = self._wire
        if wire is None:
            wire = self._wire = framing.encode_text(self.payload)
        return wire

    @property
    def deflated(self) -> bytes:
        """The complete WebSocket frame for peers with permessage-deflate; plain where deflating gains nothing."""
        wire = self._deflated
        if wire is None:
            packed = framing.deflate(self.payload)
            wire = (
                framing.encode_frame(framing.TEXT, packed, compressed=True)
                if len(packed) < self.size
                else self.wire
            )
            self._deflated = wire
        return wire

    def __repr__(self) -> str:
        return f"Frame({self.payload[:80]!r})"


class Sink(Protocol):
    """What a transport offers to the connection above it. All methods belong to the loop's thread."""

    @property
    def buffered(self) -> int:
        """Bytes that were handed over and that the operating system has not taken yet."""

    @property
    def transmit(self) -> Callable[[bytes], object] | None:
        """How finished WebSocket frames are written, or `None` for a transport that makes its own of each frame."""

    @property
    def deflates(self) -> bool:
        """Whether `transmit` takes deflated frames."""

    def attach(self, connection: Connection) -> None:
        """Note whose `stalled` and `drained` are to be called when the buffer fills and empties."""

    def write(self, frames: Sequence[Frame]) -> None:
        """Send `frames` in order, behind everything written before. Never blocks, never raises for a dead peer."""

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake behind everything written before."""

    def terminate(self) -> None:
        """Drop the peer at once, without a close frame where the transport can do that."""

    def watch(self) -> None:
        """Call the connection's `drained` once everything written has gone out; at once is not allowed."""

    def pause_reading(self) -> None:
        """Read nothing more of the peer until `resume_reading`, so that its own sending has to wait."""

    def resume_reading(self) -> None:
        """Go on with reading."""

    def ping(self, payload: bytes) -> None:
        """Send a protocol ping, where the transport can."""
