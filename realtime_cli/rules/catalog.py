"""Every rule there is, by its id. Spec: platform 8.2 to 8.5."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from realtime_cli.rules import families
from realtime_cli.rules.rule import Rule

__all__ = ["all_rules", "nearest", "rule_of"]

SAME = 3  # signs that an unknown id has in common with one that may be meant


@cache
def all_rules() -> dict[str, Rule]:
    """Return the rules of all modules in `families`, sorted by id.

    Raises:
        RuntimeError: two rules have the same id.
    """
    found: dict[str, Rule] = {}
    for module in pkgutil.iter_modules(families.__path__):
        loaded = importlib.import_module(f"{families.__name__}.{module.name}")
        for kind in vars(loaded).values():
            is_rule = isinstance(kind, type) and issubclass(kind, Rule) and kind is not Rule
            if is_rule and kind.__module__ == loaded.__name__ and not kind.__name__.startswith("_"):
                if kind.id in found:
                    raise RuntimeError(
                        f"{kind.__name__} and {type(found[kind.id]).__name__} are both {kind.id}"
                    )
                found[kind.id] = kind()
    return dict(sorted(found.items()))


def rule_of(rule_id: str) -> Rule | None:
    """Return the rule with an id, in whatever case it is written."""
    return all_rules().get(rule_id.upper())


def nearest(rule_id: str) -> str | None:
    """Return the known id that is nearest to an unknown one: the one with the most signs in the same places."""
    wanted = rule_id.upper()

    def same(known: str) -> int:
        return sum(one == other for one, other in zip(wanted, known, strict=False))

    best = max(all_rules(), key=same)
    return best if same(best) >= SAME else None
