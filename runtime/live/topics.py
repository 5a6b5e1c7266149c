"""The topic of a stream request: fixed, or computed from its arguments. Spec: live-api 8.2."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

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
    result = topic(ctx, *args) if _wants_ctx(topic, len(args)) else topic(*args)
    if not isinstance(result, str):
        if inspect.iscoroutine(result):
            result.close()
        raise LiveError("INVALID_REQUEST", "Topic function must return a string")
    if names.is_system_topic(result):
        raise LiveError("INVALID_REQUEST", "Reserved topic prefix")
    return result


@functools.lru_cache(maxsize=1024)
def _wants_ctx(topic: Callable[..., str], given: int) -> bool:
    parameters = [
        p
        for p in inspect.signature(topic).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)
    ]
    if parameters and parameters[0].name in CTX_NAMES:
        return True
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return False
    required = sum(1 for p in parameters if p.default is p.empty)
    return not required <= given <= len(parameters)
