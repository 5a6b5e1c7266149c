"""The settings of a project as rows: name, value as it would stand in `realtime.toml`, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from runtime.core import capacity
from runtime.core.capacityprofiles import REFERENCE
from runtime.core.settings import PROFILE, SECTIONS, keys_of
from runtime.server.settings_source import DEFAULT

if TYPE_CHECKING:
    from runtime.server.settings_source import ExaminedSettings

__all__ = ["SettingRow", "rows_of"]

MASK = "***"


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting.

    Attributes:
        section, key: where it stands.
        value: as plain data; a secret is `***`.
        text: as it is written in `realtime.toml`.
        origin: `realtime.toml:12`, a variable, `command line` or `default`.
    """

    section: str
    key: str
    value: Any
    text: str
    origin: str

    @property
    def name(self) -> str:
        """`section.key`."""
        return f"{self.section}.{self.key}"


def rows_of(found: ExaminedSettings) -> Iterator[SettingRow]:
    """Yield a row for each setting, section by section, then the bounds of `[capacity]` that somebody wrote."""
    for section, struct in SECTIONS.items():
        values: Any = found.settings
        for part in section.split("."):
            values = getattr(values, part)
        for name, key in keys_of(struct).items():
            value = getattr(values, name)
            origin = found.origins[f"{section}.{name}"]
            if key.secret and value is not None:
                yield SettingRow(section, name, MASK, f'"{MASK}"', origin)
            else:
                yield SettingRow(section, name, _plain(value), _text(key.kind.to_toml, value), origin)
    profile, origin = found.settings.profile, found.origins[f"capacity.{PROFILE}"]
    if profile != REFERENCE or origin != DEFAULT:
        yield SettingRow("capacity", PROFILE, profile, f'"{profile}"', origin)
    for name in capacity.DEFAULTS:
        origin = found.origins[f"capacity.{name}"]
        if name in found.settings.capacity:
            value = found.settings.capacity[name]
            yield SettingRow("capacity", name, value, str(value), origin)


def _text(to_toml: Any, value: Any) -> str:
    text = str(to_toml(value))
    return "none" if text == "null" else text


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return msgspec.to_builtins(value)
