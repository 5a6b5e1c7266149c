from __future__ import annotations

from typing import Any

import pytest

from runtime.live.merge import LATEST_MAX, Merger

pytestmark = pytest.mark.spec("WIRE-103", "LIVE-84")


def rows(*keys: Any, field: str = "id") -> list[dict[str, Any]]:
    return [{field: key} for key in keys]


def loaded(data: Any, merge: str = "crud", **options: Any) -> Merger:
    merger = Merger(merge, **options)
    merger.load(data)
    return merger


def test_created_appends_and_replaces_in_place_when_the_key_is_known() -> None:
    merger = loaded(rows(1, 2))
    assert merger.apply("created", {"id": 3})
    assert merger.apply("created", {"id": 1, "text": "new"})
    assert merger.value == [{"id": 1, "text": "new"}, {"id": 2}, {"id": 3}]


def test_created_goes_first_with_prepend_and_the_tail_is_cut() -> None:
    merger = loaded(rows(1, 2), prepend=True, max=2)
    assert merger.apply("created", {"id": 3})
    assert merger.value == rows(3, 1)
    assert merger.apply("updated", {"id": 1, "n": 1})
    assert merger.value == [{"id": 3}, {"id": 1, "n": 1}]
    assert not merger.apply("updated", {"id": 2})


def test_created_beyond_max_cuts_the_oldest() -> None:
    merger = loaded(rows(1, 2), max=2)
    assert merger.apply("created", {"id": 3})
    assert merger.value == rows(2, 3)
    assert not merger.apply("updated", {"id": 1})
    assert merger.apply("updated", {"id": 3, "n": 1})
    assert merger.value == [{"id": 2}, {"id": 3, "n": 1}]


def test_a_list_longer_than_max_is_cut_by_the_first_created() -> None:
    merger = loaded(rows(1, 2, 3, 4), max=2)
    assert merger.value == rows(1, 2, 3, 4)
    merger.apply("created", {"id": 5})
    assert merger.value == rows(4, 5)


def test_updated_of_an_unknown_key_is_ignored() -> None:
    merger = loaded(rows(1))
    assert not merger.apply("updated", {"id": 2})
    assert merger.value == rows(1)


@pytest.mark.parametrize(
    ("keep_order", "left"), [(True, [2, 3, 4]), (False, [4, 2, 3])], ids=["python", "browser"]
)
def test_deleted_keeps_the_order_or_moves_the_last_row_into_the_gap(
    keep_order: bool, left: list[int]
) -> None:
    merger = loaded(rows(1, 2, 3, 4), keep_order=keep_order)
    assert merger.apply("deleted", {"id": 1})
    assert merger.value == rows(*left)
    assert not merger.apply("deleted", {"id": 1})
    for key in (4, 2, 3):
        assert merger.apply("updated", {"id": key, "seen": True})
    assert all(row["seen"] for row in merger.value)


@pytest.mark.parametrize("keep_order", [True, False])
def test_deleting_the_last_row_leaves_the_others(keep_order: bool) -> None:
    merger = loaded(rows(1, 2), keep_order=keep_order)
    assert merger.apply("deleted", {"id": 2, "more": "is ignored"})
    assert merger.value == rows(1)


def test_names_of_events_are_exact_and_others_change_nothing() -> None:
    merger = loaded(rows(1))
    for event in ("Created", "upserted", "join", "set", ""):
        assert not merger.apply(event, {"id": 9})
    assert merger.value == rows(1)


def test_the_key_is_the_declared_one() -> None:
    merger = loaded([{"slug": "a", "n": 1}], key="slug")
    merger.apply("updated", {"slug": "a", "n": 2})
    assert merger.value == [{"slug": "a", "n": 2}]


def test_keys_are_told_apart_as_javascript_does() -> None:
    merger = loaded([])
    for key in (1, "1", True, None, 0, False, ""):
        merger.apply("created", {"id": key})
    assert len(merger.value) == 7
    merger.apply("created", {"id": 1.0, "n": 2})
    assert len(merger.value) == 7
    merger.apply("created", {"text": "no key"})
    merger.apply("created", {"text": "no key either"})
    assert merger.value[7:] == [{"text": "no key either"}]
    merger.apply("created", {"id": {"a": 1}})
    merger.apply("created", {"id": {"a": 1}})
    assert len(merger.value) == 10


@pytest.mark.parametrize("merge", ["crud", "presence", "cursor"])
def test_rows_that_are_no_objects_do_no_harm(merge: str) -> None:
    event, removal = {
        "crud": ("created", "deleted"),
        "presence": ("join", "leave"),
        "cursor": ("update", "remove"),
    }[merge]
    merger = loaded([5, None, "x"], merge)
    assert not merger.apply(event, None)
    assert not merger.apply(removal, None)
    merger.apply(event, 7)
    assert isinstance(merger.value, list)


@pytest.mark.parametrize("merge", ["crud", "latest", "presence", "cursor"])
def test_a_value_that_is_no_list_becomes_one(merge: str) -> None:
    event = {"crud": "created", "latest": "x", "presence": "join", "cursor": "update"}[merge]
    merger = loaded({"not": "a list"}, merge)
    merger.apply(event, {"id": 1, "key": 1})
    assert merger.value == [{"id": 1, "key": 1}]


def test_latest_appends_every_event_and_keeps_fifty() -> None:
    merger = loaded([], "latest")
    for number in range(LATEST_MAX + 5):
        assert merger.apply(f"event-{number}", number)
    assert merger.value == list(range(5, LATEST_MAX + 5))
    short = loaded([1, 2], "latest", max=2)
    short.apply("x", 3)
    assert short.value == [2, 3]


def test_set_takes_any_event_and_tells_whether_anything_changed() -> None:
    merger = loaded(1, "set")
    assert merger.apply("anything", 2)
    assert not merger.apply("set", 2)
    assert merger.apply("set", True)
    assert merger.apply("set", [1])
    assert merger.apply("set", [1])
    assert merger.value == [1]


def test_presence_joins_leaves_and_sets() -> None:
    merger = loaded([{"key": "u1", "data": 1}], "presence", key="id")
    assert merger.apply("join", {"key": "u2", "data": 2})
    assert merger.apply("join", {"key": "u1", "data": 3})
    assert merger.value == [{"key": "u1", "data": 3}, {"key": "u2", "data": 2}]
    assert merger.apply("leave", {"key": "u1"})
    assert merger.value == [{"key": "u2", "data": 2}]
    assert not merger.apply("leave", {"key": "u1"})
    assert merger.apply("set", [{"key": "u9"}])
    assert merger.apply("leave", {"key": "u9"})
    assert merger.value == []


def test_cursor_updates_removes_and_sets() -> None:
    merger = loaded([], "cursor")
    assert merger.apply("update", {"key": "u1", "x": 1})
    assert merger.apply("update", {"key": "u1", "x": 2})
    assert merger.value == [{"key": "u1", "x": 2}]
    assert merger.apply("remove", {"key": "u1"})
    assert merger.apply("set", [{"key": "u2"}])
    assert merger.value == [{"key": "u2"}]


@pytest.mark.spec("LIVE-85")
@pytest.mark.parametrize("merge", ["crud", "latest", "set", "presence", "cursor"])
def test_refreshed_replaces_the_value_and_the_index(merge: str) -> None:
    merger = loaded([{"id": 1, "key": 1}], merge)
    assert merger.apply("refreshed", [{"id": 2, "key": 2}])
    assert merger.value == [{"id": 2, "key": 2}]
    if merge == "crud":
        assert not merger.apply("updated", {"id": 1})
        assert merger.apply("updated", {"id": 2, "n": 1})


@pytest.mark.parametrize("merge", ["crud", "presence", "cursor"])
def test_prototype_keys_are_stripped_from_rows(merge: str) -> None:
    event = {"crud": "created", "presence": "join", "cursor": "update"}[merge]
    bad = {"id": 1, "key": 1, "__proto__": {"x": 1}, "constructor": 2, "prototype": 3}
    merger = loaded([bad], merge)
    assert merger.value == [{"id": 1, "key": 1}]
    merger.apply(event, bad)
    assert merger.value == [{"id": 1, "key": 1}]
    assert loaded({"constructor": 1, "a": 2}, merge).value == {"a": 2}
    assert "__proto__" in bad
    assert loaded([bad], "latest").value == [bad]


def test_patch_adds_replaces_and_removes() -> None:
    merger = loaded(rows(1, 2))
    assert merger.patch([{"id": 3}, {"id": 1, "n": 1}, {"id": 2, "_deleted": True}])
    assert merger.value == [{"id": 1, "n": 1}, {"id": 3}]
    assert not merger.patch([])
    assert not merger.patch([{"id": 7, "_deleted": 1}])


def test_extend_adds_a_page_behind_or_in_front() -> None:
    merger = loaded(rows(1, 2))
    assert merger.extend(rows(3, 4))
    assert merger.value == rows(1, 2, 3, 4)
    assert merger.apply("deleted", {"id": 4})
    front = loaded(rows(1), prepend=True)
    assert front.extend(rows(8, 9))
    assert front.value == rows(8, 9, 1)
    assert front.apply("updated", {"id": 1, "n": 1})
    assert not front.extend([])
    assert not front.extend("no list")
    assert not loaded(1, "set").extend([1])


@pytest.mark.parametrize(("prepend", "expected"), [(False, [1, 4, 3]), (True, [3, 1, 4])])
def test_a_row_of_a_page_that_came_as_an_event_already_is_not_there_twice(
    prepend: bool, expected: list[int]
) -> None:
    merger = loaded(rows(1, 4), prepend=prepend)
    assert merger.extend([{"id": 3}, {"id": 4, "n": 1}])
    assert [row["id"] for row in merger.value] == expected
    assert {"id": 4, "n": 1} in merger.value
    assert merger.apply("deleted", {"id": 4})
    assert [row["id"] for row in merger.value] == [id for id in expected if id != 4]
    newest = loaded([1], "latest")
    assert newest.extend([1, 2])
    assert newest.value == [1, 1, 2]


def test_a_value_that_was_handed_out_never_changes() -> None:
    merger = loaded(rows(1))
    before = merger.value
    assert merger.value is before
    merger.apply("created", {"id": 2})
    assert before == rows(1)
    assert merger.value is not before
    source = rows(1)
    other = loaded(source)
    other.apply("created", {"id": 2})
    assert source == rows(1)


def test_a_fork_goes_its_own_way() -> None:
    merger = loaded(rows(1), max=2)
    fork = merger.fork()
    fork.apply("created", {"id": 2})
    fork.apply("deleted", {"id": 1})
    assert (merger.value, fork.value) == (rows(1), rows(2))
    assert loaded(5, "set").fork().value == 5


def test_configure_keeps_the_value_and_takes_the_new_rules() -> None:
    merger = loaded([{"id": 1, "slug": "a"}])
    merger.configure("crud", key="slug", prepend=True)
    assert merger.apply("deleted", {"slug": "a"})
    assert merger.value == []


def test_confirms_names_the_key_of_an_upsert_only() -> None:
    merger = loaded(rows(1))
    assert merger.confirms("created", {"id": 5}) == 5
    assert merger.confirms("updated", {"id": 5}) == 5
    assert merger.confirms("deleted", {"id": 5}) is None
    assert merger.confirms("created", 5) is None
    assert Merger("latest").confirms("created", {"id": 5}) is None


def test_an_unknown_strategy_is_named() -> None:
    with pytest.raises(ValueError, match=r"merge: must be one of crud, latest, .*not 'upsert'"):
        Merger("upsert")
