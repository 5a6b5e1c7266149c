"""`live.binary`: a function that takes bytes and JSON arguments, in one frame. Spec: live-api 6, wire 4.6."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.core import capacity
from runtime.core.errors import LiveError
from runtime.live.bare import Bare
from runtime.live.keywords import check_keywords
from runtime.live.marks import ensure_mark

if TYPE_CHECKING:
    from runtime.live.registry import Endpoint

__all__ = ["binary", "check_payload"]

F = TypeVar("F", bound=Callable[..., Any])


@check_keywords("live.binary")
def binary(max_size: int | None = None) -> Callable[[F], F]:
    """Make a function callable with bytes: `(ctx, data, *args)`.

    Args:
        max_size: largest payload in bytes; `BINARY_MAX_SIZE`, 10 MiB, without it. A frame is never larger than
            `[websocket] max_payload_length`, whatever is said here.

    Raises:
        ValueError: `max_size` is no whole number above 0.
    """
    if inspect.isfunction(max_size):
        raise TypeError(Bare("live.binary", max_size).text)
    if max_size is not None and (isinstance(max_size, bool) or not isinstance(max_size, int) or max_size < 1):
        raise ValueError(f"live.binary: max_size must be a whole number of bytes above 0, not {max_size!r}")

    def decorate(function: F) -> F:
        mark = ensure_mark(function, "live.binary")
        mark.kind, mark.max_size = "binary", max_size
        return function

    return decorate


def check_payload(endpoint: Endpoint, payload: bytes) -> None:
    """Refuse a payload that is larger than the handler takes.

    Raises:
        LiveError: `PAYLOAD_TOO_LARGE`.
    """
    limit = capacity.get("BINARY_MAX_SIZE") if endpoint.max_size is None else endpoint.max_size
    if len(payload) > limit:
        capacity.record("BINARY_MAX_SIZE", "reject", size=len(payload), limit=limit)
        raise LiveError("PAYLOAD_TOO_LARGE", "Binary payload exceeds size limit")
