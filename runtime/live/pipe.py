"""`pipe`: what a stream loads, filtered, sorted, cut and joined; live events stay as they are. Spec: live-api 9.3."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, Protocol, TypeVar

from runtime.live.callables import call
from runtime.live.marks import mark_of, set_mark
from runtime.live.pageload import set_loadable
from runtime.live.registry import PIPED
from runtime.live.streamvalue import Page

__all__ = ["Transform", "pipe"]

F = TypeVar("F", bound=Callable[..., Any])


class Transform(Protocol):
    """One step of a pipe; an object of the app's own may be one."""

    def transform_init(self, data: list[Any], ctx: Any) -> Any:
        """Return what becomes of the loaded list, or something to await for it."""


class _Filter:
    def __init__(self, predicate: Callable[[Any, Any], Any]) -> None:
        self._predicate = predicate

    async def transform_init(self, data: list[Any], ctx: Any) -> list[Any]:
        return [item for item in data if await call(self._predicate, ctx, item)]


class _Sort:
    def __init__(self, field: str, direction: str) -> None:
        self._field = field
        self._is_descending = direction == "desc"

    def transform_init(self, data: list[Any], ctx: Any) -> list[Any]:
        known = [item for item in data if _field(item, self._field) is not None]
        rest = [item for item in data if _field(item, self._field) is None]
        # `reverse` keeps the order of equal ones, as sorting in this direction does.
        known.sort(key=lambda item: _field(item, self._field), reverse=self._is_descending)
        return known + rest


class _Limit:
    def __init__(self, count: int) -> None:
        self._count = count

    def transform_init(self, data: list[Any], ctx: Any) -> list[Any]:
        return data[: self._count]


class _Join:
    def __init__(self, field: str, resolver: Callable[[Any], Any], name: str) -> None:
        self._field = field
        self._resolver = resolver
        self._name = name

    async def transform_init(self, data: list[Any], ctx: Any) -> list[Any]:
        async with asyncio.TaskGroup() as group:
            found = [
                group.create_task(call(self._resolver, _field(item, self._field)), name="pipe.join")
                for item in data
            ]
        return [
            {**_as_mapping(item), self._name: task.result()} for item, task in zip(data, found, strict=True)
        ]


class _Pipe:
    """`pipe(stream, *transforms)` and the transforms that exist."""

    def __call__(self, stream: F, /, *transforms: Transform) -> F:
        """Return a stream that loads what `stream` loads and sends it through `transforms`, in order.

        All options, gates and the topic of `stream` hold for it too. What is no list passes as it is; of a page its
        data is transformed. Live events are not touched: pair a filter with the `transform` of the stream.

        Raises:
            TypeError: `stream` is no `live.stream`, or a transform has no `transform_init(data, ctx)`.
        """
        mark = mark_of(stream)
        if mark is None or mark.kind != "stream":
            raise TypeError(f"pipe: the first argument must be a stream made by live.stream, not {stream!r}")
        if mark.derived is not None:
            raise TypeError(
                f"pipe: {stream.__qualname__} is computed anew for every change; do there what the pipe would do"
            )
        if mark.thread:
            raise TypeError(
                f"pipe: {stream.__qualname__} runs in a thread; pipe an async stream that calls it"
            )
        for transform in transforms:
            if not callable(getattr(transform, "transform_init", None)):
                raise TypeError(
                    f"pipe: a transform has transform_init(data, ctx), which {transform!r} has not"
                )

        @functools.wraps(stream)
        async def piped(ctx: Any, *args: Any) -> Any:
            return await _through(transforms, await call(stream, ctx, *args), ctx)

        piped.__module__ = str(sys._getframe(1).f_globals.get("__name__", stream.__module__))
        own = replace(mark, gates=list(mark.gates), path=None)
        set_mark(piped, own)
        set_loadable(piped, own)
        setattr(piped, PIPED, True)
        made: Any = piped
        return made  # type: ignore[no-any-return]  # same call signature, which TypeVar F cannot express

    @staticmethod
    def filter(predicate: Callable[[Any, Any], Any]) -> Transform:
        """Keep the items for which `predicate(ctx, item)`, plain or asynchronous, is true.

        Raises:
            TypeError: not a function.
        """
        if not callable(predicate):
            raise TypeError(f"pipe.filter: a function (ctx, item) is needed, not {predicate!r}")
        return _Filter(predicate)

    @staticmethod
    def sort(field: str, direction: Literal["asc", "desc"] = "asc") -> Transform:
        """Sort by a field; items of equal value keep their order, and those without one come last.

        Raises:
            ValueError: another direction, or no field.
        """
        if not isinstance(field, str) or not field:
            raise ValueError(f"pipe.sort: the field must be a non-empty string, not {field!r}")
        if direction not in ("asc", "desc"):
            raise ValueError(f"pipe.sort: the direction must be 'asc' or 'desc', not {direction!r}")
        return _Sort(field, direction)

    @staticmethod
    def limit(count: int) -> Transform:
        """Keep the first `count` items.

        Raises:
            ValueError: not an integer >= 0.
        """
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ValueError(f"pipe.limit: must be an integer >= 0, not {count!r}")
        return _Limit(count)

    @staticmethod
    def join(field: str, resolver: Callable[[Any], Any], as_: str) -> Transform:
        """Give each item, as a copy, a key `as_` with what `resolver(item[field])` returns; all of them at once.

        Raises:
            TypeError: `resolver` is no function. ValueError: an empty name.
        """
        if not callable(resolver):
            raise TypeError(f"pipe.join: a function (value) is needed, not {resolver!r}")
        if not (isinstance(field, str) and field and isinstance(as_, str) and as_):
            raise ValueError(f"pipe.join: names must be non-empty strings, not {field!r} and {as_!r}")
        return _Join(field, resolver, as_)


#: `pipe(stream, pipe.filter(...), pipe.sort(...), ...)`.
pipe = _Pipe()


async def _through(transforms: tuple[Transform, ...], value: Any, ctx: Any) -> Any:
    if isinstance(value, Page):
        return replace(value, data=await _transformed(transforms, value.data, ctx))
    if isinstance(value, Mapping) and "data" in value and "hasMore" in value:
        return {**value, "data": await _transformed(transforms, value["data"], ctx)}
    return await _transformed(transforms, value, ctx)


async def _transformed(transforms: tuple[Transform, ...], data: Any, ctx: Any) -> Any:
    for transform in transforms:
        if isinstance(data, tuple):
            data = list(data)
        if not isinstance(data, list):
            return data
        data = transform.transform_init(data, ctx)
        if inspect.isawaitable(data):
            data = await data
    return data


def _field(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)


def _as_mapping(item: Any) -> Mapping[str, Any]:
    if isinstance(item, Mapping):
        return item
    plain: Any = getattr(item, "__dict__", None)
    if plain is None:
        raise TypeError(f"pipe.join: items must be mappings or have attributes, not {type(item).__name__}")
    return dict(plain)
