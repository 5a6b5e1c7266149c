"""Every codemod there is, by its id, in the order in which they run. Spec: upgrade 3.1, 4.1."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache

from realtime_cli import codemods
from realtime_cli.codemods.codemod import Codemod

__all__ = ["all_codemods", "nearest", "run_order"]

_FIRST = ("UPG101", "UPG102", "UPG103", "UPG134")


@cache
def all_codemods() -> dict[str, Codemod]:
    """Return the codemods of all ``up*`` modules of this package, sorted by id.

    Raises:
        RuntimeError: two have the same id.
    """
    found: dict[str, Codemod] = {}
    for module in pkgutil.iter_modules(codemods.__path__):
        if not module.name.startswith(("upg", "upj")):
            continue
        loaded = importlib.import_module(f"{codemods.__name__}.{module.name}")
        for kind in vars(loaded).values():
            if isinstance(kind, type) and issubclass(kind, Codemod) and kind.__module__ == loaded.__name__:
                if kind.__name__.startswith("_"):
                    continue
                if kind.id in found:
                    raise RuntimeError(
                        f"{kind.__name__} and {type(found[kind.id]).__name__} are both {kind.id}"
                    )
                found[kind.id] = kind()
    return dict(sorted(found.items()))


def run_order(selected: frozenset[str] | None = None) -> list[Codemod]:
    """Return the codemods as they run: layout, settings, versions and hook parameters first, then by number."""
    known = all_codemods()
    order = [*(name for name in _FIRST if name in known), *(name for name in known if name not in _FIRST)]
    return [known[name] for name in order if selected is None or name in selected]


def nearest(name: str, known: list[str]) -> str | None:
    """Return the known id that is nearest to an unknown one."""
    close = difflib.get_close_matches(name.upper(), known, 1, 0.4)
    return close[0] if close else None
