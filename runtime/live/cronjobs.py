"""What `@live.cron` records, and the jobs that a module has. Spec: live-api 16 and 16.1."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.live.cronexpression import CronExpression
from runtime.live.cronoptions import CronOptions
from runtime.live.cronschedule import zone_of
from runtime.live.keywords import check_keywords
from runtime.live.marks import Mark, ensure_mark
from runtime.wire import names

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["CronJob", "cron", "job_of"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, eq=False)
class CronJob:
    """A scheduled function of a live module. `call` takes the ctx, whether or not the function wants it."""

    path: str
    call: Callable[[Any], Any]
    options: CronOptions
    thread: bool
    file: str
    line: int
    doc: str

    @property
    def warnings(self) -> tuple[str, ...]:
        """What dev says about its schedule."""
        if not self.options.expression.restricts_both_days:
            return ()
        return (
            f"{self.options.expression.text!r} restricts both day and weekday, and runs where both match; "
            "other crons run where either of them does: make two jobs for that",
        )


@check_keywords("live.cron")
def cron(
    schedule: str, topic: str | None = None, *, tz: str | tzinfo | None = None, per_worker: bool = False
) -> Callable[[F], F]:
    """Run a function `()` or `(ctx)` whenever the wall clock matches `schedule`; clients cannot call it.

    What it returns is published on `topic` as `set`, unless it is `None`. A run that is due while the previous one goes
    on is left out.

    Args:
        schedule: `minute hour day month weekday`, with `second` in front of them, or `@hourly`, `@daily`, `@weekly`,
            `@monthly`, `@yearly`. All fields must match, day and weekday too.
        topic: where the result goes; without one nothing is published by itself.
        tz: zone of the wall clock, as `"Europe/Berlin"`; `[cron] tz` without it, else the zone of the process.
        per_worker: run in every worker, also where `configure_cron(leader=...)` says that another one leads.

    Raises:
        ValueError: an expression, topic or zone that cannot be; the message names the field. TypeError: no function.
    """
    if topic is not None:
        problem = names.name_problem(topic) if isinstance(topic, str) else f"must be a string, not {topic!r}"
        if problem is None and names.is_system_topic(topic):
            problem = f"{topic!r} begins with the reserved prefix '__'"
        if problem is not None:
            raise ValueError(f"topic: {problem}")
    if not isinstance(per_worker, bool):
        raise ValueError(f"per_worker: must be a bool, not {per_worker!r}")
    options = CronOptions(CronExpression.parse(schedule), topic, zone_of(tz), per_worker)

    def decorate(function: F) -> F:
        mark = ensure_mark(function, "live.cron")
        if mark.kind != "rpc" or mark.cron is not None:
            what = "has a schedule already" if mark.cron is not None else f"is a {mark.kind}"
            raise TypeError(
                f"live.cron: {_name(function)} {what}; make a function of its own for this schedule"
            )
        if _parameters(function) is None:
            raise TypeError(f"live.cron: {_name(function)} must take ctx, or nothing: nobody gives it more")
        mark.cron = options
        return function

    return decorate


def job_of(function: Callable[..., Any], mark: Mark, path: str, file: str, line: int) -> CronJob:
    """Return the job that a marked function of a module is.

    Raises:
        TypeError: it is something else as well: `live.stream` stands over its `live.cron`.
    """
    options = mark.cron
    if options is None or mark.kind != "rpc":
        raise TypeError(f"a scheduled function cannot be a {mark.kind} as well; make two of it")
    call = function if _parameters(function) else lambda ctx: function()
    return CronJob(path, call, options, mark.thread, file, line, inspect.getdoc(function) or "")


def _parameters(function: Callable[..., Any]) -> int | None:
    """Return how many arguments to call `function` with, 0 or 1; `None` if it wants more."""
    parameters = inspect.signature(function).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in positional if p.default is p.empty]
    if len(needed) > 1 or any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        return None
    return 1 if positional or any(p.kind is p.VAR_POSITIONAL for p in parameters) else 0


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", repr(function))
