"""The settings of a project as the rules see them: what applies, where it was written, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.server.settings_file import SETTINGS_FILE
from runtime.server.settings_source import DEFAULT, ExaminedSettings, examine_settings

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.core.settings import Settings

__all__ = ["SettingsView"]


@dataclass(frozen=True)
class SettingsView:
    """What `realtime.toml` and the variables say for one environment.

    Attributes:
        env: the environment that was asked for.
        found: everything that is known of them.
        text: the content of the file, empty when there is none.
    """

    env: str
    found: ExaminedSettings
    text: str

    @classmethod
    def read(cls, root: Path, *, env: str, environ: Mapping[str, str]) -> SettingsView:
        """Read the settings that apply under `[server] env = env`."""
        found = examine_settings(root, flags={"server.env": env}, environ=environ, env_default=env)
        try:
            text = (root / SETTINGS_FILE).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            text = ""
        return cls(env, found, text)

    @property
    def settings(self) -> Settings:
        """The settings, without what cannot be used."""
        return self.found.settings

    def get(self, key: str) -> Any:
        """Return the effective value of `section.key`.

        Raises:
            KeyError: there is no such setting.
        """
        value: Any = self.settings
        for part in key.split("."):
            if isinstance(value, Mapping):
                value = value[part.upper()]
            elif hasattr(value, part):
                value = getattr(value, part)
            else:
                raise KeyError(key)
        return value

    def text_of(self, key: str) -> str:
        """Return the effective value as text."""
        return str(self.get(key))

    def given(self, key: str) -> bool:
        """Return whether somebody wrote the setting, be it in the file or in a variable."""
        return self.found.origins.get(key, DEFAULT) != DEFAULT

    def written(self, key: str) -> Mapping[str, object]:
        """Return what each source says for a key, as it stands there, by origin (`realtime.toml:3`, a variable)."""
        return self.found.texts.get(key, {})

    def place(self, key: str) -> tuple[str, int]:
        """Return the path and line where a setting was given, or of its section, or the file's first line."""
        origin = self.found.origins.get(key, DEFAULT)
        if origin != DEFAULT:
            return place_of(origin)
        if self.found.file is not None:
            return place_of(self.found.file.origin(*key.split(".")))
        return SETTINGS_FILE, 1


def place_of(origin: str) -> tuple[str, int]:
    """Return the path and line of an origin; a variable is a path of its own."""
    path, colon, line = origin.rpartition(":")
    if colon and line.isdigit():
        return path, int(line)
    return origin, 1
