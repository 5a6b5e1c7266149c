"""Bring the settings of a project together: `realtime.toml`, then the environment, then the command line.

The last one that names a key wins; every value remembers where it came from. Spec: platform 4.
"""

from __future__ import annotations

import difflib
import functools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from runtime.core import capacity
from runtime.core.capacityprofiles import PROFILES
from runtime.core.sensitive import redact_text
from runtime.core.settings import (
    PROFILE,
    SECTIONS,
    Key,
    Settings,
    SettingsError,
    bound_name,
    capacity_key,
    keys_of,
)
from runtime.server.settings_file import SETTINGS_FILE, SettingsFile, read_settings_file

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.core.settingsection import Problem

__all__ = ["ExaminedSettings", "LoadedSettings", "examine_settings", "load_settings"]

ENVIRONMENT_PREFIX: Final = "REALTIME_"
COMMAND_LINE: Final = "command line"
DEFAULT: Final = "default"
MAX_SHOWN_VALUE: Final = 80

_ALIASES: Final = {"REALTIME_ENV": ("server", "env")}
# [capacity] MAX_ENVELOPE_DEPTH is another spelling. Spec: platform 4.
_OTHER_SPELLINGS: Final = {("capacity", "max_envelope_depth"): ("security", "max_envelope_depth")}
_NOTHING: Final = object()
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
        shown = "***" if self.key.secret else _shown(self.raw)
        return self._convert(self.raw, self.is_text, shown)

    def resolve(self, environ: Mapping[str, str]) -> Any:
        """Return the value for code, read from its variable if it points to one."""
        variable = self.variable
        if variable is None:
            return self.parse()
        text = environ.get(variable, "").strip()
        if not text:
            message = f'[{self.section}] {self.name} = "env:{variable}": the environment variable {variable}'
            raise self._error(f"{message} is empty or not set", "unset")
        return self._convert(text, is_text=True, shown="***")

    def _convert(self, value: object, is_text: bool, shown: str) -> Any:
        try:
            if is_text and isinstance(value, str):
                return self.key.kind.parse_text(value.strip())
            return self.key.kind.parse(value)
        except ValueError:
            message = f"[{self.section}] {self.name} = {shown}: expected {self.key.kind.expected}"
            raise self._error(message, "value") from None

    def _error(self, message: str, problem: Problem) -> SettingsError:
        key = f"{self.section}.{self.name}"
        return SettingsError(f"{message} ({self.origin})", key=key, origin=self.origin, problem=problem)


@dataclass(frozen=True)
class ExaminedSettings:
    """Everything that is known of the settings of a project, right or wrong.

    `settings` leaves out what cannot be used. `problems` are in the order of the file, then the environment, then
    the command line. `file` is None when it is no TOML. `texts` holds, by `section.key` and origin, what each source
    gave, as it stands there.
    """

    settings: Settings
    origins: Mapping[str, str]
    problems: tuple[SettingsError, ...]
    file: SettingsFile | None
    texts: Mapping[str, Mapping[str, object]]


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
    found = examine_settings(project, flags=flags, environ=environ, env_default=env_default)
    if found.problems:
        raise found.problems[0]
    return LoadedSettings(found.settings, found.origins)


def examine_settings(
    project: Path,
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    env_default: str = "production",
) -> ExaminedSettings:
    """Return the settings of a project with everything that is wrong with them; arguments as of `load_settings`.

    Raises:
        SettingsError: there is no such folder.
    """
    if not project.is_dir():
        raise SettingsError(f"there is no project folder {project}; make a project with `realtime new NAME`")
    environ = os.environ if environ is None else environ
    problems: list[SettingsError] = []
    file: SettingsFile | None = None
    try:
        file = read_settings_file(project / SETTINGS_FILE)
    except SettingsError as problem:
        problems.append(problem)
    known = file or SettingsFile()
    tables = {name: known.data[name] for name in known.data if name != "env"}
    base = list(_usable(_from_tables(known, tables), problems))
    by_env = _env_tables(known, problems)
    outside = list(_usable(_from_environment(environ), problems))
    outside += _usable(_from_flags(flags or {}), problems)
    # Settings of every source are checked, even where a later one wins.
    for entry in (*base, *(entry for entries in by_env.values() for entry in entries), *outside):
        if entry.variable is None:
            _try(entry.parse, problems)
    env = env_default
    for entry in (*base, *outside):
        if (entry.section, entry.name) == ("server", "env"):
            env = _try(functools.partial(entry.resolve, environ), [], env)
    effective = {(entry.section, entry.name): entry for entry in (*base, *by_env.get(env, ()), *outside)}
    values: dict[str, dict[str, Any]] = {"server": {"env": env}}
    origins = dict.fromkeys(_all_keys(), DEFAULT)
    for (section, name), entry in effective.items():
        # A value that does not fit was reported above; one from a variable is read here for the first time.
        value = _try(functools.partial(entry.resolve, environ), problems if entry.variable else [], _NOTHING)
        if value is not _NOTHING:
            values.setdefault(section, {})[name] = value
            origins[f"{section}.{name}"] = entry.origin
    texts: dict[str, dict[str, object]] = {}
    for entry in (*base, *by_env.get(env, ()), *outside):
        texts.setdefault(f"{entry.section}.{entry.name}", {})[entry.origin] = entry.raw
    settings = _built(values, origins, problems)
    _name_profile(settings, origins)
    return ExaminedSettings(
        settings, MappingProxyType(origins), tuple(problems), file, MappingProxyType(texts)
    )


def _usable(found: Iterator[_Entry | SettingsError], problems: list[SettingsError]) -> Iterator[_Entry]:
    for entry in found:
        if isinstance(entry, SettingsError):
            problems.append(entry)
        else:
            yield entry


def _try(function: Callable[[], Any], problems: list[SettingsError], otherwise: Any = None) -> Any:
    try:
        return function()
    except SettingsError as problem:
        problems.append(problem)
        return otherwise


def _built(
    values: dict[str, dict[str, Any]], origins: dict[str, str], problems: list[SettingsError]
) -> Settings:
    """Make the settings; what does not go together is reported and left out, key by key."""
    while True:
        try:
            return _build(values, origins)
        except SettingsError as problem:
            problems.append(problem)
            section, _, name = (problem.key or "").rpartition(".")
            if values.get(section, {}).pop(name, _NOTHING) is _NOTHING:
                return _build({"server": {"env": values["server"].get("env", "production")}}, origins)
            origins[f"{section}.{name}"] = DEFAULT


def _all_keys() -> Iterator[str]:
    for section, struct in SECTIONS.items():
        yield from (f"{section}.{name}" for name in keys_of(struct))
    yield from (f"capacity.{name}" for name in (PROFILE, *capacity.DEFAULTS))


def _build(values: Mapping[str, Mapping[str, Any]], origins: Mapping[str, str]) -> Settings:
    fields = {name: dict(values.get(name, {})) for name in SECTIONS}
    sections: dict[str, Any] = {}
    for name in reversed(list(SECTIONS)):  # what lies in a section is made before it
        made = SECTIONS[name](**fields[name])
        above, _, own = name.rpartition(".")
        (fields[above] if above else sections)[own] = made
    try:
        settings = Settings(capacity=values.get("capacity", {}), **sections)
    except SettingsError as error:
        origin = origins.get(error.key or "", DEFAULT)
        raise SettingsError(f"{error} ({origin})", key=error.key, origin=origin) from None
    for name in PROFILES[settings.profile].websocket.keys() & values.get("websocket", {}).keys():
        # What somebody wrote wins over the profile, also where that is the default.
        msgspec.structs.force_setattr(settings.websocket, name, getattr(sections["websocket"], name))
    return settings


def _name_profile(settings: Settings, origins: dict[str, str]) -> None:
    """Say of what comes from the profile that it does."""
    profile = PROFILES[settings.profile]
    named = [f"capacity.{name}" for name in profile.bounds] + [
        f"websocket.{name}" for name in profile.websocket
    ]
    for key in named:
        if origins[key] == DEFAULT:
            origins[key] = f"{PROFILE} {settings.profile}"


def _env_tables(file: SettingsFile, problems: list[SettingsError]) -> dict[str, list[_Entry]]:
    tables = file.data.get("env", {})
    if not isinstance(tables, Mapping):
        problems.append(_misplaced("env", file.origin("env")))
        return {}
    found: dict[str, list[_Entry]] = {}
    for env, sections in tables.items():
        if not isinstance(sections, Mapping):
            problems.append(_misplaced(f"env.{env}", file.origin("env", env)))
            continue
        found[env] = []
        for entry in _usable(_from_tables(file, sections, ("env", env)), problems):
            if (entry.section, entry.name) == ("server", "env"):
                message = (
                    f"[env.{env}.server] env: the tables of an environment cannot change which one it is"
                )
                problems.append(
                    SettingsError(f"{message} ({entry.origin})", key="server.env", origin=entry.origin)
                )
            else:
                found[env].append(entry)
    return found


def _misplaced(name: str, origin: str) -> SettingsError:
    message = f"{name!r} must be a table with sections, such as [env.production.server] ({origin})"
    return SettingsError(message, key=name, origin=origin, problem="value")


_Found = Iterator[_Entry | SettingsError]


def _from_tables(file: SettingsFile, sections: Mapping[str, Any], above: tuple[str, ...] = ()) -> _Found:
    for section, table in sections.items():
        origin = file.origin(*above, section)
        if not isinstance(table, Mapping):
            owners = [name for name, struct in SECTIONS.items() if section in keys_of(struct)]
            unknown = None if owners else _unknown_section(section, origin)
            if unknown is not None:
                yield unknown
                continue
            where = f"below the line [{'.'.join((*above, owners[0]))}]" if owners else "in a table"
            message = f"{section!r} stands outside of its section; write it {where} ({origin})"
            yield SettingsError(message, key=section, origin=origin, problem="unknown")
            continue
        unknown = _unknown_section(section, origin)
        if unknown is not None:
            yield unknown
        else:
            yield from _from_table(file, section, table, above)


def _from_table(file: SettingsFile, section: str, table: Mapping[str, Any], above: tuple[str, ...]) -> _Found:
    for name, raw in table.items():
        origin = file.origin(*above, *section.split("."), name)
        inner = f"{section}.{name}"
        if inner not in SECTIONS:
            yield _entry(section, name, raw, origin, is_text=False)
        elif isinstance(raw, Mapping):
            yield from _from_table(file, inner, raw, above)
        else:
            message = f"[{section}] {name} is a table: write its keys below the line [{inner}] ({origin})"
            yield SettingsError(message, key=inner, origin=origin, problem="value")


def _from_environment(environ: Mapping[str, str]) -> _Found:
    for variable, (section, name) in _ALIASES.items():
        if environ.get(variable):
            yield _entry(section, name, environ[variable], variable, is_text=True)
    for variable in sorted(environ):
        path, separator, name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().rpartition("__")
        if not variable.startswith(ENVIRONMENT_PREFIX) or not separator:
            continue
        section = path.replace("__", ".")
        yield _unknown_section(section, variable) or _entry(
            section, name, environ[variable], variable, is_text=True
        )


def _from_flags(flags: Mapping[str, Any]) -> _Found:
    for path, raw in flags.items():
        if raw is None:
            continue
        section, _, name = path.rpartition(".")
        yield _unknown_section(section, COMMAND_LINE) or _entry(
            section, name, raw, COMMAND_LINE, is_text=True
        )


def _unknown_section(section: str, origin: str) -> SettingsError | None:
    known = [*SECTIONS, "capacity"]
    if section in known:
        return None
    nearest = _nearest(section, known)
    hint = f"did you mean {nearest!r}?" if nearest else f"known sections: {', '.join(known)}"
    message = f"unknown section [{section}]; {hint} ({origin})"
    return SettingsError(message, key=section, origin=origin, problem="unknown", nearest=nearest)


def _entry(section: str, name: str, raw: object, origin: str, *, is_text: bool) -> _Entry | SettingsError:
    section, name = _OTHER_SPELLINGS.get((section, name.lower()), (section, name))
    if section == "capacity":
        key = capacity_key(name)
        name = bound_name(name)
    else:
        key = keys_of(SECTIONS[section]).get(name)
    inner = f"{section}.{name}"
    if key is None and inner in SECTIONS:
        variable = f"{ENVIRONMENT_PREFIX}{inner}.{next(iter(keys_of(SECTIONS[inner])))}".replace(".", "__")
        message = f"[{section}] {name} is a table: set its keys, such as {variable.upper()} ({origin})"
        return SettingsError(message, key=inner, origin=origin, problem="value")
    if key is None:
        nearest = _nearest(name, _known_keys(section))
        message = f"unknown key {name!r} in [{section}]{_key_hint(section, name, nearest)} ({origin})"
        full = f"{section}.{name}"
        return SettingsError(message, key=full, origin=origin, problem="unknown", nearest=nearest)
    return _Entry(section, name, key, raw, origin, is_text)


def _known_keys(section: str) -> list[str]:
    known = [PROFILE, *capacity.DEFAULTS] if section == "capacity" else list(keys_of(SECTIONS[section]))
    return known + [inner.rpartition(".")[2] for inner in SECTIONS if inner.rpartition(".")[0] == section]


def _key_hint(section: str, name: str, nearest: str | None) -> str:
    if nearest:
        return f"; did you mean {nearest!r}?"
    homes = [other for other, struct in SECTIONS.items() if name.lower() in keys_of(struct)]
    if capacity_key(name) is not None:
        homes.append("capacity")
    return f"; it belongs to [{homes[0]}]" if homes else f"; known keys: {', '.join(_known_keys(section))}"


def _nearest(name: str, known: list[str]) -> str | None:
    spelled = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), spelled, 1, 0.7)
    return spelled[close[0]] if close else None


def _shown(raw: object) -> str:
    try:
        text = json.dumps(raw, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(raw) if not isinstance(raw, msgspec.Struct) else type(raw).__name__
    text = redact_text(text)
    return text if len(text) <= MAX_SHOWN_VALUE else f"{text[: MAX_SHOWN_VALUE - 1]}…"
