"""The JSON Schema of `realtime.toml`, made from the settings themselves. Spec: platform 4, 8.7."""

from __future__ import annotations

import re
from typing import Any

from runtime.core import capacity
from runtime.core.capacityprofiles import PROFILES, REFERENCE
from runtime.core.settings import PROFILE, SECTIONS, Key, keys_of

__all__ = ["DIALECT", "settings_schema"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: JSON types by the name of a kind of setting; a kind that is not here may be anything.
TYPES: dict[str, list[str]] = {
    "boolean": ["boolean"],
    "integer": ["integer"],
    "number": ["number"],
    "bytes": ["integer", "string"],
    "duration": ["number", "string"],
    "list": ["array"],
    "table": ["object"],
    "choice": ["string"],
    "name": ["string"],
    "text": ["string"],
    "path": ["string"],
    "address": ["string"],
}
_NUMBER = r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
_BOUNDS = re.compile(f"{_NUMBER} to {_NUMBER}")


def settings_schema() -> dict[str, Any]:
    """Return the schema: a property per section, with its keys, and `[env.<name>]` with the same sections."""
    sections: dict[str, Any] = {}
    for name, struct in SECTIONS.items():
        above, _, own = name.rpartition(".")
        target = sections[above]["properties"] if above else sections
        target[own] = {
            "type": "object",
            "description": (struct.__doc__ or "").split("\n", 1)[0],
            "additionalProperties": False,
            "properties": {key: _described(one) for key, one in keys_of(struct).items()},
        }
    sections["capacity"] = _capacity()
    return {
        "$schema": DIALECT,
        "title": "realtime.toml",
        "description": "Settings of a Realtime Toolkit app.",
        "type": "object",
        "additionalProperties": False,
        "$defs": {"sections": {"type": "object", "properties": sections}},
        "properties": {
            **{name: {"$ref": f"#/$defs/sections/properties/{name}"} for name in sections},
            "env": {
                "type": "object",
                "description": "Settings that apply when [server] env has the name of the table.",
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        name: {"$ref": f"#/$defs/sections/properties/{name}"} for name in sections
                    },
                },
            },
        },
    }


def _capacity() -> dict[str, Any]:
    """Return the schema of `[capacity]`: a profile, and bounds by their names in capitals or in small letters."""
    bounds = {
        name: {"type": "integer", "minimum": 1, "default": default}
        for name, default in capacity.DEFAULTS.items()
    }
    return {
        "type": "object",
        "description": "Bounds of the runtime, by name in either case.",
        "additionalProperties": False,
        "properties": {
            PROFILE: {
                "enum": list(PROFILES),
                "default": REFERENCE,
                "description": "Bounds for a size of machine, in the place of the defaults.",
            },
            **bounds,
            **{name.lower(): one for name, one in bounds.items()},
        },
    }


def _described(key: Key) -> dict[str, Any]:
    """Return the schema of one key; text such as "env:NAME" is allowed everywhere, as it is read from a variable."""
    plain = key.kind.type_name.partition(" or ")[0]
    found: dict[str, Any] = {"description": key.doc}
    variable = {"type": "string", "pattern": "^env:[A-Za-z_][A-Za-z0-9_]*$"}
    own: dict[str, Any] = {}
    if plain in TYPES:
        kinds = list(TYPES[plain])
        if " or false" in key.kind.type_name:
            kinds.append("boolean")
        if " or auto" in key.kind.type_name and "string" not in kinds:
            kinds.append("string")
        own["type"] = kinds[0] if len(kinds) == 1 else kinds
    if plain == "choice" and key.kind.bounds and "number" not in key.kind.bounds:
        words: list[str | bool] = [word.strip() for word in key.kind.bounds.split(",")]
        own = {"enum": [False if word == "false" else word for word in words]}
    bounds = _BOUNDS.match(key.kind.bounds)
    if bounds and plain in {"integer", "number"}:
        low, high = (float(part) for part in bounds.groups())
        off = "or 0" in key.kind.bounds
        own |= {"minimum": 0 if off else int(low) if low.is_integer() else low}
        own |= {"maximum": int(high) if high.is_integer() else high}
    found["anyOf"] = [own, variable] if own else [{}]
    if not own:
        del found["anyOf"]
    return found
