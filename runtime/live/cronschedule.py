"""When an expression is due in a time zone. Spec: live-api 16.2.

Instants are whole seconds since the Unix epoch. Between two changes of a zone's offset its wall clock runs evenly, so
the next match is searched on that, piece by piece: what lies in a skipped hour is in no piece, what lies in a repeated
one is in two.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from runtime.live.cronexpression import CronExpression

__all__ = ["Schedule", "zone_of"]

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall-clock time, as everything here that is no instant
_DAY = 86_400
_HORIZON = 100 * 366 * _DAY


def zone_of(name: str | tzinfo | None) -> tzinfo | None:
    """Return the zone of an IANA name; `None` stays and is the zone of the process.

    Raises:
        ValueError: there is no such zone here.
    """
    if name is None or isinstance(name, tzinfo):
        return name
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, TypeError, OSError):
        raise ValueError(
            f"tz: there is no time zone {name!r} here; write an IANA name such as 'Europe/Berlin', and where the "
            "system has no zones (Windows) install the package tzdata"
        ) from None


class Schedule:
    """An expression in a zone; `None` is the zone of the process."""

    __slots__ = ("expression", "zone")

    def __init__(self, expression: CronExpression, zone: tzinfo | None = None) -> None:
        self.expression = expression
        self.zone = zone

    def matches(self, instant: int) -> bool:
        """Return whether it is due at `instant`."""
        return self.expression.matches(_EPOCH + timedelta(seconds=instant + self._offset(instant)))

    def next_after(self, instant: int) -> int | None:
        """Return the first due instant behind `instant`; `None` if none is near enough to be computed."""
        at, limit = instant + 1, instant + _HORIZON
        while at < limit:
            offset = self._offset(at)
            try:
                found = self.expression.first_from(_EPOCH + timedelta(seconds=at + offset))
            except OverflowError:
                return None
            if found is None:
                return None
            due = int((found - _EPOCH).total_seconds()) - offset
            change = self._change(at, due, offset)
            if change is None:
                return due
            at = change
        return None

    def _offset(self, instant: int) -> int:
        """Return how many seconds the wall clock is ahead of UTC at `instant`."""
        moment = datetime.fromtimestamp(instant, UTC).astimezone(self.zone)
        ahead = moment.utcoffset()
        return int(ahead.total_seconds()) if ahead is not None else 0

    def _change(self, start: int, end: int, offset: int) -> int | None:
        """Return the first instant in (start, end] at which the offset is another one than `offset`, which `start` has.

        Looked for day by day: no zone has changed its offset and taken that back within one.
        """
        while start < end:
            later = min(start + _DAY, end)
            if self._offset(later) != offset:
                while later - start > 1:
                    middle = (start + later) // 2
                    if self._offset(middle) == offset:
                        start = middle
                    else:
                        later = middle
                return later
            start = later
        return None
