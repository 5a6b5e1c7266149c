"""Decorators that take options and were written without parentheses: `@live.idempotent` over a function.

The function arrives where an option belongs, which may be a function as well. What gives it away is where the result
ends up: under the function's own name, or under another decorator.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["Bare", "bare_of", "remember"]

_BARE = "__realtime_bare__"

T = TypeVar("T")


@dataclass(slots=True, frozen=True)
class Bare:
    """A decorator that decorates nothing yet, and the function that it was given as its only option."""

    decorator: str
    function: Callable[..., Any]

    @property
    def text(self) -> str:
        """What its author has to do."""
        return (
            f"@{self.decorator} over {self.function.__name__} needs parentheses: write @{self.decorator}(...)"
        )


def remember(made: T, decorator: str, *options: Any) -> T:
    """Return `made`, the decorator that `decorator(*options)` gave, with a note of it if it may have been a slip."""
    if len(options) == 1 and inspect.isfunction(options[0]) and inspect.isfunction(made):
        setattr(made, _BARE, Bare(decorator, options[0]))
    return made


def bare_of(value: Any) -> Bare | None:
    """Return the note of a decorator that still waits for its function, or `None`."""
    found = getattr(value, "__dict__", {}).get(_BARE)
    return found if isinstance(found, Bare) else None
