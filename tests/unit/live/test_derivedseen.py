"""Which clients may hold an old value of a derived stream. Spec: live-api 10.1, wire 5.2."""

from __future__ import annotations

import pytest

from runtime.live.derivedseen import DerivedSeen
from runtime.testing import capacity_override
from tests.unit.core.parts import Core


def test_a_client_that_never_was_here_has_no_value() -> None:
    seen, ann = DerivedSeen(lambda topic: True), Core().connect()
    assert not seen.may_be_old(ann, "m/total", 7)


def test_a_client_that_comes_back_has_what_it_says_and_maybe_more() -> None:
    seen, ann = DerivedSeen(lambda topic: topic.startswith("m/")), Core().connect()
    seen.resumed(ann, {"m/total": 7, "orders": 3})
    assert [seen.may_be_old(ann, "m/total", number) for number in (7, 8, 6)] == [False, True, True]
    assert seen.may_be_old(ann, "m/other", 1)
    assert seen.may_be_old(ann, "orders", 3), "nothing is kept of what is no derived stream"


def test_a_client_that_left_a_topic_may_have_an_old_value_of_that_one() -> None:
    seen, core = DerivedSeen(lambda topic: True), Core()
    ann, bob = core.connect(), core.connect()
    seen.left(ann, "m/total")
    assert seen.may_be_old(ann, "m/total", 0)
    assert not seen.may_be_old(ann, "m/other", 0)
    assert not seen.may_be_old(bob, "m/total", 0)
    seen.forget(ann)
    seen.forget(ann)
    assert not seen.may_be_old(ann, "m/total", 0)


def test_of_a_client_that_left_too_much_everything_may_be_old() -> None:
    seen, ann = DerivedSeen(lambda topic: True), Core().connect()
    with capacity_override(MAX_RESUME_TOPICS=2):
        for topic in ("a", "b", "a"):
            seen.left(ann, topic)
        assert not seen.may_be_old(ann, "other", 0)
        seen.left(ann, "c")
    assert [seen.may_be_old(ann, topic, 0) for topic in ("a", "b", "c", "other")] == [True] * 4


@pytest.mark.parametrize("ends", ["close", "terminate"])
def test_nothing_is_kept_of_a_connection_that_is_gone(ends: str) -> None:
    seen, ann = DerivedSeen(lambda topic: True), Core().connect()
    ann.signal.abort(ends)
    seen.resumed(ann, {"m/total": 7})
    assert not seen.may_be_old(ann, "m/total", 8)
