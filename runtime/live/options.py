"""What a stream or channel was declared with, checked at import. Spec: live-api 8, 8.1 and 9.1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any, TypedDict

from runtime.live.argschema import ArgsSchema
from runtime.live.callables import is_async
from runtime.live.delta import delta_of
from runtime.live.topicpatterns import patterns_of
from runtime.wire import names

__all__ = ["MERGES", "Predicate", "ReplayOptions", "StreamOptions", "Topic", "access_of"]

Topic = str | Callable[..., str]
Predicate = Callable[..., Any]

#: How a client folds events into its value. Spec: wire 5.6.
MERGES = ("crud", "latest", "set", "presence", "cursor")
DEFAULT_KEY = "id"


class ReplayOptions(TypedDict, total=False):
    """How the events of a stream's topic are kept: the last `size` of them."""

    size: int


@dataclass(slots=True, frozen=True)
class StreamOptions:
    """The checked options of one stream; a wrong one raises at the declaration and is named in the message."""

    topic: Topic
    merge: str = "crud"
    key: str | None = None
    prepend: bool = False
    max: int | None = None
    replay: bool | ReplayOptions = False
    access: Predicate | None = None
    transform: Callable[[Any], Any] | None = None
    volatile: bool = False
    on_subscribe: Callable[..., Any] | None = None
    on_unsubscribe: Callable[..., Any] | None = None
    on_error: Callable[..., Any] | None = None
    class_of_service: str | None = None
    #: Parses all arguments of a client at once; `None`: as the loader is annotated. A schema becomes one.
    args: Any = None
    delta: Any = None
    coalesce_by: Callable[[Any], Any] | None = None
    stale_after: float | None = None
    invalidate_on: str | Sequence[str] = ()
    version: int | None = None
    migrate: Mapping[int, Callable[[Any], Any]] = field(default_factory=dict)
    resync_on_drop: bool | None = None

    def __post_init__(self) -> None:
        if isinstance(self.topic, str):
            problem = names.name_problem(self.topic)
            _check(problem is None, "topic", f"{problem}")
            _check(
                not names.is_system_topic(self.topic),
                "topic",
                f"{self.topic!r} begins with the reserved prefix '__'",
            )
        else:
            _check(callable(self.topic), "topic", f"must be a string or a function, not {self.topic!r}")
            _check(
                not is_async(self.topic),
                "topic",
                'must be a plain function, not async; over a loader write @live.stream("topic")',
            )
        _check(self.merge in MERGES, "merge", f"must be one of {', '.join(MERGES)}, not {self.merge!r}")
        _check(
            self.key is None or (isinstance(self.key, str) and self.key != ""),
            "key",
            "must be a non-empty string",
        )
        _check(isinstance(self.prepend, bool), "prepend", f"must be a bool, not {self.prepend!r}")
        whole = isinstance(self.max, int) and not isinstance(self.max, bool) and self.max >= 0
        _check(self.max is None or whole, "max", f"must be an integer >= 0, not {self.max!r}")
        self._check_replay()
        _check(isinstance(self.volatile, bool), "volatile", f"must be a bool, not {self.volatile!r}")
        _check(
            not (self.volatile and self.keeps_events),
            "volatile",
            "cannot be combined with replay: events without a number cannot be replayed; pick one of them",
        )
        cos = self.class_of_service
        is_name = isinstance(cos, str) and cos != ""
        _check(cos is None or is_name, "class_of_service", f"must be a non-empty string, not {cos!r}")
        for name in ("access", "transform", "coalesce_by", "on_subscribe", "on_unsubscribe", "on_error"):
            value = getattr(self, name)
            _check(value is None or callable(value), name, f"must be a function, not {value!r}")
        for name in ("transform", "coalesce_by"):
            _check(not is_async(getattr(self, name)), name, "must be a plain function, not async")
        _check(
            not (self.volatile and self.coalesce_by is not None),
            "volatile",
            "cannot be combined with coalesce_by, whose events never have a number; leave volatile out",
        )
        self._check_reloads()
        self._check_schema()
        self._take("delta", delta_of(self.delta))
        if self.args is not None and not isinstance(self.args, ArgsSchema):
            self._take("args", ArgsSchema(self.args))
        resync = self.resync_on_drop
        _check(
            resync is None or isinstance(resync, bool), "resync_on_drop", f"must be a bool, not {resync!r}"
        )

    def _take(self, option: str, value: Any) -> None:
        """Keep an option as what its declaration stands for."""
        object.__setattr__(self, option, value)

    def _check_reloads(self) -> None:
        after = self.stale_after
        is_number = isinstance(after, int | float) and not isinstance(after, bool)
        _check(
            after is None or (is_number and isfinite(after) and after > 0),
            "stale_after",
            f"must be a number of seconds above 0, not {after!r}",
        )
        patterns = self.invalidate_on
        _check(
            isinstance(patterns, Sequence),
            "invalidate_on",
            f"must be a pattern or a list of patterns, not {patterns!r}",
        )
        self._take("invalidate_on", patterns_of(patterns))
        for pattern in self.invalidate_on:
            _check(
                isinstance(pattern, str) and pattern != "",
                "invalidate_on",
                f"a pattern must be a string that is not empty, not {pattern!r}",
            )

    def _check_schema(self) -> None:
        version = self.version
        whole = isinstance(version, int) and not isinstance(version, bool) and version >= 1
        _check(version is None or whole, "version", f"must be an integer >= 1, not {version!r}")
        _check(isinstance(self.migrate, Mapping), "migrate", f"must be a mapping, not {self.migrate!r}")
        _check(not self.migrate or version is not None, "migrate", "needs version=")
        for step, change in self.migrate.items():
            whole = isinstance(step, int) and not isinstance(step, bool)
            _check(whole, "migrate", f"its keys are versions, integers: {step!r} is none")
            _check(callable(change), "migrate", f"step {step} must be a function, not {change!r}")
            _check(not is_async(change), "migrate", f"step {step} must be a plain function, not async")

    def _check_replay(self) -> None:
        replay = self.replay
        if isinstance(replay, bool):
            return
        _check(isinstance(replay, Mapping), "replay", f'must be a bool or {{"size": n}}, not {replay!r}')
        unknown = sorted(set(replay) - {"size"})
        _check(not unknown, "replay", f"has no option {', '.join(map(repr, unknown))}; it has size")
        size = replay.get("size", 1)
        whole = isinstance(size, int) and not isinstance(size, bool) and size >= 1
        _check(whole, "replay", f"size must be an integer >= 1, not {size!r}")

    @property
    def keeps_events(self) -> bool:
        """Whether the topic's events are kept for clients that come back; coalesced ones never are."""
        return self.replay is not False and self.coalesce_by is None

    @property
    def replay_size(self) -> int | None:
        """How many events are kept; `None`: as many as the history keeps of any topic."""
        return None if isinstance(self.replay, bool) else self.replay.get("size")

    @property
    def wire_key(self) -> str | None:
        """The `key` of the reply: present for crud, or when declared. Spec: live-api 8.4."""
        return self.key or (DEFAULT_KEY if self.merge == "crud" else None)

    def client_options(self) -> dict[str, Any]:
        """Return the options that a client uses, as the stubs and replies carry them. Spec: live-api 21.1."""
        options: dict[str, Any] = {"merge": self.merge}
        if self.wire_key is not None:
            options["key"] = self.wire_key
        if self.prepend:
            options["prepend"] = True
        if self.max is not None:
            options["max"] = self.max
        if self.keeps_events:
            options["replay"] = True
        return options

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the option names, for messages about unknown ones."""
        return tuple(field.name for field in fields(cls))


def access_of(access: Predicate | None, other: Predicate | None) -> Predicate | None:
    """Return the predicate of `access` and `filter`, its other name; the first wins.

    Raises:
        ValueError: `filter` is no function. What is wrong with `access` the options say.
    """
    _check(other is None or callable(other), "filter", f"must be a function, not {other!r}")
    return other if access is None else access


def _check(holds: bool, option: str, problem: str) -> None:
    if not holds:
        raise ValueError(f"{option}: {problem}")
