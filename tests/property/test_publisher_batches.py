"""Several events published together reach each subscriber like the same events published one by one."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.core import capacity
from runtime.core.publisher import make_event
from tests.unit.core.parts import Core

TOPICS = ["a", "b", "c", "täglich"]

events = st.lists(
    st.tuples(
        st.sampled_from(TOPICS),
        st.one_of(st.none(), st.integers(), st.text(max_size=60)),
        st.one_of(st.booleans(), st.integers(1, 60)),
    ),
    max_size=24,
)
subscribers = st.lists(
    st.tuples(st.sets(st.sampled_from(TOPICS)), st.booleans(), st.sets(st.sampled_from(TOPICS))), max_size=5
)


@pytest.mark.spec("WIRE-30", "WIRE-31", "WIRE-22", "WIRE-28")
@settings(max_examples=120, deadline=None)
@given(
    events=events,
    subscribers=subscribers,
    max_events=st.integers(1, 8),
    max_frame=st.sampled_from([0, 500, 600]),
    numbered=st.integers(1, 5),
)
def test_a_batch_is_equivalent_to_single_publishes(
    events, subscribers, max_events, max_frame, numbered
) -> None:
    async def run() -> None:
        with capacity.capacity_override(MAX_BATCH_EVENTS=max_events, MAX_TOPIC_SEQS=numbered):
            cores = [Core(max_frame=max_frame) for _ in range(2)]
            peers = [
                [
                    core.connect(*sorted(topics), caps=["batch"] if able else [])
                    for topics, able, _ in subscribers
                ]
                for core in cores
            ]
            holds = [
                [
                    (peer, topic, core.subscriptions.hold(peer, topic))
                    for peer, (topics, _, held) in zip(mine, subscribers, strict=True)
                    for topic in sorted(topics & held)
                ]
                for core, mine in zip(cores, peers, strict=True)
            ]
            made = [make_event(topic, "e", data, seq, max_frame) for topic, data, seq in events]
            cores[0].publisher.publish_many(made)
            for one in made:
                cores[1].publisher.publish(one)
            for core, mine in zip(cores, holds, strict=True):
                for peer, topic, hold in mine:
                    core.subscriptions.release(peer, topic, hold)
            for together, apart in zip(*peers, strict=True):
                assert cores[0].events(together) == cores[1].events(apart)
                frames = cores[0].frames(together)
                if "batch" not in together.caps:
                    assert all("type" not in frame for frame in frames)
                for text, frame in zip(cores[0].texts(together), frames, strict=True):
                    assert not max_frame or len(text.encode()) <= max_frame
                    assert 2 <= len(frame.get("events", [1, 2])) <= max(2, max_events)

    asyncio.run(run())
