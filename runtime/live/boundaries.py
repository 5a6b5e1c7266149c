"""When tumbling windows end: instants of civil time in a zone, or every so many seconds. Spec: live-api 11.6.

All times are seconds since the epoch. A boundary is the first instant of a new window. Nothing here looks at a clock.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, Protocol
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PERIODS", "Boundaries", "CivilBoundaries", "FixedBoundaries", "Period", "zone_of"]

Period = Literal["minute", "hour", "daily", "monthly"]
PERIODS: Final[tuple[Period, ...]] = ("minute", "hour", "daily", "monthly")

_LENGTHS: Final = {"minute": 60, "hour": 3600}
_DAY: Final = 86_400
# No two changes of a clock lie closer together than this.
_STEP: Final = 1800
# A day begins this close to the midnight of its date in UTC: zones are at most 16 hours away from it.
_REACH: Final = 16 * 3600
# The window of an instant began within this time before it: days that happen twice, and months, are the longest.
_LONGEST: Final = {"minute": 120, "hour": 7200, "daily": 3 * _DAY, "monthly": 34 * _DAY}


class Boundaries(Protocol):
    """The boundaries of one tumbling window."""

    def after(self, instant: float) -> float:
        """Return the first boundary that is later than `instant`."""

    def start_of(self, instant: float) -> float:
        """Return the last boundary that is not later than `instant`: when its window began."""


class FixedBoundaries:
    """`anchor + k * duration` for every whole `k`."""

    __slots__ = ("_anchor", "_duration")

    def __init__(self, duration: float, anchor: float = 0.0) -> None:
        self._duration = duration
        self._anchor = anchor

    def after(self, instant: float) -> float:
        """Return the first boundary that is later than `instant`."""
        return self._at(self._number(instant) + 1)

    def start_of(self, instant: float) -> float:
        """Return the last boundary that is not later than `instant`."""
        return self._at(self._number(instant))

    def _at(self, number: int) -> float:
        return self._anchor + number * self._duration

    def _number(self, instant: float) -> int:
        """Return the number of the last boundary up to `instant`; the division alone may be off by a rounding."""
        number = math.floor((instant - self._anchor) / self._duration)
        while self._at(number) > instant:
            number -= 1
        while self._at(number + 1) <= instant:
            number += 1
        return number


class CivilBoundaries:
    """Minutes, hours, days or months as the clocks of a zone show them.

    A minute or hour ends where the next one begins on the clock, and wherever the clock is changed: an hour that
    happens twice is two windows. A day begins at the first instant that has its date, and only once.
    """

    __slots__ = ("_period", "_zone")

    def __init__(self, period: Period, zone: ZoneInfo) -> None:
        self._period = period
        self._zone = zone

    def after(self, instant: float) -> float:
        """Return the first boundary that is later than `instant`."""
        length = _LENGTHS.get(self._period)
        whole = math.floor(instant)
        if length is not None:
            return float(self._clock_after(whole, length))
        day = self._date_at(whole)
        # Yesterday's date may come once more, and its day has begun already: so dates go on until one is later.
        candidates = self._days(day) if self._period == "daily" else self._months(day)
        return float(next(start for start in map(self._beginning, candidates) if start > instant))

    def start_of(self, instant: float) -> float:
        """Return the last boundary that is not later than `instant`."""
        found = self.after(instant - _LONGEST[self._period])
        while (following := self.after(found)) <= instant:
            found = following
        return found

    def _clock_after(self, instant: int, length: int) -> int:
        """Return the next instant at which the clock shows a whole minute or hour, or has been changed."""
        offset = self._offset(instant)
        for begin, end, new in self._stretches(instant, instant + 2 * length + _STEP):
            if new != offset:
                return begin
            full = begin + length - (begin + new) % length
            if full < end:
                return full
        raise AssertionError("every hour ends")  # pragma: no cover - a stretch is longer than an hour

    @staticmethod
    def _days(day: date) -> Iterator[date]:
        while True:
            yield day
            day += timedelta(days=1)

    @staticmethod
    def _months(day: date) -> Iterator[date]:
        day = day.replace(day=1)
        while True:
            yield day
            day = (day + timedelta(days=32)).replace(day=1)

    def _beginning(self, day: date) -> int:
        """Return the first instant at which the date is `day`, or a later one where `day` was left out."""
        midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        for begin, end, offset in self._stretches(midnight - _REACH, midnight + _REACH):
            reached = max(begin, midnight - offset)
            if reached < end:
                return reached
        raise AssertionError("every day begins")  # pragma: no cover - no zone is that far from UTC

    def _stretches(self, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield (begin, end, offset) of the stretches between two instants in which the clock is not changed."""
        offset = self._offset(begin)
        instant = begin
        while instant < end:
            upcoming = min(instant + _STEP, end)
            changed = self._offset(upcoming)
            if changed != offset:
                change = self._change(instant, upcoming, offset)
                yield begin, change, offset
                begin, offset, upcoming = change, self._offset(change), change
            instant = upcoming
        yield begin, end, offset

    def _change(self, before: int, after: int, offset: int) -> int:
        """Return the first instant in (before, after] at which the offset is another one."""
        while after - before > 1:
            middle = (before + after) // 2
            if self._offset(middle) == offset:
                before = middle
            else:
                after = middle
        return after

    def _offset(self, instant: int) -> int:
        """Return how many seconds the clocks of the zone are ahead of UTC."""
        offset = datetime.fromtimestamp(instant, self._zone).utcoffset()
        return int(offset.total_seconds()) if offset is not None else 0

    def _date_at(self, instant: int) -> date:
        return datetime.fromtimestamp(instant, self._zone).date()


def zone_of(name: object) -> ZoneInfo:
    """Return the zone of an IANA name.

    Raises:
        ValueError: there is none of that name.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"tz must be the IANA name of a zone, as 'Europe/Berlin', not {name!r}")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # a name nobody knows, one that is a path, one that is a folder
        raise ValueError(f"tz: there is no zone {name!r}; use an IANA name, as 'Europe/Berlin'") from None
