"""Who runs the jobs when there are several workers: what a leader may be, and how it is asked. Spec: live-api 16.5."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LeaderGate", "check_leader"]

logger = logging.getLogger("realtime.cron")


def check_leader(leader: Any) -> Callable[[], object] | None:
    """Return the function that says whether this worker leads: the object's `is_leader`, or `leader` itself.

    Raises:
        TypeError: it is neither such an object nor a plain function; `None` is no leader.
    """
    if leader is None:
        return None
    asked = getattr(leader, "is_leader", None)
    function: Callable[[], object] = asked if callable(asked) else leader
    if not callable(function):
        raise TypeError(
            f"leader: must be a function, or an object with is_leader(), as Leader is; not {leader!r}"
        )
    if inspect.iscoroutinefunction(function):
        raise TypeError("leader: must be a plain function, not async: it is asked at each tick and must know")
    return function


class LeaderGate:
    """Asks a leader and fails closed: whoever cannot say that this worker leads does not lead."""

    __slots__ = ("_is_failing",)

    def __init__(self) -> None:
        self._is_failing = False

    def ask(self, function: Callable[[], object]) -> str | None:
        """Return `None` if this worker leads, else why nothing runs: `not-leader` or `leader-error`.

        The first of several failures in a row is logged.
        """
        try:
            answer = function()
            if inspect.isawaitable(answer):
                if inspect.iscoroutine(answer):
                    answer.close()
                raise TypeError("the leader function must be plain, but returned something to await")
            leads = bool(answer)
        except (Exception, SystemExit):
            if not self._is_failing:
                logger.exception("the leader could not be asked; no job runs in this worker until it can")
            self._is_failing = True
            return "leader-error"
        self._is_failing = False
        return None if leads else "not-leader"
