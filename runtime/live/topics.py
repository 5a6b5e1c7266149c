"""The topic of a stream request: fixed, or computed from its arguments. Spec: live-api 8.2."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from runtime.core.errors import LiveError
from runtime.live.signature import CTX_NAMES
from runtime.wire import names

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["resolve_topic"]


def resolve_topic(topic: str | Callable[..., str], ctx: Any, args: list[Any]) -> str:
    """Return the topic for these arguments.

    A function whose first parameter is called ctx gets the ctx; another gets the arguments alone if it takes exactly
    those, else the ctx in front.

    Raises:
        LiveError: `INVALID_REQUEST` for a result that is no string or begins with `__`.
    """
    if isinstance(topic, str):
        return topic
    result = topic(ctx, *args) if _shape(topic).wants_ctx(len(args)) else topic(*args)
    if not isinstance(result, str):
        if inspect.iscoroutine(result):
            result.close()
        raise LiveError("INVALID_REQUEST", "Topic function must return a string")
    if names.is_system_topic(result):
        raise LiveError("INVALID_REQUEST", "Reserved topic prefix")
    return result


class _Shape(NamedTuple):
    """What a topic function takes. `most`: how many arguments, `None` without a bound."""

    has_ctx: bool
    least: int
    most: int | None

    def wants_ctx(self, given: int) -> bool:
        if self.has_ctx or self.most is None:
            return self.has_ctx
        return not self.least <= given <= self.most


#: By topic function, as long as there is one: a reload makes new ones, and the old modules must go.
_shapes: WeakKeyDictionary[Callable[..., str], _Shape] = WeakKeyDictionary()


def _shape(topic: Callable[..., str]) -> _Shape:
    try:
        known = _shapes.get(topic)
        if known is None:
            known = _shapes[topic] = _inspected(topic)
    except TypeError:  # an object that can be called, but not be a key
        return _inspected(topic)
    return known


def _inspected(topic: Callable[..., str]) -> _Shape:
    parameters = [
        p
        for p in inspect.signature(topic).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)
    ]
    has_ctx = bool(parameters) and parameters[0].name in CTX_NAMES
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return _Shape(has_ctx, 0, None)
    return _Shape(has_ctx, sum(1 for p in parameters if p.default is p.empty), len(parameters))
