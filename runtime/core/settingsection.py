"""What every section of the settings is made of: a struct that checks itself, and what is known of each key."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, get_args, get_type_hints

import msgspec

from runtime.core.errors import RealtimeError
from runtime.core.settingkinds import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Key", "Problem", "Section", "SettingsError", "keys_of"]


#: What is wrong with a setting: the file is no TOML, there is no such key, its value does not fit, the variable that it
#: points to is empty, or it does not go with another one.
Problem = Literal["syntax", "unknown", "value", "unset", "conflict"]


class SettingsError(RealtimeError, ValueError):
    """A setting cannot be used. `key` is `section.name`, `origin` where the value stood, if known.

    `nearest` is the known key or section that is meant, of an unknown one.
    """

    def __init__(
        self,
        message: str,
        *,
        key: str | None = None,
        origin: str | None = None,
        problem: Problem = "conflict",
        nearest: str | None = None,
    ) -> None:
        super().__init__(message)
        self.key = key
        self.origin = origin
        self.problem: Problem = problem
        self.nearest = nearest


@dataclass(frozen=True)
class Key:
    """What is known of one setting besides its default: the kind of value and one sentence for people.

    A `secret` is shown as `***` wherever settings are shown.
    """

    kind: Kind
    doc: str
    default_text: str | None = None
    secret: bool = False


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the sections: converts and checks every field when it is made."""

    def __post_init__(self) -> None:
        for name, key in keys_of(type(self)).items():
            value = getattr(self, name)
            try:
                parsed = key.kind.parse(value)
            except ValueError:
                shown = "***" if key.secret else repr(value)
                message = f"{name}: expected {key.kind.expected}, not {shown}"
                raise SettingsError(message, key=name) from None
            msgspec.structs.force_setattr(self, name, parsed)

    def __repr__(self) -> str:
        keys = keys_of(type(self))
        shown = (
            f"{name}=***" if value is not None and name in keys and keys[name].secret else f"{name}={value!r}"
            for name, value in msgspec.structs.asdict(self).items()
        )
        return f"{type(self).__name__}({', '.join(shown)})"


@functools.cache
def keys_of(section: type[msgspec.Struct]) -> Mapping[str, Key]:
    """Return the keys of a section by name, in the order in which they are declared."""
    keys: dict[str, Key] = {}
    for name, hint in get_type_hints(section, include_extras=True).items():
        for note in get_args(hint)[1:]:
            if isinstance(note, Key):
                keys[name] = note
    return MappingProxyType(keys)
