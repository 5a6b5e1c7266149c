"""`[cron]`: whether and by which wall clock the jobs of live modules run. Spec: platform 4, live-api 16."""

from __future__ import annotations

import json
from typing import Annotated
from zoneinfo import ZoneInfo

from runtime.core import settingkinds as kinds
from runtime.core.settingsection import Key, Section

__all__ = ["CronSettings"]


class _Unfit(ValueError):
    """The value is not of this kind."""


def _time_zone() -> kinds.Kind:
    """Return the kind of the IANA name of a time zone that this machine knows, or none."""

    def parse(value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            raise _Unfit
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise _Unfit from None
        return value

    expected = 'a time zone that this machine knows, such as "Europe/Berlin"'
    return kinds.Kind("zone", expected, parse, parse, json.dumps)


def _leader() -> kinds.Kind:
    def parse(value: object) -> str | bool:
        if value is False:
            return False
        if isinstance(value, str) and value in {"auto", "redis"}:
            return value
        raise _Unfit

    def parse_text(text: str) -> str | bool:
        return parse(False if text.lower() in {"0", "false", "no", "off"} else text)

    return kinds.Kind("choice", '"auto", "redis" or false', parse, parse_text, bounds="auto, redis, false")


class CronSettings(Section, frozen=True, kw_only=True):
    """`[cron]`: the jobs of this worker."""

    enabled: Annotated[bool, Key(kinds.boolean(), "Run the jobs; without it only tests do.")] = True
    leader: Annotated[
        str | bool,
        Key(_leader(), "Who runs the jobs when there are several workers; false is all of them."),
    ] = "auto"
    tz: Annotated[
        str | None,
        Key(
            _time_zone(),
            "Wall clock of jobs that name no time zone of their own.",
            default_text="zone of the process",
        ),
    ] = None
