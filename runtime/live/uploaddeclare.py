"""`live.upload`: a function that takes a file in pieces, of any size. Spec: live-api 7."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar

from runtime.live.bare import Bare
from runtime.live.keywords import check_keywords
from runtime.live.marks import ensure_mark
from runtime.live.uploadoptions import UploadOptions

__all__ = ["upload"]

F = TypeVar("F", bound=Callable[..., Any])


@check_keywords("live.upload")
def upload(
    max_size: int | None = None,
    max_concurrent_per_session: int | None = None,
    max_concurrent_total: int | None = None,
    max_buffered_chunks: int | None = None,
    reauth_every: float | None = None,
) -> Callable[[F], F]:
    """Make an async function take uploads: `(ctx, *args)`, with the bytes in `async for chunk in ctx.stream`.

    What it returns is the client's result, even when it did not read to the end.

    Args:
        max_size: bytes of one upload; `UPLOAD_MAX_SIZE`, 100 MiB, without it.
        max_concurrent_per_session: uploads of one connection at a time; 4 without it.
        max_concurrent_total: uploads of all connections of the worker at a time; no bound without it.
        max_buffered_chunks: pieces that may wait for the handler; 64 without it. Then the sender has to wait too,
            for at most `[websocket] upload_pause`.
        reauth_every: bytes after which the module's guard is asked again, while the upload runs.

    Raises:
        ValueError: a value that cannot be. TypeError: the function is not async.
    """
    if inspect.isfunction(max_size):
        raise TypeError(Bare("live.upload", max_size).text)
    counts = {
        "max_size": max_size,
        "max_concurrent_per_session": max_concurrent_per_session,
        "max_concurrent_total": max_concurrent_total,
        "max_buffered_chunks": max_buffered_chunks,
    }
    for name, value in counts.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(f"live.upload: {name} must be a whole number above 0, not {value!r}")
    if reauth_every is not None and not _is_positive(reauth_every):
        raise ValueError(
            f"live.upload: reauth_every must be a finite number of bytes above 0, not {reauth_every!r}"
        )
    options = UploadOptions(**counts, reauth_every=reauth_every)

    def decorate(function: F) -> F:
        mark = ensure_mark(function, "live.upload")
        if not inspect.iscoroutinefunction(inspect.unwrap(function)):
            raise TypeError(
                f"live.upload: {function.__qualname__} must be async, since ctx.stream is read with `async for`"
            )
        mark.kind, mark.upload = "upload", options
        return function

    return decorate


def _is_positive(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    )
