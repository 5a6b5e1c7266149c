"""What an aggregate may be declared with. Spec: live-api 11 and 11.3."""

from __future__ import annotations

from typing import Any

import pytest

from runtime import (
    Compute,
    Lifetime,
    Reducer,
    Sliding,
    Tumbling,
    combine_sum,
    live,
)
from runtime.core import capacity
from runtime.core.capacity import capacity_override
from runtime.live.aggregate import AggregateDeclaration
from runtime.live.aggregateclass import aggregates_of
from runtime.testing import TestEnv

COUNT = Reducer(init=lambda: 0, reduce=lambda acc, event, data: acc + 1, combine=combine_sum)
NO_COMBINE = Reducer(init=lambda: 0, reduce=lambda acc, event, data: acc + 1)


def declare(**options: Any) -> AggregateDeclaration:
    fields = options.pop("fields", {"count": COUNT})
    source = options.pop("source", "requests")
    return live.aggregate(source, fields, topic=options.pop("topic", "stats"), **options)


def window(one: Any, **options: Any) -> AggregateDeclaration:
    return declare(windows={"w": one}, **options)


@pytest.mark.spec("LIVE-118")
@pytest.mark.parametrize(
    ("one", "text"),
    [
        ("tumbling", "window 'w': must be Lifetime"),
        ({"type": "lifetime"}, "window 'w': must be Lifetime"),
        (Tumbling(), "window 'w': a tumbling window has either period= or duration="),
        (Tumbling(period="hour", duration=60), "window 'w': a tumbling window has either"),
        (
            Tumbling(period="weekly"),
            "window 'w': period must be one of minute, hour, daily, monthly, not 'weekly'",
        ),
        (Tumbling(period="day"), "window 'w': period must be"),
        (Tumbling(period="daily", tz="Mars/Base"), "window 'w': tz: there is no zone 'Mars/Base'"),
        (Tumbling(period="daily", tz=""), "window 'w': tz must be"),
        (Tumbling(period="daily", anchor=5), "window 'w': anchor belongs to duration="),
        (Tumbling(duration=60, tz="UTC"), "window 'w': tz belongs to period="),
        (Tumbling(duration=0), "window 'w': duration must be"),
        (Tumbling(duration=-1), "window 'w': duration must be"),
        (Tumbling(duration=float("inf")), "window 'w': duration must be"),
        (Tumbling(duration=60, anchor=float("nan")), "window 'w': anchor must be"),
        (Tumbling(duration=60, anchor=1_700_000_000_000), "window 'w': anchor must be"),
        (Tumbling(duration=60, anchor=-1e308), "window 'w': anchor must be"),
        (Sliding(duration=0, slide=1), "window 'w': duration must be"),
        (Sliding(duration=10, slide=0), "window 'w': slide must be"),
        (Sliding(duration=10, slide=-1), "window 'w': slide must be"),
        (Sliding(duration=10, slide=True), "window 'w': slide must be"),
        (Sliding(duration=10, slide=11), "window 'w': slide must be at most its duration, 10, not 11"),
        (
            Sliding(duration=1001, slide=1),
            "window 'w': .* are 1001 buckets, and MAX_AGGREGATE_BUCKETS is 1000",
        ),
        (Lifetime(debounce=-1), "window 'w': debounce: must be"),
        (Sliding(duration=10, slide=1, debounce=float("nan")), "window 'w': debounce: must be"),
    ],
)
def test_a_wrong_window_is_named(one: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        window(one)


@pytest.mark.spec("LIVE-118")
@pytest.mark.parametrize("name", ["", "last-5", "a b", "ä", "a/b", 5])
def test_the_name_of_a_window_becomes_a_part_of_a_path(name: Any) -> None:
    with pytest.raises(ValueError, match="names are made of letters, digits and _"):
        declare(windows={name: Lifetime()})


@pytest.mark.spec("LIVE-118")
def test_there_must_be_windows() -> None:
    with pytest.raises(ValueError, match="windows: there is none"):
        declare(windows={})
    with pytest.raises(ValueError, match="windows: must map"):
        declare(windows=[Lifetime()])


@pytest.mark.spec("LIVE-118")
def test_the_bound_of_buckets() -> None:
    assert window(Sliding(duration=1000, slide=1)).windows == {"w": Sliding(duration=1000, slide=1)}
    before = capacity.events["MAX_AGGREGATE_BUCKETS", "reject"]
    with pytest.raises(ValueError, match="1001 buckets"):
        window(Sliding(duration=1000.5, slide=1))
    assert capacity.events["MAX_AGGREGATE_BUCKETS", "reject"] == before + 1
    with capacity_override(MAX_AGGREGATE_BUCKETS=3):
        window(Sliding(duration=3, slide=1))
        with pytest.raises(ValueError, match="MAX_AGGREGATE_BUCKETS is 3"):
            window(Sliding(duration=4, slide=1))


@pytest.mark.parametrize(
    ("duration", "slide", "buckets"),
    [(3, 1, 3), (0.9, 0.3, 3), (0.3, 0.1, 3), (300, 30, 10), (10, 3, 4), (1, 1, 1), (1.0000001, 1, 2)],
)
def test_how_many_buckets_a_window_has(duration: float, slide: float, buckets: int) -> None:
    assert Sliding(duration=duration, slide=slide).buckets == buckets


@pytest.mark.spec("LIVE-118")
def test_a_sliding_window_needs_combiners() -> None:
    with pytest.raises(ValueError, match="window 'w': the field 'n' needs combine="):
        window(Sliding(duration=10, slide=1), fields={"n": NO_COMBINE})
    window(Tumbling(duration=10), fields={"n": NO_COMBINE})
    window(
        Sliding(duration=10, slide=1),
        fields={"n": COUNT, "double": Compute(lambda s: s["n"] * 2), "unit": Reducer(init=lambda: "ms")},
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"source": ""}, "source: ''"),
        ({"source": 3}, "source: 3"),
        ({"topic": "__secret"}, "topic: '__secret'"),
        ({"topic": 3}, "topic: must be a string"),
        ({"topic": "requests"}, "topic: 'requests' is what it counts"),
        ({"debounce": -1}, "debounce: must be seconds"),
        ({"debounce": "1"}, "debounce: must be seconds"),
        ({"fields": {}}, "fields: there is none"),
        ({"fields": [COUNT]}, "fields: must map"),
        ({"fields": {"n": 3}}, "field 'n': must be Reducer"),
        ({"fields": {"n": {"inti": int}}}, "field 'n': has no inti; it has init, reduce, compute, combine"),
        (
            {"fields": {"n": Reducer(init=0)}},
            "field 'n': init must be a function, not 0; write init=lambda: 0",
        ),  # type: ignore[arg-type]
        ({"fields": {"n": Reducer(reduce="x")}}, "field 'n': reduce must be a function"),  # type: ignore[arg-type]
        ({"fields": {"n": Reducer(combine=combine_sum)}}, "field 'n': needs init, reduce or compute"),
        ({"fields": {"__proto__": COUNT}}, "field '__proto__' cannot be a name"),
        ({"fields": {"": COUNT}}, "field '' cannot be a name"),
        ({"snapshot": {}}, "snapshot: must be an async function"),
        (
            {"windows": {"w": Lifetime()}, "snapshots": {"x": print}},
            "snapshots: there is no window 'x'; there are w",
        ),
        ({"windows": {"w": Lifetime()}, "snapshots": {"w": 3}}, "snapshots: 'w' must be an async function"),
        (
            {"windows": {"w": Tumbling(duration=1)}, "fields": {"window_start": COUNT}},
            "window 'w': no field can be called 'window_start'",
        ),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        declare(**options)


@pytest.mark.spec("LIVE-122")
def test_a_snapshot_of_a_sliding_window_is_not_used_and_said_so() -> None:
    async def stored() -> dict[str, Any]:
        return {}

    made = declare(
        windows={"w": Sliding(duration=10, slide=1), "lifetime": Lifetime(), "t": Tumbling(duration=1)},
        snapshot=stored,
        snapshots={"w": stored},
    )
    assert made.skipped == ["the snapshot of 'w' is not used: sliding windows start empty"]
    assert [made.snapshot_of(name) for name in ("w", "lifetime", "t")] == [None, stored, None]
    assert window(Lifetime(), snapshot=stored).skipped == [
        "snapshot= is not used: it is for a window that is called 'lifetime'"
    ]


@pytest.mark.spec("LIVE-117")
async def test_the_root_of_windows_has_no_value() -> None:
    made = window(Lifetime())
    with pytest.raises(TypeError, match="this aggregate has no value of its own; its windows have: w"):
        await made(None)  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="no 'load'; its windows are: w"):
        made.load  # noqa: B018
    with pytest.raises(AttributeError, match="no 'x'; its windows"):
        made.x  # noqa: B018


class Requests(live.Aggregate):
    """What is asked of us."""

    source, topic = "requests", "requests-stats"
    windows = {"total": Lifetime()}
    count = COUNT
    double = Compute(lambda s: s["count"] * 2)


class More(Requests):
    topic = "more-stats"
    triple = Compute(lambda s: s["count"] * 3)


class NoTopic(live.Aggregate):
    source = "requests"
    count = COUNT


def test_a_class_is_an_aggregate() -> None:
    import sys
    from pathlib import Path

    found, wrong = aggregates_of(sys.modules[__name__], Path(__file__))
    made = found["Requests"]
    assert (made.source, made.topic, made.doc) == ("requests", "requests-stats", "What is asked of us.")
    assert list(made.fields) == ["count", "double"]
    assert made.windows == {"total": Lifetime()}
    assert made.line > 0
    assert list(found["More"].fields) == ["count", "double", "triple"]
    assert found["More"].topic == "more-stats"
    assert {name: str(error) for name, (_, error) in wrong.items()} == {
        "NoTopic": "topic: the aggregate NoTopic needs it"
    }


def test_two_declarations_that_mean_the_same_have_one_recipe() -> None:
    def made(step: int = 1, **options: Any) -> AggregateDeclaration:
        fields = {
            "n": Reducer(init=lambda: 0, reduce=lambda acc, event, data: acc + step, combine=combine_sum)
        }
        return declare(fields=fields, **options)

    same = made(windows={"w": Sliding(duration=10, slide=1)}).recipe()
    assert same.same_as(made(windows={"w": Sliding(duration=10, slide=1)}).recipe())
    for other in (
        made(2, windows={"w": Sliding(duration=10, slide=1)}),
        made(windows={"w": Sliding(duration=10, slide=2)}),
        made(windows={"v": Sliding(duration=10, slide=1)}),
        made(windows={"w": Sliding(duration=10, slide=1)}, debounce=1),
        made(windows={"w": Sliding(duration=10, slide=1)}, source="other"),
        made(windows={"w": Sliding(duration=10, slide=1)}, topic="other"),
        made(),
    ):
        assert not same.same_as(other.recipe())


async def test_what_a_test_registers_is_counted_as_on_the_server() -> None:
    async with TestEnv() as env:
        env.register("stats", {"Requests": Requests, "single": declare(topic="single")})
        ann = env.connect("ann")
        total = ann.subscribe("stats/Requests/__window/total")
        single = ann.subscribe("stats/single")
        assert await total.ready() == {"count": 0, "double": 0}
        await single.ready()
        env.platform.publish("requests", "asked", {})
        await total.wait_for(lambda value: value == {"count": 1, "double": 2})
        await single.wait_for(lambda value: value == {"count": 1})
        assert live.aggregates.dump("stats/Requests") == {"total": {"count": 1}}
