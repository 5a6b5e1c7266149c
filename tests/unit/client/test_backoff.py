from __future__ import annotations

import random

import pytest

from runtime.client import ClientOptions
from runtime.client.backoff import Backoff, stream_delay

pytestmark = pytest.mark.spec("WIRE-115")

RANGES = [(2.25, 3.75), (4.95, 8.25), (10.89, 18.15), (23.9, 40.0), (52.7, 87.9), (115.9, 193.3), (225, 375)]


class Edge(random.Random):
    """A source of chance that always says the same."""

    def __init__(self, value: float) -> None:
        super().__init__(0)
        self.value = value

    def random(self) -> float:
        return self.value


@pytest.mark.parametrize("value", [0.0, 0.5, 0.999999])
def test_the_waits_grow_by_the_table(value: float) -> None:
    backoff = Backoff(Edge(value))
    for attempt in range(12):
        low, high = RANGES[min(attempt, 6)]
        delay = backoff.next_delay(1006, None)
        assert low <= delay <= high
        if value == 0.5:
            assert delay == pytest.approx(min(3 * 2.2**attempt, 300))


def test_an_open_connection_starts_the_table_anew() -> None:
    backoff = Backoff(Edge(0.5))
    for _ in range(4):
        backoff.next_delay(1006, None)
    backoff.opened()
    assert backoff.next_delay(1006, 60) == pytest.approx(3)


def test_a_throttled_client_waits_minutes() -> None:
    backoff = Backoff(Edge(0.0))
    backoff.throttle()
    assert 115.9 <= backoff.next_delay(4429, 60) <= 193.3
    backoff.attempt = 9
    backoff.throttle()
    assert backoff.attempt == 9
    assert backoff.tries == 1


def test_attempts_are_counted_apart_from_the_waits() -> None:
    backoff = Backoff(Edge(0.5))
    backoff.throttle()
    for code in (4429, 1012, 1006):
        backoff.next_delay(code, 60)
    assert backoff.tries == 3
    backoff.opened()
    assert (backoff.tries, backoff.attempt) == (0, 0)


def test_the_interval_and_its_bound_are_options_that_may_change() -> None:
    options = ClientOptions.of({"reconnect_interval": 0.1, "max_reconnect_interval": 0.3})
    backoff = Backoff(Edge(0.5), options)
    assert [backoff.next_delay(1006, None) for _ in range(3)] == pytest.approx([0.1, 0.22, 0.3])
    options.change({"max_reconnect_interval": 0.2})
    assert backoff.next_delay(1006, None) == pytest.approx(0.2)


@pytest.mark.parametrize("value", [0.0, 0.999999])
def test_a_restarting_server_is_tried_again_at_once_and_then_by_the_table(value: float) -> None:
    backoff = Backoff(Edge(value))
    assert 0.05 <= backoff.next_delay(1012, 60) <= 0.25
    assert 2.25 <= backoff.next_delay(1006, None) <= 3.75


def test_a_server_that_restarts_without_end_is_not_hammered() -> None:
    backoff = Backoff(Edge(0.5))
    quick = 0
    while backoff.next_delay(1012, 0.2) < 1:
        quick += 1
        backoff.opened()
        assert quick < 20
    assert quick >= 3
    assert backoff.next_delay(1012, 5.0) <= 0.25


def test_streams_come_back_after_milliseconds_twice_then_by_their_own_table() -> None:
    low, high = Edge(0.0), Edge(0.999999)
    for times in (0, 1):
        assert stream_delay(times, low) == pytest.approx(0.020)
        assert stream_delay(times, high) == pytest.approx(0.099, abs=0.001)
    assert stream_delay(2, Edge(0.5)) == pytest.approx(1.0)
    assert stream_delay(4, Edge(0.5)) == pytest.approx(2.2**2)
    assert stream_delay(500, Edge(0.5)) == pytest.approx(300)
