from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.client.topics import MAX_SEEN_TOPICS, TopicEvent, Topics, subscribe_batches
from runtime.core.capacity import MAX_HELD_FRAMES, MAX_RESUME_TOPICS

pytestmark = pytest.mark.spec("WIRE-116")


def made() -> tuple[Topics, list[bool]]:
    changed: list[bool] = []
    return Topics(lambda: changed.append(True)), changed


def frames(raw: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in raw]


def ignore(event: TopicEvent) -> None:
    pass


def test_one_topic_is_a_subscribe_and_several_of_a_turn_are_a_batch() -> None:
    topics, changed = made()
    topics.listen("a", ignore)
    assert changed
    assert frames(topics.turn_frames()) == [{"type": "subscribe", "topic": "a", "ref": 1}]
    topics.listen("b", ignore)
    topics.listen("c", ignore)
    assert frames(topics.turn_frames()) == [{"type": "subscribe-batch", "topics": ["b", "c"], "ref": 2}]
    assert topics.turn_frames() == []


def test_the_wire_sees_the_first_listener_and_the_last() -> None:
    topics, _ = made()
    first = topics.listen("a", ignore)
    second = topics.listen("a", ignore)
    assert len(topics.turn_frames()) == 1
    first()
    assert topics.turn_frames() == []
    second()
    second()
    assert frames(topics.turn_frames()) == [{"type": "unsubscribe", "topic": "a"}]


def test_leaving_and_coming_back_in_one_turn_sends_nothing() -> None:
    topics, _ = made()
    off = topics.listen("a", ignore)
    topics.turn_frames()
    off()
    topics.listen("a", ignore)
    assert topics.turn_frames() == []


def test_topics_that_come_and_go_without_a_connection_leave_nothing_behind() -> None:
    topics, _ = made()
    for number in range(100):
        topics.listen(f"t{number}", ignore)()
    topics.listen("kept", ignore)
    assert list(topics._dirty) == ["kept"]
    assert frames(topics.opening_frames()) == [{"type": "subscribe-batch", "topics": ["kept"], "ref": 1}]


def test_system_topics_are_listened_to_and_never_named() -> None:
    topics, changed = made()
    seen: list[TopicEvent] = []
    topics.listen("__presence:a", seen.append)
    assert not changed
    assert topics.turn_frames() == [] == topics.opening_frames()
    topics.dispatch(TopicEvent("__presence:a", "x", 1))
    assert len(seen) == 1


def test_a_new_connection_gets_all_topics_as_a_batch_even_a_single_one() -> None:
    topics, _ = made()
    topics.listen("a", ignore)
    assert frames(topics.opening_frames()) == [{"type": "subscribe-batch", "topics": ["a"], "ref": 1}]
    assert topics.turn_frames() == []


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=300), max_size=500))
def test_batches_fit_their_frame_and_lose_nothing(names: list[str]) -> None:
    batches = list(subscribe_batches(names))
    assert [name for batch in batches for name in batch] == names
    for batch in batches:
        frame = json.dumps(
            {"type": "subscribe-batch", "topics": batch, "ref": 999},
            ensure_ascii=False,
            separators=(",", ":"),
        )
        assert 1 <= len(batch) <= 200
        assert len(frame.encode()) < 8192


def test_the_highest_number_of_each_topic_is_kept_and_never_lowered() -> None:
    topics, _ = made()
    for topic, seq in [("a", 3), ("a", 5), ("a", 4), ("b", 1), ("__signal:u", 2)]:
        topics.dispatch(TopicEvent(topic, "x", None, seq))
    topics.dispatch(TopicEvent("c", "x", None, None))
    assert topics.seen == {"a": 5, "b": 1, "__signal:u": 2}


def test_numbers_of_the_topics_that_were_silent_longest_go_at_the_bound() -> None:
    topics, _ = made()
    for number in range(MAX_SEEN_TOPICS):
        topics.dispatch(TopicEvent(f"t{number}", "x", None, 1))
    topics.dispatch(TopicEvent("t0", "x", None, 2))
    for number in range(2):
        topics.dispatch(TopicEvent(f"new{number}", "x", None, 1))
    assert len(topics.seen) == MAX_SEEN_TOPICS
    assert "t1" not in topics.seen
    assert "t2" not in topics.seen
    assert topics.seen["t0"] == 2


def test_a_resume_names_the_topics_in_use_then_those_heard_of_last() -> None:
    topics, _ = made()
    topics.listen("t5", ignore)
    topics.listen("__presence:room", ignore)
    topics.dispatch(TopicEvent("__presence:room", "x", None, 7))
    for number in range(3 * MAX_RESUME_TOPICS):
        topics.dispatch(TopicEvent(f"t{number}", "x", None, number))
    named = topics.resume_numbers()
    assert len(named) == MAX_RESUME_TOPICS
    assert (named["__presence:room"], named["t5"]) == (7, 5)
    assert f"t{2 * MAX_RESUME_TOPICS + 2}" in named
    assert f"t{2 * MAX_RESUME_TOPICS + 1}" not in named


def test_of_a_topic_that_was_left_meanwhile_nothing_is_held() -> None:
    topics, _ = made()
    off = topics.listen("a", ignore)
    topics.listen("b", ignore)
    topics.turn_frames()
    off()
    mark = topics.hold()
    topics.turn_frames()
    for topic in ("a", "b"):
        topics.dispatch(TopicEvent(topic, "late", None))
    other = topics.hold()
    assert topics.release(mark, "a") == []
    assert topics.release(other, "b") == []
    mark = topics.hold()
    topics.dispatch(TopicEvent("a", "early", None))
    assert len(topics.release(mark, "a") or ()) == 1, "the next request is another subscription"


def test_held_events_come_back_by_topic_and_since_the_mark() -> None:
    topics, _ = made()
    topics.dispatch(TopicEvent("a", "before", None))
    first = topics.hold()
    topics.dispatch(TopicEvent("a", "one", None))
    second = topics.hold()
    topics.dispatch(TopicEvent("b", "other", None))
    topics.dispatch(TopicEvent("a", "two", None))
    assert [event.event for event in topics.release(second, "a") or ()] == ["two"]
    assert [event.event for event in topics.release(first, "a") or ()] == ["one", "two"]
    mark = topics.hold()
    assert topics.release(mark, "a") == []


def test_too_many_held_events_are_admitted() -> None:
    topics, _ = made()
    mark = topics.hold()
    for number in range(MAX_HELD_FRAMES + 1):
        topics.dispatch(TopicEvent("a", str(number), None))
    late = topics.hold()
    topics.dispatch(TopicEvent("a", "late", None))
    assert len(topics.release(late, "a") or ()) == 1
    assert topics.release(mark, "a") is None
