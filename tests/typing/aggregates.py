"""Aggregates as apps write them, which both type checkers must accept, with the types that they must find."""

from __future__ import annotations

from typing import Any, assert_type

from runtime import (
    Aggregate,
    Compute,
    Lifetime,
    Reducer,
    Sliding,
    Tumbling,
    associative,
    combine_counts,
    combine_max,
    combine_sum,
    live,
)


@associative
def longest(*buckets: str | None) -> str:
    return max((one for one in buckets if one is not None), key=len, default="")


async def stored() -> dict[str, Any] | None:
    return None


class Requests(Aggregate):
    """Every kind of window and field."""

    source, topic = "requests", "requests-stats"
    windows = {
        "total": Lifetime(),
        "today": Tumbling(period="daily", tz="America/New_York"),
        "slot": Tumbling(duration=900, anchor=0, debounce=1),
        "last5": Sliding(duration=300, slide=30, debounce=0.25),
    }
    snapshots = {"total": stored, "today": stored}
    debounce = 0.5
    count = Reducer(init=lambda: 0, reduce=lambda acc, event, data: acc + 1, combine=combine_sum)
    slowest = Reducer(reduce=lambda acc, event, data: max(acc or 0, data["ms"]), combine=combine_max)
    paths = Reducer(dict, combine=combine_counts)
    name = Reducer(lambda: "", lambda acc, event, data: str(data["name"]), combine=longest)
    twice = Compute(lambda s: s["count"] * 2)


single = live.aggregate(
    "requests",
    {"count": Requests.count, "other": {"init": lambda: 0, "reduce": lambda acc, event, data: acc + 1}},
    topic="single",
    snapshot=stored,
    debounce=1,
)
windowed = live.aggregate("requests", {"count": Requests.count}, topic="x", windows={"w": Lifetime()})


async def load() -> None:
    """Load windows for a page, and store what there is."""
    await Requests.today.load(user=None)
    await windowed.w.load(user=None)
    await single.load(user=None)
    assert_type(live.aggregates.dump("stats/Requests"), dict[str, dict[str, Any]])
    assert_type(longest("a", None), str)
