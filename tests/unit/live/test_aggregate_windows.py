"""Windows of running aggregates, moment by moment. Spec: live-api 11.1 and 11.3."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runtime import (
    Compute,
    Lifetime,
    Reducer,
    Sliding,
    Tumbling,
    combine_merge,
    combine_sum,
    live,
)
from runtime.live.aggregate import AggregateDeclaration
from tests.unit.live.counting import Counting


def add(acc: int, event: str, data: Any) -> int:
    return acc + int(data)


SUM = Reducer(init=lambda: 0, reduce=add, combine=combine_sum)


def declare(**windows: Any) -> AggregateDeclaration:
    return live.aggregate("requests", {"n": SUM}, topic="stats", windows=windows)


@pytest.fixture
async def counting() -> AsyncIterator[Counting]:
    made = Counting(now=1_700_000_000.0 - 1_700_000_000.0 % 60)
    yield made
    await made.close()


def values(counting: Counting) -> list[tuple[float, Any]]:
    """Moments and values of the field `n` that were published since the last call."""
    return [(at, value["n"]) for at, _, value in counting.taken()]


@pytest.mark.spec("LIVE-121")
async def test_the_worked_trace_of_a_sliding_window(counting: Counting) -> None:
    counting.declare(a=declare(w=Sliding(duration=3, slide=1)))
    await counting.publish_at(0.2, 5)
    await counting.publish_at(1.3, 2)
    await counting.publish_at(3.1, 1)
    await counting.until(6)
    assert values(counting) == [
        (0.2, 5),
        (1, 5),
        (1.3, 7),
        (2, 7),
        (3, 2),
        (3.1, 3),
        (4, 1),
        (5, 1),
        (6, 0),
    ]
    assert await counting.load("a", "w") == {"n": 0}


@pytest.mark.spec("LIVE-121")
async def test_a_sliding_window_waits_for_silence_but_not_for_a_slide(counting: Counting) -> None:
    counting.declare(a=declare(w=Sliding(duration=3, slide=1, debounce=0.25)))
    await counting.publish_at(1.3, 2)
    await counting.publish_at(1.4, 3)
    await counting.until(1.64)
    assert values(counting) == [(1, 0)]
    await counting.until(1.9)
    assert values(counting) == [(1.65, 5)]
    await counting.publish_at(1.95, 1)  # the slide comes before there was silence, and is instead of it
    await counting.until(2.5)
    assert values(counting) == [(2, 6)]


@pytest.mark.spec("LIVE-119")
async def test_the_worked_trace_of_a_tumbling_window(counting: Counting) -> None:
    counting.declare(a=declare(w=Tumbling(duration=60)))
    await counting.publish_at(10, 5)
    await counting.publish_at(50, 2)
    await counting.until(65)
    assert values(counting) == [(10, 5), (50, 7), (60, 7)]
    assert await counting.load("a", "w") == {"n": 0}  # it has begun anew, which nobody was told
    await counting.publish_at(70, 1)
    await counting.until(120)
    assert values(counting) == [(70, 1), (120, 1)]


@pytest.mark.spec("LIVE-119")
async def test_what_waits_for_silence_is_published_once_at_the_boundary(counting: Counting) -> None:
    counting.declare(a=declare(w=Tumbling(duration=60, debounce=5)))
    await counting.publish_at(58, 5)
    await counting.until(70)
    assert values(counting) == [(60, 5)]
    await counting.publish_at(80, 1)
    await counting.until(90)
    assert values(counting) == [(85, 1)]


@pytest.mark.spec("LIVE-119", "LIVE-120")
async def test_an_event_at_the_boundary_belongs_to_the_new_window(counting: Counting) -> None:
    counting.declare(a=declare(w=Tumbling(duration=60, anchor=1_700_000_010)))
    boundary = (1_700_000_010 - counting.clock.now()) % 60
    await counting.publish_at(boundary - 1, 5)
    await counting.publish_at(boundary, 2)
    assert values(counting) == [(boundary - 1, 5), (boundary, 5), (boundary, 2)]


async def test_an_event_moves_a_window_on_whose_timer_is_late(counting: Counting) -> None:
    counting.declare(a=declare(t=Tumbling(duration=60), s=Sliding(duration=3, slide=1)))
    counting.publish(5)
    counting.taken()
    counting.clock._elapsed += 61  # the loop was blocked: no timer has run
    counting.publish(2)
    assert [(topic, value["n"]) for _, topic, value in counting.taken()] == [
        ("stats:t", 5),
        ("stats:s", 0),
        ("stats:t", 2),
        ("stats:s", 2),
    ]
    await counting.clock.advance(0.5)
    assert values(counting) == []  # the timers find nothing to do


async def test_late_timers_make_up_for_all_that_was_missed_at_once(counting: Counting) -> None:
    counting.declare(a=declare(t=Tumbling(duration=60), s=Sliding(duration=5, slide=1)))
    await counting.publish_at(58.5, 5)
    counting.taken()
    counting.clock._elapsed += 2.6  # now 61.1: three slides, and a boundary
    await counting.clock.advance(0)
    assert [(topic, value["n"]) for _, topic, value in counting.taken()] == [("stats:s", 5), ("stats:t", 5)]
    counting.publish(1)
    await counting.until(63)
    assert [(topic, value["n"]) for _, topic, value in counting.taken()] == [
        ("stats:t", 1),
        ("stats:s", 6),
        ("stats:s", 6),
        ("stats:s", 1),
    ]
    counting.clock._elapsed += 600  # ten boundaries, hundreds of slides
    await counting.clock.advance(0)
    assert [(topic, value["n"]) for _, topic, value in counting.taken()] == [("stats:s", 0), ("stats:t", 1)]


async def test_a_subscriber_sees_the_window_of_now_whose_timer_is_late(counting: Counting) -> None:
    counting.declare(a=declare(t=Tumbling(duration=60), s=Sliding(duration=3, slide=1)))
    counting.publish(5)
    counting.clock._elapsed += 61
    assert await counting.load("a", "t") == {"n": 0}
    assert await counting.load("a", "s") == {"n": 0}


@pytest.mark.spec("LIVE-124")
async def test_no_boundary_fires_twice_where_the_clock_is_changed(counting: Counting) -> None:
    new_york = 1_793_509_200.0 - 1800  # 2026-11-01, half an hour before the first of the two 01:00
    counting.clock.set_wall(new_york - counting.clock.now())
    counting.declare(a=declare(w=Tumbling(period="hour", tz="America/New_York")))
    counting.publish(1)
    await counting.until(4 * 3600)
    assert values(counting) == [(0, 1), (1800, 1), (5400, 0), (9000, 0), (12600, 0)]
    assert counting.clock.pending == 1


@pytest.mark.spec("LIVE-124")
async def test_a_timer_that_is_a_little_early_fires_once(counting: Counting) -> None:
    counting.declare(a=declare(t=Tumbling(duration=0.1), s=Sliding(duration=0.3, slide=0.1)))
    await counting.until(100)
    topics = [topic for _, topic, _ in counting.taken()]
    assert topics.count("stats:s") == pytest.approx(1000, abs=1)
    assert topics.count("stats:t") == pytest.approx(1000, abs=1)


async def test_a_clock_that_is_set_is_noticed_within_a_minute(counting: Counting) -> None:
    counting.declare(a=declare(w=Tumbling(duration=3600)))
    counting.publish(5)
    counting.taken()
    counting.clock.set_wall(2 * 3600)
    await counting.until(59)
    assert values(counting) == []
    await counting.until(61)
    assert values(counting) == [(60, 5)]


async def test_a_clock_that_is_set_back_neither_ends_nor_keeps_a_window(counting: Counting) -> None:
    counting.declare(a=declare(w=Tumbling(duration=60)))
    counting.publish(1)
    counting.clock.set_wall(-30)
    counting.publish(1)
    await counting.until(85)
    assert values(counting) == [(0, 1), (0, 2)]
    await counting.until(91)
    assert values(counting) == [(90, 2)]
    counting.publish(3)
    counting.clock.set_wall(-86_400 * 365)  # it was wrong: the window is that of now, not of the year to come
    await counting.until(215)
    assert values(counting) == [(91, 3), (210, 3)]


async def test_a_lifetime_never_ends(counting: Counting) -> None:
    counting.declare(a=declare(w=Lifetime()))
    await counting.publish_at(1, 1)
    await counting.publish_at(1e7, 2)
    assert values(counting) == [(1, 1), (1e7, 3)]
    assert counting.clock.pending == 0


@pytest.mark.spec("LIVE-113")
async def test_fields_are_reduced_and_computed_in_order(counting: Counting) -> None:
    log: list[tuple[Any, ...]] = []

    def noted(name: str) -> Any:
        def reduce(acc: Any, event: str, data: Any) -> Any:
            log.append((name, acc, event, data))
            return (acc or 0) + data["ms"]

        return reduce

    fields = {
        "b": Reducer(reduce=noted("b")),
        "mean": Compute(lambda s: s["a"] / 2),
        "a": Reducer(init=lambda: 10, reduce=noted("a")),
        "half": Compute(lambda s: s["mean"] / 2),
        "unit": Reducer(init=lambda: "ms"),
        "both": Reducer(
            init=lambda: 0, reduce=lambda acc, e, d: acc + 1, compute=lambda s: f"{s['both']} times"
        ),
    }
    counting.declare(a=live.aggregate("requests", fields, topic="stats"))
    assert await counting.load("a") == {
        "b": None,
        "a": 10,
        "unit": "ms",
        "both": "0 times",
        "mean": 5.0,
        "half": 2.5,
    }
    counting.publish({"ms": 4}, event="first")
    counting.publish({"ms": 6}, event="second")
    assert log == [
        ("b", None, "first", {"ms": 4}),
        ("a", 10, "first", {"ms": 4}),
        ("b", 4, "second", {"ms": 6}),
        ("a", 14, "second", {"ms": 6}),
    ]
    assert [value for _, _, value in counting.taken()] == [
        {"b": 4, "a": 14, "unit": "ms", "both": "1 times", "mean": 7.0, "half": 3.5},
        {"b": 10, "a": 20, "unit": "ms", "both": "2 times", "mean": 10.0, "half": 5.0},
    ]
    assert counting.aggregates.dump("m/a") == {"lifetime": {"b": 10, "a": 20, "unit": "ms", "both": 2}}


@pytest.mark.spec("LIVE-114")
async def test_initial_values_are_nobody_elses(counting: Counting) -> None:
    def note(acc: list[int], event: str, data: int) -> list[int]:
        acc.append(data)
        return acc

    fields = {
        "all": Reducer(init=list, reduce=note, combine=lambda *buckets: [one for b in buckets for one in b])
    }
    windows = {
        "life": Lifetime(),
        "day": Tumbling(duration=60),
        "last": Sliding(duration=2, slide=1),
    }
    counting.declare(a=live.aggregate("requests", fields, topic="stats", windows=windows))
    await counting.publish_at(0.5, 1)
    await counting.publish_at(59.5, 2)
    await counting.publish_at(60.5, 3)
    assert {name: (await counting.load("a", name))["all"] for name in windows} == {
        "life": [1, 2, 3],
        "day": [3],
        "last": [2, 3],
    }


async def test_a_merge_is_won_by_the_newest_bucket(counting: Counting) -> None:
    fields = {
        "seen": Reducer(init=dict, reduce=lambda acc, event, data: {**acc, **data}, combine=combine_merge),
        "unit": Reducer(init=lambda: "ms"),
    }
    windows = {"w": Sliding(duration=3, slide=1)}
    counting.declare(a=live.aggregate("requests", fields, topic="stats", windows=windows))
    for moment in range(8):  # the ring goes round more than twice
        await counting.publish_at(moment + 0.5, {"last": moment, str(moment): moment})
        found = await counting.load("a", "w")
        assert found["seen"]["last"] == moment
        assert found["unit"] == "ms"
        assert found["seen"].keys() == {"last", *map(str, range(max(0, moment - 2), moment + 1))}


@pytest.mark.spec("LIVE-125")
async def test_a_reducer_that_raises_leaves_its_field_and_is_reported(counting: Counting) -> None:
    fields = {
        "bad": Reducer(init=lambda: 1, reduce=lambda acc, event, data: acc / data),
        "n": SUM,
        "worse": Compute(lambda s: s["nothing"]),
    }
    counting.declare(a=live.aggregate("requests", fields, topic="stats"))
    counting.publish(2)
    counting.publish(0)
    counting.publish(2)
    assert [value for _, _, value in counting.taken()] == [
        {"bad": 0.5, "n": 2, "worse": None},
        {"bad": 0.5, "n": 2, "worse": None},
        {"bad": 0.25, "n": 4, "worse": None},
    ]
    assert [(path, type(error)) for path, error in counting.errors] == [
        ("aggregate", KeyError),
        ("aggregate", ZeroDivisionError),
        ("aggregate", KeyError),
        ("aggregate", KeyError),
    ]
    assert counting.core.metrics.get("aggregate_reducer_errors_total") == 4


@pytest.mark.spec("LIVE-125")
async def test_other_functions_that_raise_harm_nothing_else(counting: Counting) -> None:
    numbers = itertools.count()

    def sometimes() -> int:
        if next(numbers) % 2:
            raise RuntimeError("init")
        return 0

    def broken(*buckets: Any) -> Any:
        raise RuntimeError("combine")

    fields = {
        "n": SUM,
        "i": Reducer(init=sometimes, combine=combine_sum),
        "c": Reducer(init=lambda: 0, combine=broken),
    }
    windows = {"w": Sliding(duration=4, slide=1)}
    counting.declare(a=live.aggregate("requests", fields, topic="stats", windows=windows))
    counting.publish(2)
    assert values(counting) == [(0, 2)]
    assert {str(error) for _, error in counting.errors} == {"init", "combine"}


@pytest.mark.spec("LIVE-125")
async def test_an_asynchronous_reducer_is_a_type_error(counting: Counting) -> None:
    async def later(acc: int, event: str, data: Any) -> int:
        return acc + 1

    fields = {"bad": Reducer(init=lambda: 7, reduce=later), "n": SUM}
    counting.declare(a=live.aggregate("requests", fields, topic="stats"))
    counting.publish(1)
    assert [value for _, _, value in counting.taken()] == [{"bad": 7, "n": 1}]
    ((path, error),) = counting.errors
    assert path == "aggregate"
    assert isinstance(error, TypeError)
    assert "the reducer of 'bad' is asynchronous" in str(error)


async def test_a_value_without_a_json_form_is_reported(counting: Counting) -> None:
    counting.declare(a=live.aggregate("requests", {"x": Reducer(init=object)}, topic="stats"))
    counting.publish(1)
    assert counting.taken() == []
    ((path, error),) = counting.errors
    assert path == "aggregate"
    assert isinstance(error, TypeError)


@pytest.fixture
def chain() -> dict[str, AggregateDeclaration]:
    return {
        "a": live.aggregate("requests", {"n": SUM}, topic="mid"),
        "b": live.aggregate(
            "mid", {"n": Reducer(init=lambda: 0, reduce=lambda acc, e, d: acc + d["n"])}, topic="end"
        ),
    }


async def test_aggregates_feed_aggregates(counting: Counting, chain: dict[str, AggregateDeclaration]) -> None:
    counting.declare(**chain)
    counting.publish(1)
    counting.publish(2)
    # The first hears of an event before those that watch what it makes of it.
    assert await counting.load("b") == {"n": 1 + 3}


@pytest.mark.spec("LIVE-112")
@pytest.mark.parametrize("debounce", [0, 0.5])
async def test_a_circle_of_aggregates_ends(counting: Counting, debounce: float) -> None:
    step = {"n": Reducer(init=lambda: 0, reduce=lambda acc, event, data: acc + 1)}
    counting.declare(
        a=live.aggregate("x", step, topic="y", debounce=debounce),
        b=live.aggregate("y", step, topic="x", debounce=debounce),
    )
    counting.publish(topic="x")
    await counting.until(60)
    assert (await counting.load("a"), await counting.load("b")) == ({"n": 4}, {"n": 4})
    assert counting.core.metrics.get("watcher_depth_exceeded_total") == 1


async def test_nothing_is_left_of_what_is_declared_no_more(counting: Counting) -> None:
    counting.declare(
        a=declare(t=Tumbling(duration=60), s=Sliding(duration=3, slide=1, debounce=1), l=Lifetime(debounce=2))
    )
    counting.publish(1)
    assert counting.clock.pending == 4
    counting.taken()
    counting.declare()
    assert counting.clock.pending == 0
    counting.publish(1)
    await counting.until(100)
    assert counting.taken() == []
    assert not counting.watchers.watches("requests")


async def test_what_waits_for_silence_is_published_when_the_worker_stops(counting: Counting) -> None:
    counting.declare(a=declare(t=Tumbling(duration=60, debounce=5), l=Lifetime()))
    counting.publish(1)
    counting.taken()
    counting.platform.parts.closing.flush()
    assert [(topic, value["n"]) for _, topic, value in counting.taken()] == [("stats:t", 1)]
    counting.platform.parts.closing.flush()
    await counting.until(10)
    assert counting.taken() == []


async def test_a_reducer_that_changes_the_event_changes_it_for_nobody_else(counting: Counting) -> None:
    """The first event becomes the value, and later ones are added to it: each window and watcher has its own."""

    def total(acc: dict[str, int] | None, event: str, data: dict[str, int]) -> dict[str, int]:
        if acc is None:
            return data
        acc["ms"] += data["ms"]
        data.clear()
        return acc

    seen: list[Any] = []
    windows: dict[str, Any] = {"a": Lifetime(), "b": Tumbling(duration=60), "c": Lifetime()}
    fields = {"n": Reducer(reduce=total)}
    counting.declare(a=live.aggregate("requests", fields, topic="stats", windows=windows))
    counting.watchers.add("requests", lambda published: seen.append(dict(published.data)))
    counting.publish({"ms": 1})
    counting.publish({"ms": 2})
    assert seen == [{"ms": 1}, {"ms": 2}]
    assert values(counting) == [(0, {"ms": 1})] * 3 + [(0, {"ms": 3})] * 3


async def test_a_function_that_exits_ends_neither_the_publish_nor_the_worker(counting: Counting) -> None:
    def leave(*_: Any) -> Any:
        raise SystemExit(3)

    fields = {"n": SUM, "bad": Reducer(init=lambda: 1, reduce=leave), "shown": Compute(leave)}
    counting.declare(a=live.aggregate("requests", fields, topic="stats"))
    counting.publish(2)
    assert [value for _, _, value in counting.taken()] == [{"n": 2, "bad": 1, "shown": None}]
    assert [type(error) for _, error in counting.errors] == [SystemExit, SystemExit]
    counting.wiring.apply({"on_error": leave})
    counting.publish(2)
    assert [value["n"] for _, _, value in counting.taken()] == [4]
