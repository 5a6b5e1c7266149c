"""Who keeps something of a connection is told once when it is gone."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.unit.core.parts import Core


def test_everybody_is_told_once_in_order(caplog: pytest.LogCaptureFixture) -> None:
    core = Core()
    told: list[Any] = []
    departures = core.parts.departures
    ada, bob = core.connect(), core.connect()

    def fail(connection: Any) -> None:
        raise OSError("no")

    departures.watch(ada, "first", lambda ws: told.append(("first", ws)))
    departures.watch(ada, "bad", fail)
    departures.watch(ada, "last", lambda ws: told.append(("old", ws)))
    departures.watch(ada, "last", lambda ws: told.append(("last", ws)))
    departures.watch(bob, "first", lambda ws: told.append(("bob", ws)))
    with caplog.at_level(logging.ERROR):
        departures.gone(ada)
        departures.gone(ada)
    assert told == [("first", ada), ("last", ada)]
    assert "could not be taken back" in caplog.text
    assert len(departures) == 1


def test_what_was_taken_back_is_not_called_and_nothing_is_kept() -> None:
    core = Core()
    told: list[Any] = []
    departures, ada = core.parts.departures, core.connect()
    departures.watch(ada, "a", told.append)
    departures.forget(ada, "b")
    departures.forget(ada, "a")
    departures.forget(ada, "a")
    assert len(departures) == 0
    ada.mark_closed("gone")
    departures.watch(ada, "a", told.append)
    departures.gone(ada)
    assert (told, len(departures)) == ([], 0)
