"""What a cron expression says: which wall-clock seconds it matches, and which of them comes next. No clock, no zone.

Spec: live-api 16.1.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["CronExpression"]

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
#: Expressions by name.
MACROS: Mapping[str, str] = MappingProxyType(
    {
        "@hourly": "0 * * * *",
        "@daily": "0 0 * * *",
        "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *",
        "@yearly": "0 0 1 1 *",
    }
)
# The longest time between two matches is the 40 years from one 29 February of a weekday to the next across 2100.
HORIZON_YEARS = 50
SUNDAY = 7


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of an expression: its name in messages, its range, and the names of its values if they have some."""

    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()

    @property
    def is_weekday(self) -> bool:
        """Whether 7 is another name of 0 here."""
        return self.last == SUNDAY

    @property
    def every(self) -> range:
        """All values, each once."""
        return range(self.first, self.last + (not self.is_weekday))


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, SUNDAY, _WEEKDAYS),
)


@dataclass(frozen=True, slots=True)
class CronExpression:
    """A parsed expression: the values that each field may have, ascending. Make it with `parse`.

    All fields must match, day and weekday too. Weekdays count from Sunday, which is 0.
    """

    text: str
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    #: Whether it has six fields, so that it can match within a minute.
    has_seconds: bool

    @classmethod
    def parse(cls, text: str) -> CronExpression:
        """Read `minute hour day month weekday`, the same with `second` in front, or one of `@hourly`, `@daily`, ...

        A field is `*`, `*/N` (values that N divides), `A`, `A-B`, `A-B/N`, `A/N` (from A on), or several of these
        joined by commas. Months and weekdays have names of three letters. Spec: live-api 16.1.

        Raises:
            ValueError: it is none; the message names the field.
        """
        if not isinstance(text, str):
            raise ValueError(f"cron: an expression such as '*/5 * * * *' is needed, not {text!r}")
        fields = MACROS.get(text.strip().lower(), text).split()
        if len(fields) not in (5, 6):
            raise ValueError(_wrong_count(text, len(fields)))
        kinds = _FIELDS[-len(fields) :]
        found = {kind.name: _values(text, kind, given) for kind, given in zip(kinds, fields, strict=True)}
        days, months = found["day"], found["month"]
        if not any(days[0] <= _longest(month) for month in months):
            raise ValueError(f"cron {text!r}: day: no month that it names has a day {days[0]}: it never runs")
        return cls(
            text,
            found.get("second", (0,)),
            found["minute"],
            found["hour"],
            days,
            months,
            found["weekday"],
            has_seconds="second" in found,
        )

    @property
    def restricts_both_days(self) -> bool:
        """Whether both day and weekday are restricted; other crons run then where either of them matches."""
        return len(self.days) < 31 and len(self.weekdays) < 7

    def matches(self, local: datetime) -> bool:
        """Return whether it matches the second of a wall-clock time."""
        return (
            local.second in self.seconds
            and local.minute in self.minutes
            and local.hour in self.hours
            and local.month in self.months
            and local.day in self.days
            and local.isoweekday() % SUNDAY in self.weekdays
        )

    def first_from(self, local: datetime) -> datetime | None:
        """Return the first match at or after a wall-clock time, to the second; `None` if there is none for 50 years."""
        local = local.replace(microsecond=0)
        for day in self._days(local.date()):
            at = self._first_time(local.time() if day == local.date() else time.min)
            if at is not None:
                return datetime.combine(day, at)
        return None

    def _days(self, first: date) -> Iterator[date]:
        """Yield the days that match, from `first` on."""
        for year in range(first.year, min(first.year + HORIZON_YEARS, date.max.year) + 1):
            for month in self.months:
                if (year, month) < (first.year, first.month):
                    continue
                length = monthrange(year, month)[1]
                least = first.day if (year, month) == (first.year, first.month) else 1
                for number in self.days[bisect_left(self.days, least) :]:
                    if number > length:
                        break
                    day = date(year, month, number)
                    if day.isoweekday() % SUNDAY in self.weekdays:
                        yield day

    def _first_time(self, least: time) -> time | None:
        """Return the first time of a day that matches, at or after `least`."""
        hour = _at_least(self.hours, least.hour)
        if hour is None:
            return None
        if hour > least.hour:
            return time(hour, self.minutes[0], self.seconds[0])
        minute = _at_least(self.minutes, least.minute)
        if minute == least.minute:
            second = _at_least(self.seconds, least.second)
            if second is not None:
                return time(hour, minute, second)
            minute = _at_least(self.minutes, least.minute + 1)
        if minute is not None:
            return time(hour, minute, self.seconds[0])
        following = _at_least(self.hours, least.hour + 1)
        return None if following is None else time(following, self.minutes[0], self.seconds[0])


def _at_least(values: tuple[int, ...], least: int) -> int | None:
    index = bisect_left(values, least)
    return values[index] if index < len(values) else None


def _longest(month: int) -> int:
    """Return the number of days that a month has at most."""
    leap_year = date(2000, month, 1)
    return ((leap_year + timedelta(days=31)).replace(day=1) - leap_year).days


def _wrong_count(text: str, count: int) -> str:
    known = ", ".join(MACROS)
    if count == 1 and text.strip().startswith("@"):
        return f"cron {text!r}: there is no such name; these are: {known}"
    return (
        f"cron {text!r}: five fields are needed (minute hour day month weekday), or six with the second in front, "
        f"not {count}"
    )


def _values(text: str, field: _Field, given: str) -> tuple[int, ...]:
    """Return the values that a field of an expression may have.

    Raises:
        ValueError: it cannot be read, or has a value that the field never has; the message names the field.
    """
    found: set[int] = set()
    try:
        for item in given.split(","):
            found |= _item(field, item)
        if not found:
            raise ValueError(f"{given!r} matches no value of {field.first} to {field.last}: it never runs")
    except ValueError as error:
        raise ValueError(f"cron {text!r}: {field.name}: {error}") from None
    return tuple(sorted(found))


def _item(field: _Field, item: str) -> set[int]:
    """Return the values of one item of a list.

    Raises:
        ValueError: says what is wrong with it.
    """
    base, slash, step_text = item.partition("/")
    step = 1
    if slash:
        if not _NUMBER.fullmatch(step_text) or int(step_text) == 0:
            raise ValueError(f"the step behind '/' must be a whole number of at least 1, not {step_text!r}")
        step = int(step_text)
    if base == "*":
        return {value for value in field.every if value % step == 0}
    first_text, dash, last_text = base.partition("-")
    first = _number(field, first_text)
    if dash:
        last = _number(field, last_text)
        if last == 0 and first > 0 and not last_text.isdigit():
            last = SUNDAY  # FRI-SUN
        if first > last:
            raise ValueError(f"the range {base!r} goes backwards")
    elif slash:
        last = max(field.every[-1], first)
    else:
        last = first
    return {value % SUNDAY if field.is_weekday else value for value in range(first, last + 1, step)}


def _number(field: _Field, text: str) -> int:
    """Return a value of a field.

    Raises:
        ValueError: it is none.
    """
    if text.lower() in field.names:
        return field.first + field.names.index(text.lower())
    if not _NUMBER.fullmatch(text):
        names = f" or a name such as {field.names[0].upper()}" if field.names else ""
        raise ValueError(f"{text!r} is no number of {field.first} to {field.last}{names}")
    if not field.first <= int(text) <= field.last:
        raise ValueError(f"{text} is not within {field.first} to {field.last}")
    return int(text)
