"""`live.aggregate(...)`, and aggregates as classes: `class Requests(live.Aggregate)`. Spec: live-api 11."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from runtime.live.aggregate import AggregateDeclaration, AggregatePlace, Reducer, segment_of
from runtime.live.pageload import Loadable

if TYPE_CHECKING:
    import types
    from collections.abc import Awaitable, Callable, Mapping

    from runtime.live.aggregate import Snapshot, Window

__all__ = ["Aggregate", "aggregate", "aggregates_of"]

_OPTIONS = ("source", "topic", "windows", "snapshot", "snapshots", "debounce")


class _AggregateType(type):
    """Lets a class have its windows as attributes, and what its value is loaded with."""

    def __getattr__(cls, name: str) -> Loadable:
        """Return a window, to be loaded for a page: `await Requests.today.load(platform)`."""
        known = None if name.startswith("_") or name in _OPTIONS else getattr(cls, "windows", None)
        if known is not None and name in known:
            return Loadable(_place_of(cls), segment_of(name))
        has = f"its windows are: {', '.join(known)}" if known else "and no windows"
        raise AttributeError(f"the aggregate {cls.__qualname__} has no {name!r}; {has}")

    @property
    def load(cls) -> Callable[..., Awaitable[Any]]:
        """Load the value of an aggregate without windows for a page, as `live.load` does.

        Raises:
            AttributeError: it has windows; each of them has a `load`.
        """
        if getattr(cls, "windows", None) is not None:
            raise AttributeError("each window has a load")
        return Loadable(_place_of(cls)).load


class Aggregate(metaclass=_AggregateType):
    """Base of aggregates that are written as a class; there are no instances.

    `source` and `topic` are needed; `windows`, `snapshot`, `snapshots` and `debounce` may follow. Every other attribute
    that is a `Reducer(...)` or `Compute(...)` is a field, in the order in which they stand.
    """

    _declared_at: ClassVar[tuple[str, int]]
    _place: ClassVar[AggregatePlace]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        frame = sys._getframe(1)
        cls._declared_at = (frame.f_code.co_filename, frame.f_lineno)
        cls._place = AggregatePlace()


def aggregate(
    source: str,
    fields: Mapping[str, Reducer | Mapping[str, Any]],
    *,
    topic: str,
    windows: Mapping[str, Window] | None = None,
    snapshot: Snapshot | None = None,
    snapshots: Mapping[str, Snapshot] | None = None,
    debounce: float = 0,
) -> AggregateDeclaration:
    """Declare what is kept of everything that is published on a topic: counts, sums, extremes.

    Without windows it is one stream, at the declaration's own path. With windows each has a stream of its own, on
    `<topic>:<window>`; clients find `requests.today` and `requests.last5`.

    Args:
        source: the topic whose events are folded in.
        fields: names to `Reducer(...)` or `Compute(...)`.
        topic: where the value is published, as `set`.
        windows: names to `Lifetime()`, `Tumbling(...)` or `Sliding(...)`.
        snapshot: `async ()`, returns the state to start from, or `None`; of the only window, or of one that is called
            `lifetime`. snapshots: the same by window; sliding windows always start empty.
        debounce: seconds of silence before a value is published; 0 publishes at every event.

    Raises:
        ValueError: an option that cannot be; the message names it, and the window.
    """
    frame = sys._getframe(1)
    return AggregateDeclaration(
        source,
        fields,
        topic,
        windows,
        snapshot,
        snapshots,
        debounce,
        file=frame.f_code.co_filename,
        line=frame.f_lineno,
    )


def aggregates_of(
    module: types.ModuleType, file: Path
) -> tuple[dict[str, AggregateDeclaration], dict[str, tuple[int, Exception]]]:
    """Return the aggregates that a module exports, in either form, and those that cannot be, by attribute."""
    found: dict[str, AggregateDeclaration] = {}
    wrong: dict[str, tuple[int, Exception]] = {}
    for attribute, value in vars(module).items():
        if attribute.startswith("_"):
            continue
        is_class = isinstance(value, type) and issubclass(value, Aggregate) and value is not Aggregate
        if is_class and value.__module__ == module.__name__:
            try:
                found[attribute] = _declaration(value)
            except (TypeError, ValueError) as error:
                wrong[attribute] = value._declared_at[1], error
        elif isinstance(value, AggregateDeclaration) and Path(value.file).resolve() == file.resolve():
            found[attribute] = value
    return found, wrong


def _declaration(cls: type[Aggregate]) -> AggregateDeclaration:
    members: dict[str, Any] = {}
    for base in reversed(cls.__mro__[: cls.__mro__.index(Aggregate)]):
        members.update(vars(base))
    for name in ("source", "topic"):
        if name not in members:
            raise ValueError(f"{name}: the aggregate {cls.__qualname__} needs it")
    options = {name: _plain(members.pop(name)) for name in _OPTIONS if name in members}
    fields = {name: value for name, value in members.items() if isinstance(value, Reducer)}
    file, line = cls._declared_at
    doc = inspect.cleandoc(cls.__doc__ or "")
    return AggregateDeclaration(**options, fields=fields, file=file, line=line, doc=doc, place=cls._place)


def _place_of(cls: _AggregateType) -> AggregatePlace:
    place: AggregatePlace = vars(cls)["_place"]
    return place


def _plain(value: Any) -> Any:
    return value.__func__ if isinstance(value, staticmethod) else value
