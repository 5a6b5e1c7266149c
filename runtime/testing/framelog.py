"""The last frames of one peer, both ways, for the message of a wait that was in vain. Spec: live-api 20."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from runtime.client.transport import is_binary

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FrameLog"]

#: Frames that are kept, and how many of them and how much of each is shown.
KEPT = 200
SHOWN = 10
SHOWN_CHARS = 300


class FrameLog:
    """Frames in the order in which they went, across reconnects; beyond 200 the oldest go.

    Args:
        label: returns whose frames they are.
    """

    def __init__(self, label: Callable[[], str]) -> None:
        self._label = label
        self._lines: deque[tuple[str, bytes]] = deque(maxlen=KEPT)

    def sent(self, frame: bytes) -> None:
        """Note a frame of the client."""
        self._lines.append(("->", frame))

    def received(self, frame: bytes) -> None:
        """Note a frame of the server."""
        self._lines.append(("<-", frame))

    def note(self, text: str) -> None:
        """Note what happened between the frames."""
        self._lines.append(("--", text.encode()))

    def shown(self, last: int = SHOWN) -> str:
        """Return the last frames as lines of text."""
        lines = [f"  {arrow} {_text(frame)}" for arrow, frame in list(self._lines)[-last:]]
        return "\n".join([f"last frames of {self._label()}:", *(lines or ["  none"])])


def _text(frame: bytes) -> str:
    if not frame or is_binary(frame):
        return f"<binary, {len(frame)} bytes>"
    text = frame.decode("utf-8", "replace")
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}… ({len(text)} characters)"
