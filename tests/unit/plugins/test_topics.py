"""`define_topics`: names, patterns, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from runtime import define_topics

pytestmark = pytest.mark.spec("LIVE-107")


def fails(org: str) -> str:
    return f"x:{int(org)}"


async def slow(org: str) -> str:
    return org


TOPICS = define_topics(
    {"by-key": "k"},
    audit=lambda org: f"audit:{org}",
    pair=lambda a, b="x": f"{a}:{b}",
    many=lambda *parts: ":".join(parts),
    notices="system:notices",
    fails=fails,
    slow=slow,  # type: ignore[arg-type]  # as below
    number=lambda: 3,  # type: ignore[arg-type, return-value]  # that is the point
    items="items",
)


def test_they_are_read_by_attribute_and_by_key() -> None:
    assert TOPICS.audit("o1") == TOPICS["audit"]("o1") == "audit:o1"
    assert TOPICS.notices == "system:notices"
    assert TOPICS.items == "items"
    assert TOPICS["by-key"] == "k"
    assert ("audit" in TOPICS, "other" in TOPICS, len(TOPICS)) == (True, False, 9)
    assert next(iter(TOPICS)) == "by-key"
    assert TOPICS.is_defined_topics is True
    assert copy.deepcopy(TOPICS).notices == "system:notices"
    with pytest.raises(AttributeError, match=r"there is no topic 'other'; there are by-key, audit"):
        _ = TOPICS.other
    with pytest.raises(KeyError):
        _ = TOPICS["other"]


def test_patterns_show_what_they_look_like() -> None:
    assert dict(TOPICS.patterns) == {
        "by-key": "k",
        "audit": "audit:{arg0}",
        "pair": "{arg0}:{arg1}",
        "many": "{arg0}",
        "notices": "system:notices",
        "fails": "<dynamic>",
        "slow": "<dynamic>",
        "number": "<dynamic>",
        "items": "items",
    }
    assert repr(define_topics(a="b")) == "define_topics({'a': 'b'})"


@pytest.mark.parametrize("name", ["patterns", "is_defined_topics", "__patterns", "_x", "", 3])
def test_reserved_and_empty_names_fail(name: Any) -> None:
    with pytest.raises(ValueError, match="define_topics: the name"):
        define_topics({name: "x"})


@pytest.mark.parametrize(
    ("topic", "error"), [("", ValueError), ('a"b', ValueError), (None, TypeError), (3, TypeError)]
)
def test_a_topic_that_is_none_fails(topic: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="define_topics: the topic 'audit'"):
        define_topics(audit=topic)


def test_it_takes_a_mapping() -> None:
    with pytest.raises(TypeError, match="give a mapping"):
        define_topics(["a"])  # type: ignore[arg-type]  # that is the point
