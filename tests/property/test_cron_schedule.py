"""When jobs are due, held against an oracle that looks at every second, or minute, of the time in question.

The oracle reads an expression by the table of the spec, value by value, and asks the zone for the wall clock of each
instant. Spec: live-api 16.1 and 16.2.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.live.cronexpression import CronExpression
from runtime.live.cronschedule import Schedule, zone_of

MINUTE, HOUR, DAY = 60, 3600, 86_400
ZONES = {
    "America/New_York": 2026,
    "Europe/Berlin": 2028,  # a leap year
    "Australia/Lord_Howe": 2026,  # half an hour of summer time
    "Antarctica/Troll": 2027,  # two hours
    "Africa/Casablanca": 2026,  # no summer time in Ramadan
    "Asia/Kathmandu": 2026,  # 5:45 h ahead
    "Pacific/Apia": 2011,  # has no 30 December
    "America/Sao_Paulo": 2018,  # midnight is skipped
}
YEARLY = [
    "30 1 * * *",
    "30 2 * * *",
    "0 * * * *",
    "0 0 * * *",
    "*/20 0-3 * * *",
    "0 12 29-31 * *",
    "59 23 31 12 *",
    "0 0 * feb,dec *",
    "15 2 * 3,10-11 sun",
    "0 6 13 * fri",
    "10/25 */6 */9 */2 1-5/2",
]


class Wall(NamedTuple):
    """What a wall clock shows."""

    second: int
    minute: int
    hour: int
    day: int
    month: int
    weekday: int


def wall(instant: int, zone: tzinfo) -> Wall:
    shown = datetime.fromtimestamp(instant, zone)
    return Wall(shown.second, shown.minute, shown.hour, shown.day, shown.month, shown.isoweekday() % 7)


LAST = {"second": 59, "minute": 59, "hour": 23, "day": 31, "month": 12, "weekday": 6}
WEEKDAY_NAMES = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
MONTH_NAMES = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


def number(text: str) -> int:
    if text in MONTH_NAMES:
        return MONTH_NAMES.index(text) + 1
    return WEEKDAY_NAMES.index(text) if text in WEEKDAY_NAMES else int(text)


def allows(field: str, text: str, value: int) -> bool:
    """Return whether a field, as it is written, allows a value: rule by rule."""
    for item in text.split(","):
        base, _, by = item.partition("/")
        step = int(by or 1)
        if base == "*":
            if value % step == 0:
                return True
            continue
        first, _, last = base.partition("-")
        top = number(last) if last else (max(LAST[field], number(first)) if by else number(first))
        for each in {value, 7} if field == "weekday" and value == 0 else {value}:
            if number(first) <= each <= top and (each - number(first)) % step == 0:
                return True
    return False


def oracle(text: str) -> dict[str, set[int]]:
    fields = text.split()
    fields = ["0", *fields] if len(fields) == 5 else fields
    lowest = {"day": 1, "month": 1}
    return {
        name: {v for v in range(lowest.get(name, 0), LAST[name] + 1) if allows(name, given, v)}
        for name, given in zip(LAST, fields, strict=True)
    }


@functools.lru_cache(maxsize=1)
def minutes_of(zone: str, year: int) -> list[tuple[int, Wall]]:
    """Return every minute of a year, which also begins and ends with a day of its neighbours."""
    info = ZoneInfo(zone)
    start = int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) - DAY
    end = int(datetime(year + 1, 1, 1, tzinfo=UTC).timestamp()) + DAY
    return [(instant, wall(instant, info)) for instant in range(start, end, MINUTE)]


def matching(shown: list[tuple[int, Wall]], text: str) -> list[int]:
    wanted = oracle(text)
    second, minute, hour, day, month, weekday = wanted.values()
    return [
        instant
        for instant, at in shown
        if at.minute in minute
        and at.hour in hour
        and at.day in day
        and at.month in month
        and at.weekday in weekday
        and at.second in second
    ]


def walk(schedule: Schedule, start: int, end: int) -> Iterator[int]:
    """Yield what is due in [start, end), one after the other."""
    due = schedule.next_after(start - 1)
    while due is not None and due < end:
        yield due
        due = schedule.next_after(due)


@pytest.mark.spec("LIVE-146", "LIVE-147", "LIVE-148", "LIVE-154")
@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"])
def test_a_year_of_minutes(zone: str) -> None:
    shown = minutes_of(zone, ZONES[zone])
    start, end = shown[0][0], shown[-1][0] + MINUTE
    for text in YEARLY:
        schedule = Schedule(CronExpression.parse(text), ZoneInfo(zone))
        assert list(walk(schedule, start, end)) == matching(shown, text), text


def changes(zone: ZoneInfo, year: int) -> list[int]:
    """Return the instants of a year, to the minute, at which the offset changes."""
    start = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    hours = range(start, start + 366 * DAY, HOUR)
    offsets = [datetime.fromtimestamp(hour, zone).utcoffset() for hour in hours]
    return [hours[n + 1] for n, (a, b) in enumerate(pairwise(offsets)) if a != b]


@functools.cache
def moments() -> list[tuple[str, int]]:
    """Return places where wall clocks do something odd: a change of the offset, a leap day, the turn of a year."""
    found = []
    for name, year in ZONES.items():
        zone = ZoneInfo(name)
        found += [(name, instant) for instant in changes(zone, year)]
        found += [(name, int(datetime(y, 2, 29, tzinfo=UTC).timestamp())) for y in (2024, 2028)]
        found += [(name, int(datetime(y, 1, 1, tzinfo=UTC).timestamp())) for y in (year, 2100)]
    return found


def numbers(least: int, most: int) -> st.SearchStrategy[str]:
    one = st.integers(least, most)
    steps = st.integers(1, most + 3)
    ranges = st.tuples(one, one).map(sorted).map(lambda pair: f"{pair[0]}-{pair[1]}")
    return st.one_of(
        one.map(str),
        ranges,
        st.tuples(ranges, steps).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        st.tuples(one, steps).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    )


def field(least: int, most: int, *, names: list[str] | None = None) -> st.SearchStrategy[str]:
    item = numbers(least, most)
    if names is not None:
        item = item | st.sampled_from(names)
    listed = st.lists(item, min_size=1, max_size=3).map(",".join)
    by_step = st.integers(1, max(2, most // 3)).map(lambda step: f"*/{step}")
    return st.just("*") | by_step | listed


SECOND, MINUTES, HOURS = field(0, 59), field(0, 59), st.just("*") | field(0, 23)
DAYS = st.just("*") | field(1, 31)
MONTHS = st.just("*") | field(1, 12, names=MONTH_NAMES)
WEEKDAYS = st.just("*") | field(0, 7, names=WEEKDAY_NAMES)
FIVE = st.tuples(MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS).map(" ".join)
SIX = st.tuples(SECOND, MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS).map(" ".join)


def parsed(text: str) -> CronExpression | None:
    """Return the expression, or `None` for one that the oracle says is never due either."""
    try:
        return CronExpression.parse(text)
    except ValueError:
        wanted = oracle(text)
        longest = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
        assert not all(wanted.values()) or all(
            day > longest.get(month, 31) for day in wanted["day"] for month in wanted["month"]
        )
        return None


@pytest.mark.spec("LIVE-146", "LIVE-147", "LIVE-148", "LIVE-154")
@settings(max_examples=60)
@given(text=FIVE, where=st.integers(0, 10_000), shift=st.integers(-3000, 0))
def test_minutes_around_odd_moments(text: str, where: int, shift: int) -> None:
    zone, moment = moments()[where % len(moments())]
    expression = parsed(text)
    if expression is None:
        return
    info = ZoneInfo(zone)
    start = (moment // MINUTE + shift) * MINUTE
    shown = [(instant, wall(instant, info)) for instant in range(start, start + 3100 * MINUTE, MINUTE)]
    schedule = Schedule(expression, info)
    assert list(walk(schedule, start, start + 3100 * MINUTE)) == matching(shown, text)


@pytest.mark.spec("LIVE-146", "LIVE-147", "LIVE-154")
@settings(max_examples=50)
@given(text=SIX, where=st.integers(0, 10_000), shift=st.integers(-3600, 0))
def test_seconds_around_odd_moments(text: str, where: int, shift: int) -> None:
    zone, moment = moments()[where % len(moments())]
    expression = parsed(text)
    if expression is None:
        return
    info = ZoneInfo(zone)
    start = moment + shift
    shown = [(instant, wall(instant, info)) for instant in range(start, start + 3900)]
    schedule = Schedule(expression, info)
    found = matching(shown, text)
    assert list(walk(schedule, start, start + 3900)) == found
    assert [instant for instant, _ in shown if schedule.matches(instant)] == found


@pytest.mark.parametrize("text", ["0 0 29 2 *", "0 0 29 feb mon", "0 12 31 * sun", "0 3 1 */6 *"])
def test_hours_of_a_hundred_years(text: str) -> None:
    zone = UTC
    start, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2026, 2126))
    shown = []
    for day in range(start, end, DAY):
        at = wall(day, zone)
        shown += [(day + hour * HOUR, at._replace(hour=hour)) for hour in (0, 3, 12)]
    assert list(walk(Schedule(CronExpression.parse(text), zone), start, end)) == matching(shown, text)


OPEN_ENDED = re.compile(r"\b(\d+)-\1/")
AGREED_FIELDS = st.tuples(
    MINUTES,
    HOURS,
    st.just("*") | st.lists(numbers(1, 31), min_size=1, max_size=3).map(",".join),
    st.just("*") | st.lists(numbers(1, 12), min_size=1, max_size=3).map(",".join),
).map(" ".join)
AGREED = AGREED_FIELDS.map(lambda four: f"{four} *") | st.tuples(
    MINUTES, HOURS, st.sampled_from(["*", "mon-fri", "0", "7", "1,3,5", "sat", "2-4"])
).map(lambda three: f"{three[0]} {three[1]} * * {three[2]}")


@settings(max_examples=120)
@given(text=AGREED.filter(lambda text: not OPEN_ENDED.search(text)), start=st.integers(0, 2_000_000_000))
def test_cronsim_says_the_same_where_its_grammar_does(text: str, start: int) -> None:
    """Left out: both days at once, which it joins by OR; `*/N` of days, which it counts from 1; summer time; and
    `A-A/N`, which it takes for `A/N`.
    """
    expression = parsed(text)
    if expression is None:
        return
    schedule = Schedule(expression, UTC)
    theirs = CronSim(text, datetime.fromtimestamp(start, UTC).replace(tzinfo=None))
    due: int | None = start
    for _ in range(20):
        assert due is not None
        due = schedule.next_after(due)
        expected = next(theirs, None)
        if expected is None:
            break
        assert due == int(expected.replace(tzinfo=UTC).timestamp())


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.spec("LIVE-154")
def test_the_days_in_new_york_that_the_specification_works_out() -> None:
    zone = zone_of("America/New_York")

    def on(text: str, day: str) -> list[str]:
        start = int(datetime.fromisoformat(day).replace(tzinfo=zone).timestamp())
        end = int((datetime.fromisoformat(day) + timedelta(days=1)).replace(tzinfo=zone).timestamp())
        found = walk(Schedule(CronExpression.parse(text), zone), start, end)
        return [datetime.fromtimestamp(instant, UTC).strftime("%H:%MZ") for instant in found]

    assert on("30 1 * * *", "2026-11-01") == ["05:30Z", "06:30Z"]
    assert on("30 2 * * *", "2026-03-08") == []
    assert on("30 2 * * *", "2026-03-09") == ["06:30Z"]
    assert len(on("0 * * * *", "2026-03-08")) == 23
    assert len(on("0 * * * *", "2026-11-01")) == 25
    assert len(on("0 * * * *", "2026-06-01")) == 24


@pytest.mark.spec("LIVE-154")
def test_a_repeated_hour_is_found_from_half_a_year_before() -> None:
    schedule = Schedule(CronExpression.parse("30 1 1 11 *"), ZoneInfo("America/New_York"))
    found = list(walk(schedule, at("2026-01-01T00:00+00:00"), at("2027-12-01T00:00+00:00")))
    assert found == [at(f"2026-11-01T0{hour}:30+00:00") for hour in (5, 6)] + [at("2027-11-01T05:30+00:00")]


@pytest.mark.spec("LIVE-154")
def test_a_day_that_a_zone_does_not_have_is_not_due() -> None:
    apia = Schedule(CronExpression.parse("0 0 * dec *"), ZoneInfo("Pacific/Apia"))
    shown = [
        datetime.fromtimestamp(instant, apia.zone).day
        for instant in walk(apia, at("2011-12-28T00:00+00:00"), at("2012-01-02T00:00+00:00"))
    ]
    assert shown == [28, 29, 31]


def test_without_a_zone_the_wall_clock_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    schedule = Schedule(CronExpression.parse("30 1 * * *"))
    try:
        for name in ("America/New_York", "Asia/Kathmandu", "UTC"):
            monkeypatch.setenv("TZ", name)
            time.tzset()
            named = Schedule(schedule.expression, ZoneInfo(name))
            start, end = at("2026-10-30T00:00+00:00"), at("2026-11-03T00:00+00:00")
            assert list(walk(schedule, start, end)) == list(walk(named, start, end))
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("name", ["Europe/Berlim", "", "../etc/passwd", "/etc/passwd", 5])
def test_a_zone_that_is_none_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ValueError, match="tz: there is no time zone"):
        zone_of(name)
    assert zone_of(None) is None
    assert zone_of(UTC) is UTC


def test_what_lies_beyond_the_calendar_is_not_due() -> None:
    schedule = Schedule(CronExpression.parse("0 0 1 1 *"), UTC)
    assert schedule.next_after(at("9999-01-02T00:00+00:00")) is None
