"""`live.keep`: module-level values that survive a reload. Spec: live-api 21.1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.core import capacity
from runtime.core.errors import CapacityExceeded
from runtime.live.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KeepStore"]

T = TypeVar("T")


@dataclass(slots=True)
class _Kept:
    value: Any
    recipe: Recipe


class KeepStore:
    """Values by (module, name), each with the recipe it was made by; a new recipe makes a new value.

    Bounded by `MAX_LIVE_KEPT`; beyond it `CapacityExceeded` is raised at the declaration.
    """

    __slots__ = ("_kept", "_renewed")

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._renewed: dict[tuple[str, str], None] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, module: str, name: str, factory: Callable[..., T], args: tuple[Any, ...]) -> T:
        """Return the kept value, or make it when it is missing or `factory` or `args` changed."""
        recipe = Recipe(factory, args)
        kept = self._kept.get((module, name))
        if kept is None and len(self._kept) >= capacity.get("MAX_LIVE_KEPT"):
            capacity.record("MAX_LIVE_KEPT", "reject")
            raise CapacityExceeded(f"live.keep: more than MAX_LIVE_KEPT values; is {name!r} made in a loop?")
        if kept is None or not kept.recipe.same_as(recipe):
            if kept is not None:
                self._renewed[module, name] = None
            kept = self._kept[module, name] = _Kept(factory(*args), recipe)
        value: T = kept.value
        return value

    def take_renewed(self) -> list[tuple[str, str]]:
        """Return (module, name) of what was made anew since the last time, because its recipe changed."""
        renewed, self._renewed = list(self._renewed), {}
        return renewed

    def copy(self) -> KeepStore:
        """Return a store with the same values, for `restore` and `take_back`."""
        made = KeepStore()
        made._kept.update(self._kept)
        return made

    def restore(self, before: KeepStore) -> None:
        """Have the values of `before` again, and no others."""
        self._kept = dict(before._kept)
        self._renewed = {}

    def take_back(self, module: str, before: KeepStore) -> None:
        """Have the values of one module as in `before`: its old code goes on with them."""
        for key in [key for key in self._kept if key[0] == module]:
            del self._kept[key]
            self._renewed.pop(key, None)
        self._kept.update({key: kept for key, kept in before._kept.items() if key[0] == module})
