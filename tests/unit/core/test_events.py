"""What watchers are told: in order, each, and without being able to disturb."""

from __future__ import annotations

import pytest

from runtime.core.events import EventBus, LiveFailed


def test_listeners_get_every_event_in_order_until_they_end() -> None:
    bus = EventBus()
    log: list[object] = []
    first = bus.subscribe(lambda event: log.append(("first", event)))
    bus.subscribe(lambda event: log.append(("second", event)))
    bus.emit(1)
    first()
    first()
    bus.emit(2)
    assert log == [("first", 1), ("second", 1), ("second", 2)]


def test_the_same_function_twice_is_two_subscriptions() -> None:
    bus = EventBus()
    log: list[object] = []
    append = log.append
    first, second = bus.subscribe(append), bus.subscribe(append)
    bus.emit(1)
    first()
    first()
    bus.emit(2)
    second()
    assert log == [1, 1, 2]
    assert not bus.listeners


def test_a_listener_that_fails_is_logged_and_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    bus = EventBus()
    log: list[object] = []

    def broken(event: object) -> None:
        raise RuntimeError("no")

    bus.subscribe(broken)
    bus.subscribe(log.append)
    bus.emit(LiveFailed([]))
    assert log == [LiveFailed([])]
    assert "an event listener failed on LiveFailed" in caplog.text


def test_subscribing_and_ending_inside_a_listener_count_from_the_next_event() -> None:
    bus = EventBus()
    log: list[object] = []

    def once(event: object) -> None:
        log.append(event)
        off()
        bus.subscribe(lambda later: log.append(("late", later)))

    off = bus.subscribe(once)
    bus.emit(1)
    bus.emit(2)
    assert log == [1, ("late", 2)]
