"""Boundaries of civil time against a clock that is read at every second, or minute. Spec: live-api 11.6."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.live.boundaries import CivilBoundaries, FixedBoundaries, zone_of

# Zones with odd offsets, odd changes, changes at midnight, and days that were left out.
ZONES = [
    "UTC",
    "America/New_York",
    "America/Havana",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
]
FIRST, LAST = 180_000_000, 2_000_000_000  # from 1975, when all of them had offsets of whole minutes, to 2033
HOUR, DAY = 3600, 86_400


@cache
def changes(zone: str) -> tuple[int, ...]:
    """The hours around which the clock of a zone is changed: where the mistakes are."""
    found, before = [], None
    for instant in range(FIRST, LAST, 12 * HOUR):
        offset = datetime.fromtimestamp(instant, ZoneInfo(zone)).utcoffset()
        if before is not None and offset != before:
            found.append(instant)
        before = offset
    return tuple(found) or (FIRST + DAY,)


@st.composite
def instants(draw: st.DrawFn) -> tuple[str, float]:
    zone = draw(st.sampled_from(ZONES))
    if draw(st.booleans()):
        return zone, draw(st.integers(FIRST, LAST)) + draw(st.sampled_from([0.0, 0.5]))
    around = draw(st.sampled_from(changes(zone)))
    return zone, around + draw(st.integers(-16 * HOUR, 4 * HOUR)) + draw(st.sampled_from([0.0, 0.25]))


def local(zone: str, instant: int) -> datetime:
    return datetime.fromtimestamp(instant, ZoneInfo(zone))


def clock_boundaries(zone: str, period: str, begin: int, end: int) -> Iterator[int]:
    """Every minute after `begin` at which the clock shows another label than the second before."""
    parts = 4 if period == "hour" else 5

    def label(instant: int) -> tuple[object, ...]:
        shown = local(zone, instant)
        return shown.utcoffset(), *shown.timetuple()[:parts]

    for instant in range(begin - begin % 60, end, 60):
        if instant > begin and label(instant) != label(instant - 1):
            yield instant


def date_boundaries(zone: str, begin: int, end: int) -> Iterator[tuple[int, date]]:
    """Every minute that is the first to have its date, or a later one, and the date."""
    newest = local(zone, begin).date()
    for instant in range(begin - begin % 60, end, 60):
        day = local(zone, instant).date()
        if day > newest:
            newest = day
            yield instant, day


@pytest.mark.spec("LIVE-123", "LIVE-124")
@settings(max_examples=150, deadline=None)
@given(instants(), st.sampled_from(["minute", "hour"]))
def test_minutes_and_hours_are_what_the_clock_shows(where: tuple[str, float], period: str) -> None:
    zone, instant = where
    boundaries = CivilBoundaries("minute" if period == "minute" else "hour", zone_of(zone))
    whole = int(instant // 1)
    expected = next(clock_boundaries(zone, period, whole, whole + 2 * HOUR))
    assert boundaries.after(instant) == expected
    *_, start = clock_boundaries(zone, period, whole - 2 * HOUR, whole + 1)
    assert boundaries.start_of(instant) == start


@pytest.mark.spec("LIVE-123", "LIVE-124")
@settings(max_examples=60, deadline=None)
@given(instants())
def test_days_begin_at_the_first_instant_of_their_date(where: tuple[str, float]) -> None:
    zone, instant = where
    boundaries = CivilBoundaries("daily", zone_of(zone))
    whole = int(instant // 1)
    found = [one for one, _ in date_boundaries(zone, whole - 3 * DAY, whole + 3 * DAY)]
    assert boundaries.after(instant) == next(one for one in found if one > instant)
    assert boundaries.start_of(instant) == max(one for one in found if one <= instant)


@pytest.mark.spec("LIVE-123")
@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ZONES), st.integers(1976, 2033), st.integers(1, 12))
def test_months_begin_with_their_first_day(zone: str, year: int, month: int) -> None:
    around = int(datetime(year, month, 1, tzinfo=ZoneInfo("UTC")).timestamp())
    expected = next(
        one
        for one, day in date_boundaries(zone, around - 2 * DAY, around + 2 * DAY)
        if day >= date(year, month, 1)
    )
    boundaries = CivilBoundaries("monthly", zone_of(zone))
    for before in (1, HOUR, DAY, 27 * DAY):
        assert boundaries.after(expected - before) == expected
    for since in (0, 1, HOUR, 27 * DAY):
        assert boundaries.start_of(expected + since) == expected


@pytest.mark.spec("LIVE-120", "LIVE-124")
@given(
    st.floats(0.001, 1e7, allow_nan=False),
    st.floats(-2e9, 2e9, allow_nan=False),
    st.floats(0, 4e9, allow_nan=False),
)
def test_fixed_boundaries_enclose_every_instant(duration: float, anchor: float, instant: float) -> None:
    boundaries = FixedBoundaries(duration, anchor)
    start, end = boundaries.start_of(instant), boundaries.after(instant)
    assert start <= instant < end
    assert boundaries.start_of(start) == start
    assert boundaries.after(start) == end
