"""When tumbling windows end. Spec: live-api 11.6."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runtime.live.boundaries import CivilBoundaries, FixedBoundaries, Period, zone_of

Case = tuple[str, Period, str, list[str]]


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def shown(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M")


# zone, period, an instant before the first of them, consecutive boundaries (UTC).
ROWS: list[Case] = [
    ("America/New_York", "daily", "2026-03-08 04:59", ["2026-03-08 05:00", "2026-03-09 04:00"]),
    ("America/New_York", "daily", "2026-11-01 03:59", ["2026-11-01 04:00", "2026-11-02 05:00"]),
    (
        "America/New_York",
        "hour",
        "2026-03-08 04:59",
        ["2026-03-08 05:00", "2026-03-08 06:00", "2026-03-08 07:00", "2026-03-08 08:00"],
    ),
    (
        "America/New_York",
        "hour",
        "2026-11-01 04:59",
        ["2026-11-01 05:00", "2026-11-01 06:00", "2026-11-01 07:00"],
    ),
    ("America/New_York", "monthly", "2026-02-14 00:00", ["2026-03-01 05:00", "2026-04-01 04:00"]),
    ("America/New_York", "monthly", "2026-10-14 00:00", ["2026-11-01 04:00", "2026-12-01 05:00"]),
    ("Europe/Berlin", "daily", "2026-03-28 22:59", ["2026-03-28 23:00", "2026-03-29 22:00"]),
    ("Europe/Berlin", "daily", "2026-10-24 21:59", ["2026-10-24 22:00", "2026-10-25 23:00"]),
    ("Australia/Sydney", "daily", "2026-10-03 13:00", ["2026-10-03 14:00", "2026-10-04 13:00"]),
    ("Australia/Sydney", "daily", "2026-04-04 12:00", ["2026-04-04 13:00", "2026-04-05 14:00"]),
    (
        "Australia/Lord_Howe",
        "hour",
        "2026-10-03 14:29",
        ["2026-10-03 14:30", "2026-10-03 15:30", "2026-10-03 16:00"],
    ),
    (
        "Australia/Lord_Howe",
        "hour",
        "2026-04-04 13:59",
        ["2026-04-04 14:00", "2026-04-04 15:00", "2026-04-04 15:30"],
    ),
    (
        "Africa/Cairo",
        "daily",
        "2026-04-22 21:59",
        ["2026-04-22 22:00", "2026-04-23 22:00", "2026-04-24 21:00"],
    ),
    ("America/Havana", "daily", "2026-11-01 03:59", ["2026-11-01 04:00", "2026-11-02 05:00"]),
    ("UTC", "monthly", "2028-01-31 23:59", ["2028-02-01 00:00", "2028-03-01 00:00"]),
    (
        "Asia/Kathmandu",
        "hour",
        "2026-05-01 00:14",
        ["2026-05-01 00:15", "2026-05-01 01:15", "2026-05-01 02:15"],
    ),
]


@pytest.mark.spec("LIVE-123")
@pytest.mark.parametrize(("zone", "period", "before", "expected"), ROWS)
def test_the_worked_examples(zone: str, period: Period, before: str, expected: list[str]) -> None:
    boundaries = CivilBoundaries(period, zone_of(zone))
    instant, found = at(before), []
    for _ in expected:
        instant = boundaries.after(instant)
        found.append(shown(instant))
    assert found == expected


@pytest.mark.spec("LIVE-123")
@pytest.mark.parametrize(("day", "windows"), [("2026-03-08", 23), ("2026-03-09", 24), ("2026-11-01", 25)])
def test_a_day_of_a_change_has_other_than_24_hours(day: str, windows: int) -> None:
    zone = zone_of("America/New_York")
    days, hours = CivilBoundaries("daily", zone), CivilBoundaries("hour", zone)
    begin = days.start_of(at(f"{day} 12:00"))
    end = days.after(begin)
    instants = [begin]
    while (upcoming := hours.after(instants[-1])) < end:
        instants.append(upcoming)
    assert len(instants) == windows


# The second 00:00 of Havana, and the whole day that Samoa left out.
@pytest.mark.parametrize(
    ("zone", "now", "start", "end"),
    [
        ("America/Havana", "2026-11-01 05:00", "2026-11-01 04:00", "2026-11-02 05:00"),
        ("America/Havana", "2026-11-01 04:30", "2026-11-01 04:00", "2026-11-02 05:00"),
        ("Pacific/Apia", "2011-12-30 09:59", "2011-12-29 10:00", "2011-12-30 10:00"),
        ("Pacific/Apia", "2011-12-30 10:00", "2011-12-30 10:00", "2011-12-31 10:00"),
    ],
)
def test_a_day_begins_once(zone: str, now: str, start: str, end: str) -> None:
    boundaries = CivilBoundaries("daily", zone_of(zone))
    assert (shown(boundaries.start_of(at(now))), shown(boundaries.after(at(now)))) == (start, end)


# In the repeated hour the reference found boundaries that were not in the future, and span.
@pytest.mark.spec("LIVE-124")
@pytest.mark.parametrize("period", ["minute", "hour", "daily", "monthly"])
@pytest.mark.parametrize(
    "zone", ["America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana"]
)
def test_a_boundary_is_always_in_the_future(zone: str, period: Period) -> None:
    boundaries = CivilBoundaries(period, zone_of(zone))
    for day in ("2026-03-08", "2026-04-04", "2026-04-23", "2026-10-03", "2026-11-01"):
        for minute in range(0, 24 * 60, 15):
            instant = at(f"{day} 00:00") + 60 * minute
            assert boundaries.after(instant) > instant
            assert boundaries.start_of(instant) <= instant
            assert boundaries.after(boundaries.after(instant)) > boundaries.after(instant)


@pytest.mark.spec("LIVE-120")
@pytest.mark.parametrize(
    ("duration", "anchor", "instant", "start", "end"),
    [
        (900, 0, 0, 0, 900),
        (900, 0, 899.999, 0, 900),
        (900, 0, 900, 900, 1800),
        (900, 100, 50, -800, 100),
        (900, 100, 1000, 1000, 1900),
        (0.1, 0, 0.3, 0.2, 0.3),  # 3 * 0.1 is a little later than 0.3
        (60, -30, 0, -30, 30),
        (60, 1e9, 1, -20, 40),
    ],
)
def test_fixed_boundaries(duration: float, anchor: float, instant: float, start: float, end: float) -> None:
    boundaries = FixedBoundaries(duration, anchor)
    assert boundaries.after(instant) == pytest.approx(end)
    assert boundaries.start_of(instant) == pytest.approx(start)
    assert boundaries.start_of(instant) <= instant < boundaries.after(instant)


def test_fixed_boundaries_follow_each_other_without_a_gap() -> None:
    boundaries = FixedBoundaries(0.1, 0.7)
    instant = boundaries.start_of(1_790_000_000.0)
    for _ in range(10_000):
        upcoming = boundaries.after(instant)
        assert upcoming - instant == pytest.approx(0.1, abs=1e-6)
        assert boundaries.start_of(upcoming) == upcoming
        instant = upcoming


@pytest.mark.parametrize(
    "name", ["", "Nowhere/Land", "../etc/passwd", "/etc/localtime", "America", "a\0b", None, 3]
)
def test_a_zone_has_an_iana_name(name: object) -> None:
    with pytest.raises(ValueError, match="IANA name"):
        zone_of(name)
