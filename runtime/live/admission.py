"""Which classes of new work are refused under pressure. Spec: live-api 18.1."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runtime.core.pressure import REASONS, PressureSnapshot
from runtime.live.callables import is_async

__all__ = ["Admission"]

logger = logging.getLogger("realtime.live")

Rule = Sequence[str] | Callable[[PressureSnapshot], Any]


class Admission:
    """Named classes, each with the pressure reasons (or a predicate) under which it is shed.

    Raises:
        TypeError: no mapping of names to rules, or a rule of the wrong type; an asynchronous predicate is one.
        ValueError: an empty name, or a reason that does not exist.
    """

    __slots__ = ("_failed", "_rules")

    def __init__(self, classes: Mapping[str, Rule]) -> None:
        if not isinstance(classes, Mapping):
            raise TypeError(f"admission: a mapping of classes to rules is needed, not {classes!r}")
        for name, rule in classes.items():
            if not isinstance(name, str):
                raise TypeError(f"admission: the name of a class must be a string, not {name!r}")
            if not name:
                raise ValueError("admission: the name of a class must not be empty")
            if is_async(rule):
                raise TypeError(f"admission: class {name!r}: the function must be a plain one, not async")
            if callable(rule):
                continue
            if isinstance(rule, str) or not isinstance(rule, Sequence):
                raise TypeError(
                    f"admission: class {name!r} needs a list of reasons or a function, not {rule!r}"
                )
            unknown = [reason for reason in rule if reason not in REASONS]
            if unknown:
                raise ValueError(
                    f"admission: class {name!r}: unknown reason {unknown[0]!r}; known: {', '.join(REASONS)}"
                )
        self._rules = dict(classes)
        #: Classes whose predicate has failed, which is said once of each.
        self._failed: set[str] = set()

    def unknown(self, name: str) -> str | None:
        """Return what to say of a class that there is not, `None` for one that there is."""
        if name in self._rules:
            return None
        return f"unknown class of service {name!r}; known: {', '.join(self._rules) or 'none'}"

    def sheds(self, name: str, snapshot: PressureSnapshot) -> bool:
        """Return whether work of class `name` is refused now. A predicate that fails refuses nothing.

        Raises:
            ValueError: there is no such class; the message lists those there are.
        """
        rule = self._rules.get(name)
        if rule is None:
            raise ValueError(self.unknown(name))
        return self._asked(name, rule, snapshot) if callable(rule) else snapshot.reason in rule

    def _asked(self, name: str, rule: Callable[[PressureSnapshot], Any], snapshot: PressureSnapshot) -> bool:
        try:
            answer = rule(snapshot)
            if inspect.iscoroutine(answer):
                answer.close()
                raise TypeError("it must return True or False, not a coroutine")
            return bool(answer)
        except Exception:
            if name not in self._failed:
                self._failed.add(name)
                logger.exception("live.admission: the function of class %r failed; nothing is refused", name)
            return False
