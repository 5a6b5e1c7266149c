"""`live.keep`: module-level values that survive a reload. Spec: live-api 21.1."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.core import capacity
from runtime.core.errors import CapacityExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KeepStore"]

T = TypeVar("T")


@dataclass(slots=True)
class _Kept:
    value: Any
    recipe: Any


class KeepStore:
    """Values by (module, name), each with the recipe it was made by; a new recipe makes a new value.

    Bounded by `MAX_LIVE_KEPT`; beyond it `CapacityExceeded` is raised at the declaration.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], _Kept] = {}

    def get(self, module: str, name: str, factory: Callable[..., T], args: tuple[Any, ...]) -> T:
        """Return the kept value, or make it when it is missing or `factory` or `args` changed."""
        recipe = (_fingerprint(factory), args)
        kept = self._kept.get((module, name))
        if kept is None and len(self._kept) >= capacity.get("MAX_LIVE_KEPT"):
            capacity.record("MAX_LIVE_KEPT", "reject")
            raise CapacityExceeded(f"live.keep: more than MAX_LIVE_KEPT values; is {name!r} made in a loop?")
        if kept is None or kept.recipe != recipe:
            kept = self._kept[module, name] = _Kept(factory(*args), recipe)
        value: T = kept.value
        return value


def _fingerprint(factory: Callable[..., Any]) -> Any:
    """Return something that is equal for two executions of the same source of `factory`, and else differs."""
    if isinstance(factory, types.FunctionType):
        keywords = sorted((factory.__kwdefaults__ or {}).items(), key=lambda item: item[0])
        return ("function", _code_key(factory.__code__), factory.__defaults__, keywords, _cells(factory))
    name = (getattr(factory, "__module__", ""), getattr(factory, "__qualname__", repr(factory)))
    if isinstance(factory, type):
        # A kept instance of a class whose code was edited would go on with the old methods.
        methods = [v for v in vars(factory).values() if isinstance(v, types.FunctionType)]
        return ("class", *name, [_fingerprint(method) for method in methods])
    return ("object", *name)


def _code_key(code: types.CodeType) -> Any:
    constants = tuple(_code_key(c) if isinstance(c, types.CodeType) else (type(c), c) for c in code.co_consts)
    return (code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars)


def _cells(function: types.FunctionType) -> tuple[str, ...]:
    return tuple(repr(cell.cell_contents) for cell in function.__closure__ or ())
