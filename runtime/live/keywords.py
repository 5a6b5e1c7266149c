"""Options of decorators that are misspelled: the error names the right one. Spec: live-api 5.5."""

from __future__ import annotations

import difflib
import functools
import inspect
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from runtime.live.bare import remember

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_keywords"]

P = ParamSpec("P")
R = TypeVar("R")


def check_keywords(name: str, **hints: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a decorator factory refuse unknown options with a `TypeError` that names the right one.

    Args:
        name: what authors call it: `live.lock`.
        hints: what to say of an option that belongs to another decorator.
    """

    def decorate(factory: Callable[P, R]) -> Callable[P, R]:
        known = list(inspect.signature(factory).parameters)

        @functools.wraps(factory)
        def checked(*args: P.args, **options: P.kwargs) -> R:
            for given in options:
                if given not in known:
                    raise TypeError(f"{name}: {given!r} is no option of it; {_advice(given)}")
            return remember(factory(*args, **options), name, *args, *options.values())

        def _advice(given: str) -> str:
            if given in hints:
                return hints[given]
            near = difflib.get_close_matches(given, known, n=1)
            return f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known)}"

        return checked

    return decorate
