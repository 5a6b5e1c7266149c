"""Where module-level calls such as `live.middleware(...)` leave what they declare.

While the loader runs a module, its collector is the current one, so that a reload replaces what the module declared
before instead of adding to it. Code that is imported without the loader (tests) declares into the ambient collector.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from typing import Any

from runtime.live.admission import Admission
from runtime.live.keep import KeepStore
from runtime.live.ratelimit import RateLimits

__all__ = ["Collector", "MessageOptions", "ambient", "collecting", "current", "loading"]

Middleware = Callable[[Any, Callable[[], Any]], Any]


@dataclass(slots=True)
class MessageOptions:
    """What `live.message_options` set; `None` where it said nothing. Spec: live-api 17.4."""

    before_execute: Callable[[Any, str, list[Any]], Any] | None = None
    on_error: Callable[[str, BaseException, Any], Any] | None = None
    on_json_message: Callable[[Any, dict[str, Any], Any], Any] | None = None
    on_unhandled: Callable[[Any, str | bytes, Any], Any] | None = None
    max_envelope_depth: int | None = None
    max_json_depth: int | None = None
    platform: Callable[[Any], Any] | None = None

    @classmethod
    def merged(cls, given: Iterable[MessageOptions]) -> MessageOptions:
        """Return one set of options; where several say something the first one counts."""
        found = cls()
        for options in given:
            for one in fields(cls):
                if getattr(found, one.name) is None:
                    setattr(found, one.name, getattr(options, one.name))
        return found


@dataclass(slots=True)
class Collector:
    """The app-wide declarations of one module."""

    keep: KeepStore = field(default_factory=KeepStore)
    middleware: list[Middleware] = field(default_factory=list)
    options: MessageOptions | None = None
    admission: Admission | None = None
    rate_limits: RateLimits | None = None
    #: The rules of the dev warnings that it sets, by name; `None` switches one off.
    warnings: dict[str, Any] = field(default_factory=dict)
    #: What `runtime.live.wiring` sets, by name.
    wiring: dict[str, Any] = field(default_factory=dict)
    #: Every `Webhook` that was declared.
    webhooks: list[Any] = field(default_factory=list)
    #: Every function that a decorator touched, also those that a later definition of the same name hid.
    marked: list[Callable[..., Any]] = field(default_factory=list)

    def remember(self) -> Callable[[], None]:
        """Return a function that forgets what is declared from now on."""
        before = {one.name: copy.copy(getattr(self, one.name)) for one in fields(self)}

        def forget() -> None:
            for name, value in before.items():
                present = getattr(self, name)
                if isinstance(value, list):
                    present[:] = value
                elif isinstance(value, dict):
                    present.clear()
                    present.update(value)
                elif name != "keep":
                    setattr(self, name, value)

        return forget


#: Used by code that no loader runs.
ambient = Collector()
_current: ContextVar[Collector | None] = ContextVar("realtime_collector", default=None)


def current() -> Collector:
    """Return the collector that module-level declarations go to."""
    return _current.get() or ambient


def loading() -> Collector | None:
    """Return the collector of the module that is being loaded, or `None` when none is."""
    return _current.get()


@contextlib.contextmanager
def collecting(collector: Collector) -> Iterator[Collector]:
    """Make `collector` the current one while a module runs."""
    token = _current.set(collector)
    try:
        yield collector
    finally:
        _current.reset(token)
