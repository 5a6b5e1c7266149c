"""What cron expressions say, and what of them is refused. Spec: live-api 16.1."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runtime.live.cronexpression import CronExpression

DAYS = tuple(range(1, 32))
MONTHS = tuple(range(1, 13))
WEEK = tuple(range(7))
wall = datetime.fromisoformat


@pytest.mark.spec("LIVE-145")
def test_five_fields_mean_second_0_and_six_begin_with_the_second() -> None:
    five = CronExpression.parse("5 6 7 8 1")
    assert (five.seconds, five.minutes, five.hours) == ((0,), (5,), (6,))
    assert (five.days, five.months, five.weekdays, five.has_seconds) == ((7,), (8,), (1,), False)
    six = CronExpression.parse(" 4  5 6 7 8 1 ")
    assert (six.seconds, six.minutes, six.hours) == ((4,), (5,), (6,))
    assert (six.days, six.months, six.weekdays, six.has_seconds) == ((7,), (8,), (1,), True)
    every = CronExpression.parse("* * * * * *")
    assert every.seconds == every.minutes == tuple(range(60))
    assert (every.hours, every.days, every.months, every.weekdays) == (tuple(range(24)), DAYS, MONTHS, WEEK)


@pytest.mark.spec("LIVE-145")
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "five fields"),
        ("* * * *", "not 4"),
        ("* * * * * * *", "not 7"),
        ("60 * * * *", "minute: 60 is not within 0 to 59"),
        ("60 * * * * *", "second: 60 is not within 0 to 59"),
        ("* 24 * * *", "hour: 24 is not within 0 to 23"),
        ("* * 0 * *", "day: 0 is not within 1 to 31"),
        ("* * 32 * *", "day: 32"),
        ("* * * 0 *", "month: 0 is not within 1 to 12"),
        ("* * * 13 *", "month: 13"),
        ("* * * * 8", "weekday: 8 is not within 0 to 7"),
        ("*/0 * * * *", "minute: the step"),
        ("*/x * * * *", "minute: the step"),
        ("*/ * * * *", "minute: the step"),
        ("*/-1 * * * *", "minute: the step"),
        ("1-5/0 * * * *", "minute: the step"),
        ("1/2/3 * * * *", "minute: the step"),
        ("5-1 * * * *", "minute: the range '5-1' goes backwards"),
        ("* * * dec-jan *", "month: the range 'dec-jan' goes backwards"),
        ("* * * * 5-0", "weekday: the range '5-0' goes backwards"),
        ("1-70 * * * *", "minute: 70"),
        ("5x * * * *", "minute: '5x'"),
        ("1.5 * * * *", "minute: '1.5'"),
        ("+5 * * * *", "minute: '+5'"),
        ("-5 * * * *", "minute: ''"),
        ("1- * * * *", "minute: ''"),
        ("1-2-3 * * * *", "minute: '2-3'"),
        ("*5 * * * *", "minute: '*5'"),
        ("*-5 * * * *", "minute: '*'"),
        (", * * * *", "minute: ''"),
        ("1,,2 * * * *", "minute: ''"),
        ("1,2, * * * *", "minute: ''"),
        ("٣ * * * *", "minute: '٣'"),
        ("9999999999 * * * *", "minute: '9999999999'"),
        ("jan * * * *", "minute: 'jan'"),
        ("* * * mon *", "month: 'mon'"),
        ("* * * * january", "weekday: 'january'"),
        ("* * L * *", "day: 'L'"),
        ("* * 15W * *", "day: '15W'"),
        ("* * ? * *", "day: '?'"),
        ("* * * * 1#2", "weekday: '1#2'"),
        ("@reboot", "there is no such name"),
        ("@every 5m", "five fields"),
        ("*/60 */24 */32 * *", "day: '*/32' matches no value"),
        ("* * * */13 *", "month: '*/13' matches no value"),
        ("* * 31 2,4,6,9,11 *", "day: no month that it names has a day 31"),
        ("* * 30 feb *", "day: no month that it names has a day 30"),
    ],
)
def test_what_cannot_be_is_refused_with_the_name_of_the_field(text: str, names: str) -> None:
    with pytest.raises(ValueError) as caught:
        CronExpression.parse(text)
    assert names in str(caught.value)
    assert repr(text) in str(caught.value)


@pytest.mark.spec("LIVE-145")
@pytest.mark.parametrize("text", [None, 5, b"* * * * *", ["*"] * 5, lambda: None])
def test_only_a_text_is_an_expression(text: Any) -> None:
    with pytest.raises(ValueError, match="an expression such as"):
        CronExpression.parse(text)


@pytest.mark.spec("LIVE-146", "LIVE-147")
@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("*/15", (0, 15, 30, 45)),
        ("*/7", (0, 7, 14, 21, 28, 35, 42, 49, 56)),
        ("*/1", tuple(range(60))),
        ("*/90", (0,)),
        ("7", (7,)),
        ("07", (7,)),
        ("3-6", (3, 4, 5, 6)),
        ("3-3", (3,)),
        ("1,30,2", (1, 2, 30)),
        ("1,1,1", (1,)),
        ("10-20/5", (10, 15, 20)),
        ("10-20/7", (10, 17)),
        ("10-12/9", (10,)),
        ("50/4", (50, 54, 58)),
        ("1-3,50-52/2,59", (1, 2, 3, 50, 52, 59)),
        ("*/20,5", (0, 5, 20, 40)),
    ],
)
def test_the_forms_of_a_field(field: str, values: tuple[int, ...]) -> None:
    assert CronExpression.parse(f"{field} * * * *").minutes == values
    assert CronExpression.parse(f"{field} * * * * *").seconds == values


@pytest.mark.spec("LIVE-146")
def test_a_step_from_a_star_asks_for_divisible_values_in_day_and_month_too() -> None:
    assert CronExpression.parse("0 0 */2 * *").days == tuple(range(2, 32, 2))
    assert CronExpression.parse("0 0 * */5 *").months == (5, 10)
    assert CronExpression.parse("0 0 * * */3").weekdays == (0, 3, 6)
    assert CronExpression.parse("0 0 * * */7").weekdays == (0,)
    assert CronExpression.parse("0 0 1/2 * *").days == tuple(range(1, 32, 2))


@pytest.mark.spec("LIVE-147")
@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("7", (0,)),
        ("0", (0,)),
        ("sun", (0,)),
        ("SAT", (6,)),
        ("Mon-Fri", (1, 2, 3, 4, 5)),
        ("fri-sun", (0, 5, 6)),
        ("5-7", (0, 5, 6)),
        ("sun-tue", (0, 1, 2)),
        ("0-7", WEEK),
        ("1-7", WEEK),
        ("sun-sun", (0,)),
        ("mon-fri/2", (1, 3, 5)),
        ("1/2", (1, 3, 5)),
        ("6/2", (6,)),
        ("7/2", (0,)),
        ("MON,wed,FRI", (1, 3, 5)),
    ],
)
def test_weekdays_have_names_and_sunday_two_numbers(field: str, values: tuple[int, ...]) -> None:
    assert CronExpression.parse(f"0 0 * * {field}").weekdays == values


@pytest.mark.spec("LIVE-147")
def test_months_have_names() -> None:
    assert CronExpression.parse("0 0 * JAN,mar-May,dec *").months == (1, 3, 4, 5, 12)
    assert CronExpression.parse("0 0 * apr/3 *").months == (4, 7, 10)
    names = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
    assert [CronExpression.parse(f"0 0 * {name} *").months for name in names] == [(n,) for n in MONTHS]


@pytest.mark.spec("LIVE-145", "LIVE-147")
@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        (" @Daily ", "0 0 * * *"),
    ],
)
def test_some_expressions_have_a_name(name: str, same: str) -> None:
    named, plain = CronExpression.parse(name), CronExpression.parse(same)
    for field in ("seconds", "minutes", "hours", "days", "months", "weekdays", "has_seconds"):
        assert getattr(named, field) == getattr(plain, field)
    assert named.text == name


@pytest.mark.spec("LIVE-146")
def test_day_and_weekday_must_both_match() -> None:
    friday_13th = CronExpression.parse("0 12 13 * fri")
    assert friday_13th.matches(datetime(2026, 11, 13, 12, tzinfo=UTC))
    assert not friday_13th.matches(datetime(2026, 12, 13, 12, tzinfo=UTC))  # a Sunday
    assert not friday_13th.matches(datetime(2026, 11, 20, 12, tzinfo=UTC))  # a Friday
    assert friday_13th.first_from(wall("2026-11-13T12:00:01")) == wall("2027-08-13T12:00:00")
    assert friday_13th.restricts_both_days
    for text in ("0 12 13 * *", "0 12 * * fri", "0 12 */1 * mon", "0 12 1-31 * mon", "0 0 3 * 0-6"):
        assert not CronExpression.parse(text).restricts_both_days


@pytest.mark.parametrize(
    ("text", "start", "found"),
    [
        ("* * * * *", "2026-11-26T10:00:00", "2026-11-26T10:00:00"),
        ("* * * * *", "2026-11-26T10:00:01", "2026-11-26T10:01:00"),
        ("30 * * * * *", "2026-11-26T10:00:31", "2026-11-26T10:01:30"),
        ("30 59 23 * * *", "2026-12-31T23:59:31", "2027-01-01T23:59:30"),
        ("15 6,18 * * *", "2026-11-26T06:15:01", "2026-11-26T18:15:00"),
        ("15 6,18 * * *", "2026-11-26T18:15:01", "2026-11-27T06:15:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 29 2 *", "2096-03-01T00:00:00", "2104-02-29T00:00:00"),
        ("0 0 29 2 mon", "2072-03-01T00:00:00", "2112-02-29T00:00:00"),
        ("0 0 31 * *", "2026-01-31T00:00:01", "2026-03-31T00:00:00"),
        ("0 0 1 1 *", "2026-01-01T00:00:01", "2027-01-01T00:00:00"),
    ],
)
def test_the_first_match_from_a_wall_clock_time_on(text: str, start: str, found: str) -> None:
    first = CronExpression.parse(text).first_from(wall(start))
    assert first == wall(found)


def test_nothing_comes_after_the_last_year_that_can_be_named() -> None:
    assert CronExpression.parse("0 0 1 1 *").first_from(wall("9999-01-02T00:00:00")) is None


def test_fractions_of_a_second_do_not_count() -> None:
    every = CronExpression.parse("* * * * * *")
    assert every.first_from(wall("2026-01-01T00:00:00.999999")) == wall("2026-01-01T00:00:00")
