"""What `delta`, `version`, `migrate`, `stale_after`, `invalidate_on` and `coalesce_by` may be. Spec: live-api 8.1."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.live.declare import live
from runtime.live.delta import Delta, delta_of
from runtime.live.topicpatterns import compile_patterns


def call(*args: Any) -> Any:
    """Be some function."""


@pytest.mark.spec("LIVE-99")
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"volatile": True, "coalesce_by": call}, "volatile: cannot be combined with coalesce_by"),
        ({"volatile": True, "replay": True}, "volatile: cannot be combined with replay"),
        ({"coalesce_by": "key"}, "coalesce_by: must be a function"),
        ({"stale_after": 0}, "stale_after: must be a number of seconds above 0"),
        ({"stale_after": float("inf")}, "stale_after"),
        ({"stale_after": True}, "stale_after"),
        ({"invalidate_on": ""}, "invalidate_on: a pattern must be a string that is not empty"),
        ({"invalidate_on": ["a", 3]}, "invalidate_on"),
        ({"version": 0}, "version: must be an integer >= 1"),
        ({"version": "2"}, "version"),
        ({"migrate": {1: call}}, "migrate: needs version"),
        ({"version": 2, "migrate": {"1": call}}, "migrate: its keys are versions"),
        ({"version": 2, "migrate": {1: "no"}}, "migrate: step 1 must be a function"),
        ({"resync_on_drop": 1}, "resync_on_drop: must be a bool"),
        ({"delta": "no"}, "delta: must be a Delta, or a mapping of version, diff, from_seq"),
        ({"delta": {"differ": call}}, "delta: must be a Delta"),
        ({"delta": {"version": call}}, "delta: version and diff need each other"),
        ({"delta": {"from_seq": 3}}, "delta: from_seq must be a function"),
        ({"delta": {}}, "delta: name version and diff, or from_seq"),
    ],
)
def test_a_wrong_option_is_named_at_the_declaration(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text.split("(")[0]):
        live.stream("todos", **options)


def test_a_mapping_stands_for_a_delta() -> None:
    delta = Delta(version=call, diff=call)
    assert delta_of({"version": call, "diff": call}) == delta
    assert delta_of(delta) is delta
    assert delta_of(None) is None


@pytest.mark.spec("LIVE-94")
@pytest.mark.parametrize(
    ("patterns", "topic", "matches"),
    [
        (["todos:*"], "todos:x", True),
        (["todos:*"], "todos:x:y", True),
        (["todos:*"], "todos:\n", True),
        (["todos:*"], "todos:", False),
        (["todos:*"], "my todos:x", False),
        (["a.c"], "abc", False),
        (["a", "b*"], "bb", True),
        (["a", "b*"], "b", False),
        (["*:x"], "a:x", True),
        (["(*"], "(a", True),
    ],
)
def test_a_star_is_one_or_more_characters(patterns: list[str], topic: str, matches: bool) -> None:
    assert (compile_patterns(patterns).fullmatch(topic) is not None) is matches
