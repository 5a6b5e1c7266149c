"""`live.aggregate`: what is declared, checked. What runs it is `runtime.live.aggregates`. Spec: live-api 11."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypedDict

from runtime.core import capacity
from runtime.live.boundaries import PERIODS, CivilBoundaries, FixedBoundaries, zone_of
from runtime.live.combiners import Combiner
from runtime.live.context import Ctx
from runtime.live.options import StreamOptions
from runtime.live.pageload import Loadable
from runtime.live.recipe import Recipe
from runtime.live.signature import Signature
from runtime.wire import names

if TYPE_CHECKING:
    from runtime.live.boundaries import Boundaries

__all__ = [
    "SINGLE",
    "UNSAFE_NAMES",
    "WINDOW_START",
    "AggregateDeclaration",
    "AggregatePart",
    "AggregatePlace",
    "Compute",
    "Lifetime",
    "Reducer",
    "Sliding",
    "Tumbling",
    "Window",
    "boundaries_of",
    "segment_of",
]

#: The name under which an aggregate without windows is dumped and restored.
SINGLE = "lifetime"
#: The key of a dumped tumbling window that says when it began.
WINDOW_START = "window_start"

# Seconds before and after 1970 in which a window may be anchored, some thousand years: more are milliseconds.
_FARTHEST = 1e11
# Timers go no closer together than this, in seconds.
_SHORTEST = 0.001
_WINDOW_NAME = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
#: The state becomes an object in a page, where these names are more than keys.
UNSAFE_NAMES = frozenset({"__proto__", "constructor", "prototype"})

Snapshot = Callable[[], Awaitable[Mapping[str, Any] | None]]


@dataclass(slots=True, frozen=True)
class Reducer:
    """One field of an aggregate.

    Args:
        init: `()`, makes the value to start from, afresh for every window; without it that is `None`.
        reduce: `(value, event, data)`, returns the value after one event. Plain, not async; `data` is only to be read.
        compute: `(state)`, makes the value that is shown; it sees what the fields before it have computed.
        combine: `(*values)`, makes one value of those of all buckets; a sliding window needs it.
    """

    init: Callable[[], Any] | None = None
    reduce: Callable[[Any, str, Any], Any] | None = None
    compute: Callable[[dict[str, Any]], Any] | None = None
    combine: Combiner | None = None


def Compute(compute: Callable[[dict[str, Any]], Any]) -> Reducer:  # stands beside Reducer
    """Return a field that is only computed from the others: `Compute(lambda s: s["ms"] / s["count"])`."""
    return Reducer(compute=compute)


@dataclass(slots=True, frozen=True)
class Lifetime:
    """A window that never ends. `debounce`: seconds of silence before it is published; `None`: the aggregate's."""

    debounce: float | None = None


@dataclass(slots=True, frozen=True)
class Tumbling:
    """Windows that follow each other: `period` in the zone `tz`, or `duration` seconds from `anchor` on.

    Args:
        period: `minute`, `hour`, `daily` or `monthly`, as the clocks in `tz` show it.
        tz: the IANA name of a zone; without it UTC.
        duration: seconds. anchor: seconds since the epoch at which one of the windows begins.
        debounce: seconds of silence before it is published; `None`: the aggregate's.
    """

    period: str | None = None
    tz: str | None = None
    duration: float | None = None
    anchor: float = 0.0
    debounce: float | None = None


@dataclass(slots=True, frozen=True)
class Sliding:
    """The last `duration` seconds, moved on every `slide` seconds.

    `debounce`: seconds of silence before it is published; `None`: the aggregate's.
    """

    duration: float
    slide: float
    debounce: float | None = None

    @property
    def buckets(self) -> int:
        """How many slides it takes to fill the window."""
        exact = self.duration / self.slide
        nearest = round(exact)
        # 0.9 / 0.3 is a little more than 3.
        return nearest if math.isclose(exact, nearest, rel_tol=1e-9) else math.ceil(exact)


Window = Lifetime | Tumbling | Sliding


@dataclass(slots=True, frozen=True)
class AggregatePart:
    """One stream of an aggregate: that of a window, or its only one (`window` is `None` then)."""

    aggregate: AggregateDeclaration
    window: str | None
    segment: str
    fn: Callable[[Ctx], Awaitable[dict[str, Any]]]
    signature: Signature
    options: StreamOptions


@dataclass(slots=True, eq=False)
class AggregatePlace:
    """The path of an aggregate once it is registered; `None` before."""

    path: str | None = None


@dataclass(slots=True, eq=False)
class AggregateDeclaration:
    """What `live.aggregate(...)` or a class below `live.Aggregate` declares, checked."""

    source: str
    fields: Mapping[str, Any]
    topic: str
    windows: Mapping[str, Window] | None = None
    snapshot: Snapshot | None = None
    snapshots: Mapping[str, Snapshot] | None = None
    debounce: float = 0.0
    file: str = ""
    line: int = 0
    doc: str = ""
    #: What learns the path when it is registered.
    place: AggregatePlace = field(default_factory=AggregatePlace)
    #: Texts about what was left out.
    skipped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        problem = names.name_problem(self.source) if isinstance(self.source, str) else "is no string"
        _check(problem is None, f"source: {self.source!r} {problem}")
        _check(isinstance(self.topic, str), f"topic: must be a string, not {self.topic!r}")
        _check(self.topic != self.source, f"topic: {self.topic!r} is what it counts; name another one")
        self.fields = _checked_fields(self.fields)
        self._check_debounce("debounce", self.debounce)
        if self.windows is not None:
            _check(
                isinstance(self.windows, Mapping), f"windows: must map names to windows, not {self.windows!r}"
            )
            _check(len(self.windows) > 0, "windows: there is none; leave it out for one value")
            self.windows = dict(self.windows)
            for name, window in self.windows.items():
                self._check_window(name, window)
        self._check_snapshots()
        # Checks the topics, which are declared like those of any stream.
        for one in self.window_names():
            StreamOptions(topic=self.topic_of(one), merge="set")

    def __call__(self, ctx: Ctx) -> Awaitable[dict[str, Any]]:
        """Return the present value of an aggregate without windows.

        Raises:
            TypeError: it has windows, and only those have a value.
        """
        if self.windows is not None:
            raise TypeError(
                f"this aggregate has no value of its own; its windows have: {', '.join(self.windows)}"
            )
        return ctx._scope.aggregates.load(self.path or "", None)

    def __getattr__(self, name: str) -> Loadable:
        """Return a window, to be loaded for a page: `await requests.today.load(platform)`."""
        if not name.startswith("_") and name != "windows" and name in (self.windows or ()):
            return Loadable(self.place, segment_of(name))
        has = f"its windows are: {', '.join(self.windows)}" if self.windows else "and no windows"
        raise AttributeError(f"this aggregate has no {name!r}; {has}")

    @property
    def load(self) -> Callable[..., Awaitable[Any]]:
        """Load the value of an aggregate without windows for a page, as `live.load` does.

        Raises:
            AttributeError: it has windows; each of them has a `load`.
        """
        if self.windows is not None:
            raise AttributeError("each window has a load")
        return Loadable(self.place).load

    @property
    def path(self) -> str | None:
        """The path it is registered under; `None` before."""
        return self.place.path

    def window_names(self) -> tuple[str | None, ...]:
        """Return the names of the windows; `None` alone for an aggregate without."""
        return (None,) if self.windows is None else tuple(self.windows)

    def topic_of(self, window: str | None) -> str:
        """Return where a window is published."""
        return self.topic if window is None else f"{self.topic}:{window}"

    def window_of(self, name: str | None) -> Window:
        """Return the window of a name."""
        return Lifetime() if name is None or self.windows is None else self.windows[name]

    def debounce_of(self, name: str | None) -> float:
        """Return how many seconds of silence a window waits for."""
        own = self.window_of(name).debounce
        return self.debounce if own is None else own

    def snapshot_of(self, name: str | None) -> Snapshot | None:
        """Return what a window is restored from."""
        if name is None:
            return self.snapshot
        if isinstance(self.window_of(name), Sliding):
            return None
        given = (self.snapshots or {}).get(name)
        return self.snapshot if given is None and name == SINGLE else given

    def snapshot_functions(self) -> list[Snapshot]:
        """Return every function that restores something."""
        found = [self.snapshot, *(self.snapshots or {}).values()]
        return [snapshot for snapshot in found if snapshot is not None]

    def recipe(self) -> Recipe:
        """Return what tells whether another declaration means the same."""
        return Recipe(
            _same,
            (
                self.source,
                self.topic,
                {name: _parts(reducer) for name, reducer in self.fields.items()},
                list(self.fields),
                None
                if self.windows is None
                else [(name, type(w).__name__, _parts(w)) for name, w in self.windows.items()],
                self.debounce,
            ),
        )

    def parts(self, path: str) -> list[AggregatePart]:
        """Return the streams that this aggregate stands for, registered below `path`."""
        self.place.path = path
        signature = Signature((), self._value_type(path))
        return [self._part(path, name, signature) for name in self.window_names()]

    def _part(self, path: str, window: str | None, signature: Signature) -> AggregatePart:
        async def load(ctx: Ctx) -> dict[str, Any]:
            return await ctx._scope.aggregates.load(path, window)

        load.__doc__ = self.doc
        return AggregatePart(
            self,
            window,
            segment_of(window),
            load,
            signature,
            StreamOptions(topic=self.topic_of(window), merge="set"),
        )

    def _value_type(self, path: str) -> Any:
        """Return the type of the value, for declarations: each field is what its function says it returns."""
        name = re.sub(r"\W", "_", path.rpartition("/")[2])
        shown = {one: _returned(reducer) for one, reducer in self.fields.items()}
        return TypedDict(f"{name[:1].upper()}{name[1:]}Value", shown)  # type: ignore[operator]  # made at run time

    def _check_window(self, name: Any, window: Any) -> None:
        _check(
            isinstance(name, str) and _WINDOW_NAME.fullmatch(name) is not None,
            f"window {name!r}: names are made of letters, digits and _",
        )
        what = f"window {name!r}"
        kinds = "Lifetime(), Tumbling(...) or Sliding(...)"
        _check(isinstance(window, Lifetime | Tumbling | Sliding), f"{what}: must be {kinds}, not {window!r}")
        if window.debounce is not None:
            self._check_debounce(f"{what}: debounce", window.debounce)
        if isinstance(window, Tumbling):
            _check_tumbling(what, window)
            _check(
                WINDOW_START not in self.fields,
                f"{what}: no field can be called {WINDOW_START!r}, which is where a dump says when the window began",
            )
        elif isinstance(window, Sliding):
            _check_sliding(what, window)
            for field_name, reducer in self.fields.items():
                _check(
                    reducer.reduce is None or reducer.combine is not None,
                    f"{what}: the field {field_name!r} needs combine=, as combine_sum, to slide",
                )

    def _check_debounce(self, what: str, value: Any) -> None:
        _check(_is_number(value) and value >= 0, f"{what}: must be seconds of at least 0, not {value!r}")

    def _check_snapshots(self) -> None:
        _check(
            self.snapshot is None or callable(self.snapshot),
            f"snapshot: must be an async function, not {self.snapshot!r}",
        )
        given = {} if self.snapshots is None else self.snapshots
        _check(isinstance(given, Mapping), f"snapshots: must map windows to async functions, not {given!r}")
        windows = self.windows or {}
        for name, snapshot in given.items():
            _check(
                name in windows,
                f"snapshots: there is no window {name!r}; there are {', '.join(windows) or 'none'}",
            )
            _check(callable(snapshot), f"snapshots: {name!r} must be an async function, not {snapshot!r}")
            if isinstance(windows[name], Sliding):
                self.skipped.append(f"the snapshot of {name!r} is not used: sliding windows start empty")
        is_used = self.windows is None or (
            SINGLE in self.windows and self.snapshot_of(SINGLE) == self.snapshot
        )
        if self.snapshot is not None and not is_used:
            self.skipped.append(f"snapshot= is not used: it is for a window that is called {SINGLE!r}")


def segment_of(window: str | None) -> str:
    """Return what follows the aggregate's own path in that of a window."""
    return "" if window is None else f"/__window/{window}"


def _checked_fields(given: Any) -> dict[str, Reducer]:
    """Return the fields of an aggregate; a mapping with the keys of `Reducer` becomes one.

    Raises:
        ValueError: something that is no field; the message names it.
    """
    _check(isinstance(given, Mapping), f"fields: must map names to Reducer(...), not {given!r}")
    _check(len(given) > 0, "fields: there is none")
    known = {one.name for one in fields(Reducer)}
    found: dict[str, Reducer] = {}
    for name, value in given.items():
        what = f"field {name!r}"
        _check(isinstance(name, str) and name != "" and name not in UNSAFE_NAMES, f"{what} cannot be a name")
        reducer = value
        if isinstance(value, Mapping):
            unknown = sorted(str(key) for key in value if key not in known)
            _check(not unknown, f"{what}: has no {', '.join(unknown)}; it has init, reduce, compute, combine")
            reducer = Reducer(**value)
        _check(isinstance(reducer, Reducer), f"{what}: must be Reducer(...) or Compute(...), not {value!r}")
        for one in sorted(known):
            part = getattr(reducer, one)
            hint = f"; write {one}=lambda: {part!r}" if one == "init" else ""
            _check(part is None or callable(part), f"{what}: {one} must be a function, not {part!r}{hint}")
        _check(
            reducer.init is not None or reducer.reduce is not None or reducer.compute is not None,
            f"{what}: needs init, reduce or compute",
        )
        found[name] = reducer
    return found


def boundaries_of(window: Tumbling) -> Boundaries:
    """Return where a checked tumbling window ends."""
    if window.duration is not None:
        return FixedBoundaries(float(window.duration), float(window.anchor))
    period = next(one for one in PERIODS if one == window.period)
    return CivilBoundaries(period, zone_of(window.tz or "UTC"))


def _check_tumbling(what: str, window: Tumbling) -> None:
    _check(
        (window.period is None) != (window.duration is None),
        f"{what}: a tumbling window has either period= or duration=",
    )
    if window.period is not None:
        known = ", ".join(PERIODS)
        _check(window.period in PERIODS, f"{what}: period must be one of {known}, not {window.period!r}")
        _check(
            window.anchor == 0, f"{what}: anchor belongs to duration=; a period begins where the clock says"
        )
        try:
            zone_of("UTC" if window.tz is None else window.tz)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None
        return
    _check_step(f"{what}: duration", window.duration)
    _check(
        _is_number(window.anchor) and abs(window.anchor) <= _FARTHEST,
        f"{what}: anchor must be seconds since the epoch, not {window.anchor!r}",
    )
    _check(window.tz is None, f"{what}: tz belongs to period=; a duration is the same everywhere")


def _check_sliding(what: str, window: Sliding) -> None:
    _check_step(f"{what}: duration", window.duration)
    _check_step(f"{what}: slide", window.slide)
    _check(
        window.slide <= window.duration,
        f"{what}: slide must be at most its duration, {window.duration:g}, not {window.slide:g}",
    )
    limit = capacity.get("MAX_AGGREGATE_BUCKETS")
    if window.buckets > limit:
        capacity.record("MAX_AGGREGATE_BUCKETS", "reject", hint="a larger slide makes fewer buckets")
        raise ValueError(
            f"{what}: {window.duration:g} seconds in steps of {window.slide:g} are {window.buckets} buckets, and "
            f"MAX_AGGREGATE_BUCKETS is {limit}: make slide larger"
        )


def _check_step(what: str, value: Any) -> None:
    fits = _is_number(value) and value >= _SHORTEST
    _check(fits, f"{what} must be a number of seconds of at least {_SHORTEST}, not {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _parts(value: Reducer | Window) -> list[Any]:
    return [getattr(value, one.name) for one in fields(value)]


def _returned(reducer: Reducer) -> Any:
    """Return the type of what is shown of a field, `Any` where its function does not say it."""
    function = reducer.compute or reducer.reduce
    if function is None:
        return Any
    try:
        return inspect.get_annotations(function, eval_str=True).get("return", Any)
    except Exception:  # not a function, or an annotation that cannot be read: nothing is said then
        return Any


def _same() -> None:
    """Stand for the factory in a recipe of which only the arguments matter."""


def _check(holds: bool, problem: str) -> None:
    if not holds:
        raise ValueError(problem)
