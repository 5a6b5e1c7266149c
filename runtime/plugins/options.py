"""Options of plugins: checked where a plugin is made, each message begins with the plugin's name. Spec: platform 7."""

from __future__ import annotations

import enum
import math
from typing import Final, Literal

from runtime.core import capacity

__all__ = ["UNSET", "Bound", "Unset", "bound", "seconds", "text_key", "whole"]


class Unset(enum.Enum):
    """The type of `UNSET`."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


#: Stands for "not given" where `None` has a meaning of its own.
UNSET: Final = Unset.UNSET


class Bound:
    """A bound of a structure: what the option says, or the effective value of its constant (`[capacity]`).

    `limit` is read at each use: a plugin is often made before the settings are known. `inf` is no bound.
    """

    __slots__ = ("_fixed", "name")

    def __init__(self, name: str, fixed: float | None = None) -> None:
        #: The constant in `runtime.core.capacity`.
        self.name = name
        self._fixed = fixed

    @property
    def limit(self) -> float:
        """The bound in force."""
        return capacity.get(self.name) if self._fixed is None else self._fixed

    def record(self, action: str, *, hint: str = "") -> None:
        """Count that the bound was met: `action` is `reject`, `evict`, `skip` ..."""
        capacity.record(self.name, action, hint=hint, limit=self._fixed)

    def __repr__(self) -> str:
        return f"Bound({self.name!r}, {self.limit})"


def bound(label: str, option: str, value: float | Unset | None, name: str) -> Bound:
    """Return the bound that an option sets; `name` is the constant it defaults to. `None` and `inf` are no bound.

    Raises:
        ValueError: it is no whole number of at least 1.
    """
    if value is UNSET:
        return Bound(name)
    if value is None or value == math.inf:
        return Bound(name, math.inf)
    return Bound(name, whole(label, option, value))


def whole(label: str, option: str, value: object, *, least: int = 1) -> int:
    """Return a whole number of at least `least`.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{label}: {option} must be a whole number of at least {least}, not {value!r}")
    return value


def seconds(label: str, option: str, value: object, *, zero: bool = False) -> float:
    """Return a finite number of seconds above 0, or from 0 with `zero`.

    Raises:
        ValueError: it is none.
    """
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or value < 0 or (value == 0 and not zero):  # type: ignore[operator] # a number when it fits
        least = "of at least 0" if zero else "above 0"
        raise ValueError(f"{label}: {option} must be a finite number of seconds {least}, not {value!r}")
    return float(value)  # type: ignore[arg-type] # a number when it fits


def text_key(
    label: str, what: Literal["key", "token", "id", "topic", "name"], value: object, longest: float
) -> str:
    """Return a key that an app gave, which is no secret to be repeated in an error.

    Raises:
        ValueError: it is no text, empty, or longer than `longest` characters.
    """
    if not isinstance(value, str) or not value:
        raise ValueError(f"{label}: {what} must be a text of at least 1 character, not {_kind(value)}")
    if len(value) > longest:
        raise ValueError(f"{label}: {what} has {len(value)} characters, more than {longest:g}")
    return value


def _kind(value: object) -> str:
    return "an empty one" if value == "" else type(value).__name__
