"""Live functions that no loader imported, described as the loader describes a file. Spec: live-api 20."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from runtime.live.registry import build_module

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.live.registry import LiveModule

__all__ = ["as_module", "live_module"]


def as_module(name: str, exports: ModuleType | Mapping[str, Any]) -> ModuleType:
    """Return `exports` as a module of that name."""
    if isinstance(exports, ModuleType):
        return exports
    module = ModuleType(name)
    vars(module).update(exports)
    return module


def live_module(name: str, exports: ModuleType | Mapping[str, Any]) -> LiveModule:
    """Describe live functions as the file `live/<name>.py` would be; they may come from several files.

    Raises:
        ValueError: there are none.
    """
    if isinstance(exports, ModuleType):
        return _described(exports, name, Path(exports.__file__ or f"{name}.py"))
    guard = {key: value for key, value in exports.items() if key == "_guard"}
    homes: dict[tuple[str, str], dict[str, Any]] = {}
    for key, value in exports.items():
        if key != "_guard":
            homes.setdefault(_home(value), {})[key] = value
    parts = []
    for (module_name, file), members in homes.items():
        part = ModuleType(module_name)
        vars(part).update({**guard, **members})
        parts.append(_described(part, name, Path(file)))
    if not parts:
        raise ValueError(f"{name}: there is nothing to register")
    return dataclasses.replace(parts[0], **_joined(parts))


def _joined(parts: list[LiveModule]) -> dict[str, Any]:
    """Return every field that lists declarations, over all parts."""
    names = [field.name for field in dataclasses.fields(parts[0])]
    return {
        name: tuple(entry for part in parts for entry in getattr(part, name))
        for name in names
        if isinstance(getattr(parts[0], name), tuple)
    }


def _described(module: ModuleType, name: str, file: Path) -> LiveModule:
    return build_module(module, name, file, file.parent)


def _home(value: Any) -> tuple[str, str]:
    """Return the module and the file in which a live declaration was written."""
    file = getattr(value, "file", None)
    if not isinstance(file, str):
        try:
            file = inspect.getsourcefile(inspect.unwrap(value)) or ""
        except TypeError:
            file = ""
    return getattr(value, "__module__", "") or "", file
