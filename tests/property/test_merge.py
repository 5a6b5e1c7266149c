"""Every sequence of events gives the value of the table of wire 5.6, computed here the slow and plain way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.live.merge import Merger

pytestmark = pytest.mark.spec("WIRE-103")

KEYS = st.integers(0, 6)
EVENTS = st.sampled_from(
    ["created", "updated", "deleted", "join", "leave", "update", "remove", "set", "refreshed", "other"]
)
ADDS = {"crud": "created", "presence": "join", "cursor": "update"}
REMOVES = {"crud": "deleted", "presence": "leave", "cursor": "remove"}


@st.composite
def row(draw: st.DrawFn) -> dict[str, Any]:
    key = draw(KEYS)
    return {"id": key, "key": key, "n": draw(st.integers(0, 3))}


def unique(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({r["id"]: r for r in rows}.values())


STEPS = st.lists(st.tuples(EVENTS, row(), st.lists(row(), max_size=5).map(unique)), max_size=40)


def keyed_model(
    merge: str, value: list[Any], event: str, data: Any, *, prepend: bool, limit: int, keep_order: bool
) -> list[Any]:
    if event == "refreshed" or (event == "set" and merge != "crud"):
        return list(data)
    at = next((i for i, r in enumerate(value) if r["id"] == data["id"]), None)
    if event == REMOVES[merge] and at is not None:
        if keep_order or at == len(value) - 1:
            return value[:at] + value[at + 1 :]
        return [*value[:at], value[-1], *value[at + 1 : -1]]
    if at is not None and (event == ADDS[merge] or (merge == "crud" and event == "updated")):
        return [*value[:at], data, *value[at + 1 :]]
    if at is None and event == ADDS[merge]:
        if merge != "crud":
            return [*value, data]
        if prepend:
            return [data, *value][: limit or None]
        return [*value, data][-limit if limit else 0 :]
    return value


@given(
    merge=st.sampled_from(["crud", "presence", "cursor"]),
    start=st.lists(row(), max_size=5).map(unique),
    steps=STEPS,
    prepend=st.booleans(),
    limit=st.sampled_from([0, 1, 3]),
    keep_order=st.booleans(),
)
def test_keyed_strategies_follow_the_table(
    merge: str, start: list[Any], steps: list[Any], prepend: bool, limit: int, keep_order: bool
) -> None:
    merger = Merger(merge, prepend=prepend, max=limit, keep_order=keep_order)
    merger.load(start)
    model = list(start)
    for event, one, many in steps:
        replaces = event == "refreshed" or (event == "set" and merge != "crud")
        data = many if replaces else one
        before = json.dumps(merger.value)
        changed = merger.apply(event, data)
        model = keyed_model(merge, model, event, data, prepend=prepend, limit=limit, keep_order=keep_order)
        assert merger.value == model
        if not changed:
            assert json.dumps(merger.value) == before


@given(start=st.lists(row(), max_size=6).map(unique), steps=STEPS)
def test_both_rules_of_removal_hold_the_same_rows(start: list[Any], steps: list[Any]) -> None:
    ordered, browser = Merger(keep_order=True), Merger(keep_order=False)
    for merger in (ordered, browser):
        merger.load(start)
    for event, one, many in steps:
        data = many if event == "refreshed" else one
        assert ordered.apply(event, data) == browser.apply(event, data)
        assert sorted(map(repr, ordered.value)) == sorted(map(repr, browser.value))


@given(limit=st.integers(0, 5), values=st.lists(st.integers(), max_size=80))
def test_latest_keeps_the_newest(limit: int, values: list[int]) -> None:
    merger = Merger("latest", max=limit)
    for value in values:
        merger.apply("x", value)
    assert (merger.value or []) == values[-(limit or 50) :]


@given(
    st.sampled_from(["crud", "latest", "set", "presence", "cursor"]),
    st.lists(
        st.tuples(
            st.text(max_size=8) | EVENTS,
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["id", "key", "_deleted", "x"]), inner, max_size=3)
                ),
                max_leaves=8,
            ),
        ),
        max_size=20,
    ),
)
def test_no_data_breaks_a_merger(merge: str, steps: list[tuple[str, Any]]) -> None:
    merger = Merger(merge)
    for event, data in steps:
        merger.apply(event, data)
        if isinstance(data, list):
            merger.patch(data)
            merger.extend(data)
        merger.confirms(event, data)
        fork = merger.fork()
        assert fork.value == merger.value
