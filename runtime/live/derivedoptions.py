"""What a derived stream or an effect was declared with: sources, debounce, and the topic of the output.

Spec: live-api 10.1 and 10.2, wire 5.3.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runtime.core.errors import LiveError
from runtime.live.callables import is_async
from runtime.live.options import StreamOptions
from runtime.live.signature import CTX_NAMES, Signature, SignatureError, signature_of
from runtime.plugins.options import seconds
from runtime.wire import jsoncodec, names

__all__ = ["DerivedOptions", "EffectOptions", "Sources", "output_topic", "path_of", "texts", "wants_ctx"]

Sources = str | Iterable[str]

#: Between the path and the arguments in the topic of a dynamic derived stream; not in what stands for an argument.
SEPARATOR = "~"
# Merges whose clients take the data of any `set` as their new value. Spec: wire 5.6.
TAKES_SET = frozenset({"set", "presence", "cursor"})


@dataclass(slots=True, frozen=True, eq=False)
class DerivedOptions:
    """What `live.derived` was given. `shape`: the stream that clients see, without its topic."""

    sources: tuple[str, ...] | Callable[..., Any]
    debounce: float
    shape: StreamOptions

    @classmethod
    def of(cls, sources: Any, debounce: Any, shape: StreamOptions) -> DerivedOptions:
        """Return checked options.

        Raises:
            ValueError: the message names the option.
        """
        wait = seconds("live.derived", "debounce", debounce, zero=True)
        if not callable(sources):
            return cls(source_names("live.derived", sources), wait, shape)
        if is_async(sources):
            raise ValueError(
                "live.derived: sources must be topics or a plain function, not an async one; over a function it needs "
                'parentheses: @live.derived(["orders"])'
            )
        if next(iter(inspect.signature(sources).parameters), None) in CTX_NAMES:
            raise ValueError(
                "live.derived: sources gets the arguments alone: what it returns holds for everybody with the same "
                "arguments, whoever came first"
            )
        return cls(sources, wait, shape)

    @property
    def is_dynamic(self) -> bool:
        """Whether there is one value for each tuple of arguments."""
        return callable(self.sources)

    @property
    def event(self) -> str:
        """The event under which clients take a new value whole."""
        return "set" if self.shape.merge in TAKES_SET else "refreshed"

    def options_at(self, path: str) -> StreamOptions:
        """Return the options of the stream that is registered under `path`."""
        if not self.is_dynamic:
            return replace(self.shape, topic=path)

        def topic(*args: Any) -> str:
            return output_topic(path, args)

        return replace(self.shape, topic=topic)

    def signature_of(self, function: Callable[..., Any]) -> Signature:
        """Return what clients pass to `function`.

        Raises:
            SignatureError: a static one takes arguments; wrappers would hand a ctx to one that takes none.
        """
        inner = inspect.unwrap(function)
        if self.is_dynamic:
            return signature_of(function)
        if wants_ctx(function):
            found = signature_of(function)
            if any(one.required for one in found.parameters):
                raise SignatureError(
                    "a derived stream with fixed sources takes no arguments; for one value per argument make sources "
                    "a function of them"
                )
            return Signature((), found.returns)
        if inner is not function:
            raise SignatureError("under other decorators a derived stream takes ctx: write `(ctx)`")
        found = signature_of(function, skip_ctx=False)
        if any(one.required for one in found.parameters):
            raise SignatureError(
                f"{found.parameters[0].name}: a derived stream with fixed sources takes no arguments but ctx"
            )
        return Signature((), found.returns)

    def body_of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` in the form `(ctx, *args)`."""
        if self.is_dynamic or wants_ctx(function):
            return function

        @functools.wraps(function)
        def body(ctx: Any) -> Any:
            return function()

        return body

    def sources_for(self, args: Iterable[Any]) -> tuple[str, ...] | None:
        """Return the topics that the value for `args` is made of, `None` if the app's function gave no such list."""
        if not callable(self.sources):
            return self.sources
        found = self.sources(*args)
        if inspect.iscoroutine(found):
            found.close()
        if not isinstance(found, list | tuple | set | frozenset) or not found:
            return None
        if not all(isinstance(topic, str) and names.name_problem(topic) is None for topic in found):
            return None
        return tuple(dict.fromkeys(found))


@dataclass(slots=True, frozen=True, eq=False)
class EffectOptions:
    """What `live.effect` was given. `wanted`: how many of event, data and platform its function takes."""

    sources: tuple[str, ...]
    debounce: float
    wanted: int = 3

    @classmethod
    def of(cls, sources: Any, debounce: Any) -> EffectOptions:
        """Return checked options.

        Raises:
            ValueError: the message names the option.
        """
        wait = seconds("live.effect", "debounce", debounce, zero=True)
        return cls(source_names("live.effect", sources), wait)


def source_names(label: str, sources: Any) -> tuple[str, ...]:
    """Return the topics that a declaration names, each once.

    Raises:
        ValueError: none, or something that is no topic.
    """
    given = [sources] if isinstance(sources, str) else sources
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise ValueError(f"{label}: sources must be topics, not {sources!r}")
    found = tuple(dict.fromkeys(given))
    if not found:
        raise ValueError(f"{label}: sources must name at least one topic")
    for topic in found:
        problem = names.name_problem(topic) if isinstance(topic, str) else "is no text"
        if problem is not None:
            raise ValueError(f"{label}: sources: {topic!r} {problem}")
    return found


def output_topic(path: str, args: Iterable[Any]) -> str:
    """Return the topic of the value for `args`: `path~arg1~arg2`, each argument as text without `~`. Spec: wire 5.3.

    Raises:
        LiveError: `INVALID_REQUEST` for an argument that is no text, number, bool or null.
    """
    return SEPARATOR.join([path, *(text.replace(SEPARATOR, "") for text in texts(args))])


def path_of(topic: str) -> str:
    """Return the path of the derived stream that `topic` is of, if it is of one."""
    return topic.partition(SEPARATOR)[0]


def texts(args: Iterable[Any]) -> tuple[str, ...]:
    """Return each argument as text.

    Raises:
        LiveError: `INVALID_REQUEST` for an argument that is no text, number, bool or null.
    """
    return tuple(map(_text, args))


def wants_ctx(function: Callable[..., Any]) -> bool:
    """Return whether the first parameter of `function` is the ctx."""
    return next(iter(inspect.signature(inspect.unwrap(function)).parameters), None) in CTX_NAMES


def _text(arg: Any) -> str:
    if isinstance(arg, str):
        return str(arg)
    value = jsoncodec.decode(jsoncodec.encode(arg))
    if isinstance(value, list | dict):
        raise LiveError(
            "INVALID_REQUEST", "Arguments of a derived stream must be text, numbers, true, false or null"
        )
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # as a browser writes it
    return value if isinstance(value, str) else jsoncodec.encode(value).decode()
