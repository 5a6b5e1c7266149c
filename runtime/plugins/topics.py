"""`define_topics`: one place for the names of an app's topics. Spec: live-api 9.4."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from runtime.wire import names

__all__ = ["DYNAMIC", "Topics", "define_topics"]

RESERVED = frozenset({"is_defined_topics", "patterns"})
#: The pattern of a function that cannot be called with placeholders.
DYNAMIC = "<dynamic>"
# Placeholders for a function that takes any number of arguments.
VARIADIC_ARGS = 1

Topic = str | Callable[..., str]


class Topics:
    """Topic names and functions by attribute or by key; `patterns` shows what each looks like.

    It has no `keys` and `items`, so that topics may have those names.
    """

    __slots__ = ("_patterns", "_topics")

    #: Tells a registry of topics from any other object.
    is_defined_topics = True

    def __init__(self, topics: Mapping[str, Topic]) -> None:
        self._topics = dict(topics)
        self._patterns = {name: _pattern(topic) for name, topic in topics.items()}

    @property
    def patterns(self) -> Mapping[str, str]:
        """What each topic looks like, with `{arg0}`, `{arg1}` for its arguments; `<dynamic>` where that fails."""
        return MappingProxyType(self._patterns)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # a copy that is being made has no topics yet
            raise AttributeError(name)
        try:
            return self._topics[name]
        except KeyError:
            raise AttributeError(
                f"define_topics: there is no topic {name!r}; there are {', '.join(self._topics)}"
            ) from None

    def __getitem__(self, name: str) -> Any:
        return self._topics[name]

    def __contains__(self, name: object) -> bool:
        return name in self._topics

    def __iter__(self) -> Iterator[str]:
        return iter(self._topics)

    def __len__(self) -> int:
        return len(self._topics)

    def __repr__(self) -> str:
        return f"define_topics({self._patterns!r})"


def define_topics(topics: Mapping[str, Topic] | None = None, /, **named: Topic) -> Topics:
    """Name the topics of an app in one place, as text or as functions that return it.

    `TOPICS = define_topics(audit=lambda org: f"audit:{org}", notices="news")`

    Args:
        topics: names and what they stand for, for names that cannot be keywords.
        named: the same as keywords.

    Returns:
        Something to read by attribute (`TOPICS.audit("o1")`) or by key.

    Raises:
        TypeError: a topic that is neither text nor callable, or `topics` that is no mapping.
        ValueError: an empty topic, one that cannot travel, or a name that is empty or reserved.
    """
    if topics is not None and not isinstance(topics, Mapping):
        raise TypeError(f"define_topics: give a mapping or keywords, not {type(topics).__name__}")
    found: dict[str, Topic] = {**(topics or {}), **named}
    for name, topic in found.items():
        _check(name, topic)
    return Topics(found)


def _check(name: Any, topic: Any) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(f"define_topics: the name of a topic must be a non-empty string, not {name!r}")
    if name in RESERVED or name.startswith("_"):
        raise ValueError(f"define_topics: the name {name!r} is reserved; choose another")
    if isinstance(topic, str):
        problem = names.name_problem(topic)
        if problem is not None:
            raise ValueError(f"define_topics: the topic {name!r} {problem}")
    elif not callable(topic):
        raise TypeError(
            f"define_topics: the topic {name!r} must be a string or a function that returns one, not {topic!r}"
        )


def _pattern(topic: Topic) -> str:
    if isinstance(topic, str):
        return topic
    try:
        parameters = inspect.signature(topic).parameters.values()
        count = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
        if any(p.kind is p.VAR_POSITIONAL for p in parameters):
            count += VARIADIC_ARGS
        made: Any = topic(*[f"{{arg{index}}}" for index in range(count)])
    except Exception:
        return DYNAMIC
    if inspect.iscoroutine(made):
        made.close()
    return made if isinstance(made, str) and made else DYNAMIC
