"""Which classes of new work are refused under pressure. Spec: live-api 18.1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runtime.core.pressure import REASONS, PressureSnapshot

__all__ = ["Admission"]

Rule = Sequence[str] | Callable[[PressureSnapshot], Any]


class Admission:
    """Named classes, each with the pressure reasons (or a predicate) under which it is shed."""

    __slots__ = ("_rules",)

    def __init__(self, classes: Mapping[str, Rule]) -> None:
        for name, rule in classes.items():
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

    def sheds(self, name: str, snapshot: PressureSnapshot) -> bool:
        """Return whether work of class `name` is refused now.

        Raises:
            ValueError: there is no such class; the message lists those there are.
        """
        rule = self._rules.get(name)
        if rule is None:
            raise ValueError(f"unknown class of service {name!r}; known: {', '.join(self._rules) or 'none'}")
        return bool(rule(snapshot)) if callable(rule) else snapshot.reason in rule
