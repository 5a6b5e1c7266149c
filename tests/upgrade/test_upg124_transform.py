"""UPG124: an option that did nothing."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import after, flagged, stays

HEAD = "from runtime import pipe\n\n"


@pytest.mark.parametrize(
    "source",
    [
        HEAD + "x = pipe.filter(f)\n",
        "from other import pipe\n\nx = pipe.filter(f, transform_event=str)\n",
        HEAD + "x = other.filter(f, transform_event=str)\n",
        "transform_event = 1\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG124", source)


@pytest.mark.spec("UPGC-60")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("pipe.filter(f, transform_event=str)", "pipe.filter(f)"),
        ("pipe.filter(transform_event=str, predicate=f)", "pipe.filter(predicate=f)"),
        ("pipe.filter(\n    f,\n    transform_event=str,\n)", "pipe.filter(\n    f,\n)"),
    ],
)
def test_the_option_goes_with_a_todo(before: str, expected: str) -> None:
    todo = "# TODO(realtime-upgrade UPG124): transform_event was ignored in 0.4; pass transform= to live.stream\n"
    assert after("UPG124", f"{HEAD}x = {before}\n") == f"{HEAD}{todo}x = {expected}\n"


@pytest.mark.spec("UPGC-60")
def test_a_dictionary_of_options_is_told() -> None:
    source = HEAD + "x = pipe.filter(f, **options)  # transform_event\n"
    assert flagged("UPG124", source) == [("R-08", 3)]
