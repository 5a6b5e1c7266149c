"""Bring the settings of a project together: `realtime.toml`, then the environment, then the command line.

The last one that names a key wins; every value remembers where it came from. Spec: platform 4.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from runtime.core import capacity
from runtime.core.sensitive import is_sensitive_name, redact_text
from runtime.core.settings import SECTIONS, Key, Settings, SettingsError, capacity_key, keys_of
from runtime.server.settings_file import SETTINGS_FILE, SettingsFile, read_settings_file

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LoadedSettings", "load_settings"]

ENVIRONMENT_PREFIX: Final = "REALTIME_"
COMMAND_LINE: Final = "command line"
DEFAULT: Final = "default"
MAX_SHOWN_VALUE: Final = 80

_ALIASES: Final = {"REALTIME_ENV": ("server", "env")}
# [capacity] MAX_ENVELOPE_DEPTH is another spelling. Spec: platform 4.
_OTHER_SPELLINGS: Final = {("capacity", "max_envelope_depth"): ("security", "max_envelope_depth")}
_INDIRECT = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)


@dataclass(frozen=True)
class LoadedSettings:
    """Settings and, by `section.key`, where each came from.

    An origin is `realtime.toml:12`, the name of a variable, `command line`, or `default`.
    """

    settings: Settings
    origins: Mapping[str, str]


@dataclass(frozen=True)
class _Entry:
    """One value for one key, as somebody wrote it."""

    section: str
    name: str
    key: Key
    raw: object
    origin: str
    is_text: bool  # from the environment or an argument: read with `parse_text`

    @property
    def variable(self) -> str | None:
        """The environment variable that an `env:NAME` value points to."""
        match = _INDIRECT.fullmatch(self.raw) if isinstance(self.raw, str) else None
        return match[1] if match else None

    def parse(self) -> Any:
        return self._convert(self.raw, self.is_text, _shown(self.name, self.raw))

    def resolve(self, environ: Mapping[str, str]) -> Any:
        """Return the value for code, read from its variable if it points to one."""
        variable = self.variable
        if variable is None:
            return self.parse()
        text = environ.get(variable, "").strip()
        if not text:
            message = f'[{self.section}] {self.name} = "env:{variable}": the environment variable {variable}'
            raise self._error(f"{message} is empty or not set")
        return self._convert(text, is_text=True, shown="***")

    def _convert(self, value: object, is_text: bool, shown: str) -> Any:
        try:
            if is_text and isinstance(value, str):
                return self.key.kind.parse_text(value.strip())
            return self.key.kind.parse(value)
        except ValueError:
            message = f"[{self.section}] {self.name} = {shown}: expected {self.key.kind.expected}"
            raise self._error(message) from None

    def _error(self, message: str) -> SettingsError:
        key = f"{self.section}.{self.name}"
        return SettingsError(f"{message} ({self.origin})", key=key, origin=self.origin)


def load_settings(
    project: Path,
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    env_default: str = "production",
) -> LoadedSettings:
    """Return the settings of the project in the folder `project`; a missing or empty `realtime.toml` is fine.

    `flags` are by `section.key`, `None` is "not given". `environ` defaults to the process's own.
    `env_default` is `[server] env` when nobody sets it; the tables of `[env.<name>]` apply by the result.

    Raises:
        SettingsError: there is no such folder; the file is broken; a section or key is unknown; a value does
            not fit; a variable that a value points to is empty. The text says where.
    """
    if not project.is_dir():
        raise SettingsError(f"there is no project folder {project}; make a project with `realtime new NAME`")
    environ = os.environ if environ is None else environ
    file = read_settings_file(project / SETTINGS_FILE)
    outside = [*_from_environment(environ), *_from_flags(flags or {})]
    base = list(_from_tables(file, {name: file.data[name] for name in file.data if name != "env"}))
    by_env = _env_tables(file)
    # Settings of every source are checked, even where a later one wins.
    for entry in (*base, *(entry for entries in by_env.values() for entry in entries), *outside):
        if entry.variable is None:
            entry.parse()
    env = env_default
    for entry in (*base, *outside):
        if (entry.section, entry.name) == ("server", "env"):
            env = entry.resolve(environ)
    effective = {(entry.section, entry.name): entry for entry in (*base, *by_env.get(env, ()), *outside)}
    values: dict[str, dict[str, Any]] = {"server": {"env": env}}
    origins = dict.fromkeys(_all_keys(), DEFAULT)
    for (section, name), entry in effective.items():
        values.setdefault(section, {})[name] = entry.resolve(environ)
        origins[f"{section}.{name}"] = entry.origin
    return LoadedSettings(_build(values, origins), MappingProxyType(origins))


def _all_keys() -> Iterator[str]:
    for section, struct in SECTIONS.items():
        yield from (f"{section}.{name}" for name in keys_of(struct))
    yield from (f"capacity.{name}" for name in capacity.DEFAULTS)


def _build(values: Mapping[str, Mapping[str, Any]], origins: Mapping[str, str]) -> Settings:
    fields = {name: dict(values.get(name, {})) for name in SECTIONS}
    sections: dict[str, Any] = {}
    for name in reversed(list(SECTIONS)):  # what lies in a section is made before it
        made = SECTIONS[name](**fields[name])
        above, _, own = name.rpartition(".")
        (fields[above] if above else sections)[own] = made
    try:
        return Settings(capacity=values.get("capacity", {}), **sections)
    except SettingsError as error:
        origin = origins.get(error.key or "", DEFAULT)
        raise SettingsError(f"{error} ({origin})", key=error.key, origin=origin) from None


def _env_tables(file: SettingsFile) -> dict[str, list[_Entry]]:
    tables = file.data.get("env", {})
    if not isinstance(tables, Mapping):
        raise _misplaced("env", file.origin("env"))
    found: dict[str, list[_Entry]] = {}
    for env, sections in tables.items():
        if not isinstance(sections, Mapping):
            raise _misplaced(f"env.{env}", file.origin("env", env))
        found[env] = list(_from_tables(file, sections, ("env", env)))
        for entry in found[env]:
            if (entry.section, entry.name) == ("server", "env"):
                message = (
                    f"[env.{env}.server] env: the tables of an environment cannot change which one it is"
                )
                raise SettingsError(f"{message} ({entry.origin})", key="server.env", origin=entry.origin)
    return found


def _misplaced(name: str, origin: str) -> SettingsError:
    message = f"{name!r} must be a table with sections, such as [env.production.server] ({origin})"
    return SettingsError(message, key=name, origin=origin)


def _from_tables(
    file: SettingsFile, sections: Mapping[str, Any], above: tuple[str, ...] = ()
) -> Iterator[_Entry]:
    for section, table in sections.items():
        origin = file.origin(*above, section)
        if not isinstance(table, Mapping):
            owners = [name for name, struct in SECTIONS.items() if section in keys_of(struct)]
            if not owners:
                _check_section(section, origin)
            where = f"below the line [{'.'.join((*above, owners[0]))}]" if owners else "in a table"
            message = f"{section!r} stands outside of its section; write it {where} ({origin})"
            raise SettingsError(message, key=section, origin=origin)
        _check_section(section, origin)
        yield from _from_table(file, section, table, above)


def _from_table(
    file: SettingsFile, section: str, table: Mapping[str, Any], above: tuple[str, ...]
) -> Iterator[_Entry]:
    for name, raw in table.items():
        origin = file.origin(*above, *section.split("."), name)
        inner = f"{section}.{name}"
        if inner not in SECTIONS:
            yield _entry(section, name, raw, origin, is_text=False)
        elif isinstance(raw, Mapping):
            yield from _from_table(file, inner, raw, above)
        else:
            message = f"[{section}] {name} is a table: write its keys below the line [{inner}] ({origin})"
            raise SettingsError(message, key=inner, origin=origin)


def _from_environment(environ: Mapping[str, str]) -> Iterator[_Entry]:
    for variable, (section, name) in _ALIASES.items():
        if environ.get(variable):
            yield _entry(section, name, environ[variable], variable, is_text=True)
    for variable in sorted(environ):
        path, separator, name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().rpartition("__")
        if not variable.startswith(ENVIRONMENT_PREFIX) or not separator:
            continue
        section = path.replace("__", ".")
        _check_section(section, variable)
        yield _entry(section, name, environ[variable], variable, is_text=True)


def _from_flags(flags: Mapping[str, Any]) -> Iterator[_Entry]:
    for path, raw in flags.items():
        if raw is None:
            continue
        section, _, name = path.rpartition(".")
        _check_section(section, COMMAND_LINE)
        yield _entry(section, name, raw, COMMAND_LINE, is_text=True)


def _check_section(section: str, origin: str) -> None:
    known = [*SECTIONS, "capacity"]
    if section in known:
        return
    hint = _nearest(section, known) or f"known sections: {', '.join(known)}"
    raise SettingsError(f"unknown section [{section}]; {hint} ({origin})", key=section, origin=origin)


def _entry(section: str, name: str, raw: object, origin: str, *, is_text: bool) -> _Entry:
    section, name = _OTHER_SPELLINGS.get((section, name.lower()), (section, name))
    if section == "capacity":
        key = capacity_key(name)
        name = name.upper()
    else:
        key = keys_of(SECTIONS[section]).get(name)
    if key is None:
        message = f"unknown key {name!r} in [{section}]{_key_hint(section, name)} ({origin})"
        raise SettingsError(message, key=f"{section}.{name}", origin=origin)
    return _Entry(section, name, key, raw, origin, is_text)


def _key_hint(section: str, name: str) -> str:
    known = list(capacity.DEFAULTS) if section == "capacity" else list(keys_of(SECTIONS[section]))
    known += [inner.rpartition(".")[2] for inner in SECTIONS if inner.rpartition(".")[0] == section]
    hint = _nearest(name, known)
    if hint:
        return f"; {hint}"
    homes = [other for other, struct in SECTIONS.items() if name.lower() in keys_of(struct)]
    if capacity_key(name) is not None:
        homes.append("capacity")
    return f"; it belongs to [{homes[0]}]" if homes else f"; known keys: {', '.join(known)}"


def _nearest(name: str, known: list[str]) -> str | None:
    spelled = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), spelled, 1, 0.7)
    return f"did you mean {spelled[close[0]]!r}?" if close else None


def _shown(name: str, raw: object) -> str:
    if is_sensitive_name(name):
        return "***"
    try:
        text = json.dumps(raw, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(raw) if not isinstance(raw, msgspec.Struct) else type(raw).__name__
    text = redact_text(text)
    return text if len(text) <= MAX_SHOWN_VALUE else f"{text[: MAX_SHOWN_VALUE - 1]}…"
