"""The settings of a SvelteKit app's adapter, as `realtime.toml` would say them. Spec: upgrade 5.4."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from realtime_cli.codemods.scriptfile import property_of
from realtime_cli.codemods.scriptnames import arguments
from realtime_cli.codemods.scriptobjects import entries, value_of
from realtime_cli.codemods.scriptscopes import string_of, text_of
from realtime_cli.codemods.settingsmap import DROPPED, KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tree_sitter import Node

    from realtime_cli.codemods.project import Project
    from realtime_cli.codemods.scriptfile import ScriptFile
    from realtime_cli.codemods.scriptproject import Member

__all__ = ["ENVIRONMENT", "MappedSettings", "map_settings"]

_PRESSURE = {
    "memoryHeapUsedRatio": ("memory_ratio", 1),
    "publishRatePerSec": ("publish_rate", 1),
    "topicPublishRatePerSec": ("topic_publish_rate", 1),
    "topicPublishBytesPerSec": ("topic_publish_bytes", 1),
    "subscriberRatio": ("subscriber_ratio", 1),
    "sampleIntervalMs": ("sample_interval", 1000),
}
"""Keys of `websocket.pressure`: the key of ours, and by what its number is divided."""
_ADMISSION = ("maxConcurrent", "perTickBudget")
_NOTED = ("dir", "typedImports", "devtools")
ENVIRONMENT: Mapping[str, str] = {
    "HOST": "HOST",
    "PORT": "PORT",
    "ORIGIN": "ORIGIN",
    "SSL_CERT": "TLS_CERT",
    "SSL_KEY": "TLS_KEY",
    "PROTOCOL_HEADER": "PROTOCOL_HEADER",
    "HOST_HEADER": "HOST_HEADER",
    "PORT_HEADER": "PORT_HEADER",
    "ADDRESS_HEADER": "ADDRESS_HEADER",
    "XFF_DEPTH": "XFF_DEPTH",
    "BODY_SIZE_LIMIT": "BODY_LIMIT",
    "SHUTDOWN_TIMEOUT": "SHUTDOWN_TIMEOUT",
    "CLUSTER_WORKERS": "WORKERS",
    "CLUSTER_MODE": "CLUSTER_MODE",
}
"""Variables of the adapter, and what each is called behind ``REALTIME_SERVER__``."""
_ENV_LINE = re.compile(rb"^\s*(?:ENV\s+|export\s+|-\s*)?([A-Z][A-Z0-9_]*)\s*[=: ](.*)$", re.MULTILINE)
_MORE = re.compile(rb"\s([A-Z][A-Z0-9_]*)=")
_UNKNOWN = object()


@dataclass(slots=True)
class MappedSettings:
    """What was read.

    Attributes:
        sections: of `realtime.toml`, each with its keys and values.
        notes: what has no counterpart, or cannot be read without running the file.
        environment: variables that are set somewhere, each with its new name.
    """

    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def put(self, section: str, key: str, value: object) -> None:
        """Note one setting."""
        self.sections.setdefault(section, {})[key] = value

    def toml(self) -> str:
        """Return the text of `realtime.toml`; empty if nothing was set."""
        import tomlkit

        document = tomlkit.document()
        order = (
            "server",
            "websocket",
            "websocket.upgrade_admission",
            "websocket.pressure",
            "security",
            "dev",
        )
        for section in order:
            values = self.sections.get(section)
            if not values:
                continue
            table = tomlkit.table()
            table.update(values)
            outer, dot, inner = section.partition(".")
            if not dot:
                document[outer] = table
            else:
                if outer not in document:
                    document[outer] = tomlkit.table(is_super_table=True)
                document[outer][inner] = table
        return tomlkit.dumps(document)


def map_settings(project: Project, member: Member) -> MappedSettings:
    """Read the settings of one npm package without running anything of it."""
    found = MappedSettings()
    prefix = ""
    for name in ("svelte.config", "vite.config"):
        for end in ("js", "ts", "mjs"):
            path = f"{member.folder}{name}.{end}"
            file = project.scripts.file(path) if path in project.tree else None
            if file is not None:
                prefix = _config(file, path, found) or prefix
    _environment(project, member, prefix, found)
    return found


def _config(file: ScriptFile, path: str, found: MappedSettings) -> str:
    prefix = ""
    for call, meaning in file.names.calls("adapter#default", "vite#default", "realtime/vite#default"):
        for options in arguments(call)[:1]:
            for name, value in _entries(file, options, path, found):
                if name == "envPrefix" and isinstance(value, str):
                    prefix = value
                if meaning == "realtime/vite#default" and name in _NOTED:
                    found.notes.append(f"{path}: {name} is an option of the bundler; there is none here")
                elif name == "websocket" and isinstance(value, dict):
                    for inner, one in value.items():
                        _setting(inner, one, path, found)
                else:
                    _setting(name, value, path, found)
    return prefix


def _entries(file: ScriptFile, options: Node, path: str, found: MappedSettings) -> list[tuple[str, Any]]:
    value = _value(file, options)
    if isinstance(value, dict):
        return list(value.items())
    found.notes.append(f"{path}: the options of the adapter cannot be read without running the file")
    return []


def _setting(name: str, value: object, path: str, found: MappedSettings) -> None:
    key = re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
    if key in DROPPED:
        found.notes.append(f"{path}: {name}: {DROPPED[key][1]}")
    elif value is _UNKNOWN:
        found.notes.append(f"{path}: {name} cannot be read without running the file")
    elif name == "pressure" and isinstance(value, dict):
        _nested("websocket.pressure", value, _PRESSURE, name, path, found)
    elif name == "upgradeAdmission" and isinstance(value, dict):
        known = {one: (re.sub(r"([A-Z])", r"_\1", one).lower(), 1) for one in _ADMISSION}
        _nested("websocket.upgrade_admission", value, known, name, path, found)
    elif key in KEYS and value is not None:
        section, ours = KEYS[key]
        if _is_unknown(value):
            found.notes.append(f"{path}: {name} cannot be read without running the file")
        elif name == "handler" and isinstance(value, str):
            found.put(section, ours, re.sub(r"^\./|\.(js|ts|mjs)$", "", value) + ".py")
        else:
            found.put(section, ours, value)
    elif value is not None:
        found.notes.append(f"{path}: {name} has no counterpart")


def _is_unknown(value: object) -> bool:
    """Say whether a value, or a part of it, could not be read."""
    if isinstance(value, dict):
        return any(_is_unknown(one) for one in value.values())
    return value is _UNKNOWN


def _nested(
    section: str,
    value: dict[str, Any],
    known: Mapping[str, tuple[str, int]],
    name: str,
    path: str,
    found: MappedSettings,
) -> None:
    for inner, one in value.items():
        if inner not in known:
            found.notes.append(f"{path}: {name}.{inner} has no counterpart")
        elif one is _UNKNOWN:
            found.notes.append(f"{path}: {name}.{inner} cannot be read without running the file")
        elif one is not None:
            ours, divisor = known[inner]
            is_number = isinstance(one, int | float) and not isinstance(one, bool)
            found.put(section, ours, one / divisor if is_number and divisor != 1 else one)


def _value(file: ScriptFile, node: Node | None, depth: int = 0) -> Any:
    """Return the value of an expression of literals and of constants of the same file; `_UNKNOWN` for any other."""
    if node is None or depth > 20:
        return _UNKNOWN
    text = string_of(node)
    if text is not None:
        return text
    if node.type == "number":
        return _number(text_of(node))
    if node.type in ("true", "false"):
        return node.type == "true"
    if node.type in ("null", "undefined") or text_of(node) == "undefined":
        return None
    if node.type in ("parenthesized_expression", "as_expression", "satisfies_expression"):
        return _value(file, node.named_children[0], depth + 1)
    if node.type == "array":
        items = [_value(file, one, depth + 1) for one in entries(node)]
        return _UNKNOWN if any(one is _UNKNOWN for one in items) else items
    if node.type == "object":
        return _object(file, node, depth)
    if node.type == "binary_expression":
        return _sum(file, node, depth)
    if node.type in ("identifier", "shorthand_property_identifier"):
        binding = file.scopes.lookup(text_of(node), node)
        if binding is None or binding.reassigned or binding.kind != "variable" or binding.path != ():
            return _UNKNOWN
        return _value(file, binding.value, depth + 1)
    return _UNKNOWN


def _object(file: ScriptFile, node: Node, depth: int) -> Any:
    made: dict[str, Any] = {}
    for one in entries(node):
        if one.type == "spread_element":
            more = _value(file, one.named_children[0] if one.named_children else None, depth + 1)
            if not isinstance(more, dict):
                return _UNKNOWN
            made |= more
        elif property_of(one):
            made[property_of(one)] = _value(file, value_of(one), depth + 1)
        else:
            return _UNKNOWN
    return made


def _sum(file: ScriptFile, node: Node, depth: int) -> Any:
    left = _value(file, node.child_by_field_name("left"), depth + 1)
    right = _value(file, node.child_by_field_name("right"), depth + 1)
    sign = node.child_by_field_name("operator")
    if sign is None or not all(isinstance(one, int | float) for one in (left, right)):
        return _UNKNOWN
    if sign.type == "*":
        return left * right
    if sign.type == "+":
        return left + right
    return left - right if sign.type == "-" else _UNKNOWN


def _number(text: str) -> Any:
    text = text.replace("_", "").lower()
    try:
        return int(text, 0)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return _UNKNOWN


def _environment(project: Project, member: Member, prefix: str, found: MappedSettings) -> None:
    """Note which variables of the adapter are set; values are not looked at, and never told."""
    for path in project.tree.files():
        name = path.rpartition("/")[2]
        is_env = name.startswith((".env", "Dockerfile", "compose", "docker-compose")) or name.endswith(".env")
        if not is_env or not path.startswith(member.folder):
            continue
        raw = project.tree.read(path)
        names = [name for first, rest in _ENV_LINE.findall(raw) for name in (first, *_MORE.findall(rest))]
        for one in names:
            variable = one.decode()
            bare = variable.removeprefix(prefix)
            if variable.startswith(prefix) and bare in ENVIRONMENT:
                found.environment[variable] = f"REALTIME_SERVER__{ENVIRONMENT[bare]}"
