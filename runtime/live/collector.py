"""Where module-level calls such as `live.middleware(...)` leave what they declare.

While the loader runs a module, its collector is the current one, so that a reload replaces what the module declared
before instead of adding to it. Code that is imported without the loader (tests) declares into the ambient collector.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from runtime.live.admission import Admission
from runtime.live.keep import KeepStore
from runtime.live.ratelimit import RateLimits

__all__ = ["Collector", "MessageOptions", "ambient", "collecting", "current"]

Middleware = Callable[[Any, Callable[[], Any]], Any]


@dataclass(slots=True)
class MessageOptions:
    """What `live.message_options` set. Spec: live-api 17.4."""

    before_execute: Callable[[Any, str, list[Any]], Any] | None = None
    on_error: Callable[[str, BaseException, Any], Any] | None = None


@dataclass(slots=True)
class Collector:
    """The app-wide declarations of one module."""

    keep: KeepStore = field(default_factory=KeepStore)
    middleware: list[Middleware] = field(default_factory=list)
    options: MessageOptions | None = None
    admission: Admission | None = None
    rate_limits: RateLimits | None = None
    #: Every function that a decorator touched, also those that a later definition of the same name hid.
    marked: list[Callable[..., Any]] = field(default_factory=list)


#: Used by code that no loader runs.
ambient = Collector()
_current: ContextVar[Collector | None] = ContextVar("realtime_collector", default=None)


def current() -> Collector:
    """Return the collector that module-level declarations go to."""
    return _current.get() or ambient


@contextlib.contextmanager
def collecting(collector: Collector) -> Iterator[Collector]:
    """Make `collector` the current one while a module runs."""
    token = _current.set(collector)
    try:
        yield collector
    finally:
        _current.reset(token)
