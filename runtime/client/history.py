"""Earlier values of a stream, for undo and redo. Spec: live-api 24.5."""

from __future__ import annotations

from typing import Any

__all__ = ["History"]

DEFAULT_MAX = 50
#: Longer lists are not recorded.
MAX_ROWS = 200


class History:
    """Snapshots of a value in order, with a position among them; at `max` the oldest goes."""

    def __init__(self, max: int = DEFAULT_MAX) -> None:
        if max < 1:
            raise ValueError(f"max: must be at least 1, not {max!r}")
        self._max = max
        self._values: list[Any] = []
        self._at = -1
        self.is_paused = False

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier value."""
        return self._at > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is a later value."""
        return self._at < len(self._values) - 1

    def record(self, value: Any) -> None:
        """Put `value` behind the present one and forget what was undone."""
        if self.is_paused or (isinstance(value, list) and len(value) > MAX_ROWS):
            return
        del self._values[self._at + 1 :]
        if self._values and self._values[-1] is value:
            return
        self._values.append(value)
        del self._values[: -self._max]
        self._at = len(self._values) - 1

    def undo(self) -> Any:
        """Go back and return the value there; only when `can_undo`."""
        self._at -= 1
        return self._values[self._at]

    def redo(self) -> Any:
        """Go forward and return the value there; only when `can_redo`."""
        self._at += 1
        return self._values[self._at]
