"""What the decorators of one function recorded: they share one record, in whatever order they stand.

Spec: live-api 1.3.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, TypeVar

from runtime.core import capacity
from runtime.live import collector
from runtime.live.bare import bare_of
from runtime.live.callables import call, call_in_thread
from runtime.live.context import call_in
from runtime.live.cronoptions import CronOptions
from runtime.live.derivedoptions import DerivedOptions, EffectOptions
from runtime.live.options import Predicate, StreamOptions
from runtime.live.uploadoptions import UploadOptions

__all__ = [
    "Kind",
    "Mark",
    "Place",
    "body_of",
    "check_function",
    "ensure_mark",
    "finish",
    "learn_path",
    "mark_of",
    "set_mark",
]

F = TypeVar("F", bound=Callable[..., Any])
Kind = Literal["rpc", "stream", "channel", "binary", "upload"]

_MARK = "__realtime_live__"
_PLACE = "__realtime_place__"


@dataclass(slots=True)
class Mark:
    """What the decorators of one function recorded."""

    kind: Kind = "rpc"
    options: StreamOptions | None = None
    gates: list[Predicate] = field(default_factory=list)
    public: bool = False
    volatile: bool = False
    thread: bool = False
    #: Whether a `live.rate_limit` stands over it: the limits of the whole app do not count it then.
    limited: bool = False
    #: Of a binary call: its largest size in bytes, `None` for the usual one.
    max_size: int | None = None
    #: Of an upload: its bounds.
    upload: UploadOptions | None = None
    #: Of a scheduled function: when it runs, and where its result goes.
    cron: CronOptions | None = None
    #: Of a derived stream: what it is made of.
    derived: DerivedOptions | None = None
    #: Of an effect: after which publishes it runs.
    effect: EffectOptions | None = None
    #: The path it is registered under, the latest one; `None` before.
    path: str | None = None


def mark_of(value: Any) -> Mark | None:
    """Return what was recorded on `value`, or `None` if no decorator of ours touched it."""
    mark = getattr(value, "__dict__", {}).get(_MARK)
    return mark if isinstance(mark, Mark) else None


def set_mark(value: Any, mark: Mark) -> None:
    """Let `value` carry `mark`."""
    setattr(value, _MARK, mark)


def ensure_mark(function: Any, decorator: str) -> Mark:
    """Return the mark of `function`, which has one from now on.

    Raises:
        TypeError: it is no function; `decorator` is named.
    """
    check_function(function, decorator)
    mark = mark_of(function)
    if mark is None:
        mark = Mark()
        set_mark(function, mark)
        collector.current().marked.append(function)
    return mark


def check_function(function: Any, decorator: str) -> None:
    """Raise unless `function` can be decorated.

    Raises:
        TypeError: it is no function, a class, or a decorator that was written without parentheses.
    """
    bare = bare_of(function)
    if bare is not None:
        raise TypeError(bare.text)
    if not callable(function) or inspect.isclass(function):
        raise TypeError(f"{decorator}: a function is needed, not {function!r}")


def body_of(
    function: Callable[..., Any], marked: Callable[[], Any] | None = None
) -> Callable[..., Awaitable[Any]]:
    """Return `function` in a form that a wrapper awaits as `await body(ctx, *args)`.

    A plain function under `thread=True` runs in the worker threads, whatever stands over it; called directly, without
    an app, it runs where it is called. `marked()` returns what carries its mark, where that may not be the function.
    """
    if inspect.iscoroutinefunction(function):
        return function

    async def body(ctx: Any, *args: Any) -> Any:
        mark = mark_of(function if marked is None else marked())
        executor = getattr(ctx, "_executor", None)
        if mark is not None and mark.thread and executor is not None:
            return await call_in_thread(executor, call_in, ctx, function, list(args))
        return await call(function, ctx, *args)

    return body


class Place:
    """What a wrapper knows of the function it stands over: `path`, its RPC path once it is registered."""

    __slots__ = ("path",)

    def __init__(self, function: Callable[..., Any]) -> None:
        module = getattr(function, "__module__", "")
        self.path: str = f"{module}.{getattr(function, '__qualname__', repr(function))}"


def learn_path(function: Callable[..., Any], path: str) -> None:
    """Tell the wrappers of a registered function its RPC path, `MAX_WRAPPER_DEPTH` of them at most."""
    layers = _layers(function)
    for layer in islice(layers, capacity.get("MAX_WRAPPER_DEPTH")):
        place = layer.__dict__.get(_PLACE)
        if isinstance(place, Place):
            place.path = path
    if next(layers, None) is not None:
        capacity.record(
            "MAX_WRAPPER_DEPTH", "skip", hint=f"wrappers far below the outermost of {path} do not know it"
        )


def _layers(function: Any) -> Iterator[Any]:
    """Yield `function` and what it wraps, the outermost first."""
    while function is not None and hasattr(function, "__dict__"):
        yield function
        function = function.__dict__.get("__wrapped__")


def finish(wrapper: Callable[..., Any], function: F, place: Place | None = None) -> F:
    """Return `wrapper` as what stands in the place of `function`, with its name, signature and mark."""
    functools.update_wrapper(wrapper, function)
    wrapper.__dict__.pop(_PLACE, None)
    if place is not None:
        setattr(wrapper, _PLACE, place)
    made: Any = wrapper
    return made  # type: ignore[no-any-return]  # the same call signature, which a TypeVar cannot express
