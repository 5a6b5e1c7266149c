"""Write the reference page of the settings, `docs/reference/settings.md`, from the settings themselves.

`python -m runtime.core.settingsdoc docs/reference/settings.md` does it; a test tells when it is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from runtime.core import capacity
from runtime.core.capacityprofiles import PROFILES, REFERENCE
from runtime.core.settings import PROFILE, SECTIONS, Key, capacity_key, keys_of

__all__ = ["render_reference"]

_INTRO = """\
# Settings

<!-- By `python -m runtime.core.settingsdoc docs/reference/settings.md`: edit the settings, not this. -->

Settings stand in `realtime.toml` at the root of the project. After the file come the environment, where
`REALTIME_SERVER__PORT` is `[server] port`, and then the flags of the command; the last one that names a key
wins. `REALTIME_ENV` is short for `REALTIME_SERVER__ENV`. An unknown key is an error that names the nearest
known one; a value of the wrong type or out of range is an error that says what would fit.

| type | in `realtime.toml` | in the environment |
|---|---|---|
| bytes | `524288` or `"512K"` (`K`, `M`, `G`: binary multiples) | `524288`, `512K` |
| duration | seconds as `2` or `0.5`, or `"500ms"`, `"2m"`, `"1h"`, `"1d"` | the same, without quotes |
| boolean | `true`, `false` | `1 0 true false yes no on off` |
| list | `["a", "b"]` | `a,b` or JSON |
| table | `{points = 5, window = 10}` | JSON |

A value `"env:NAME"` is read from the environment variable `NAME`; it is an error if that is empty. The tables
below `[env.<name>]` override the others when `[server] env` is `<name>`:

```toml
[server]
port = 8000

[env.dev.websocket]
max_payload_length = "4M"
```
"""

_HEAD = "| key | type | default | range | |\n|---|---|---|---|---|\n"

_PROFILE_TEXT = """\
A profile sets these for a machine of 512 MiB, 4 GiB or 32 GiB; what is written here wins over it.

"""
_BOUNDS_HEAD = "\n| key | type | default |\n|---|---|---|\n"


def render_reference() -> str:
    """Return the reference page as Markdown."""
    parts = [_INTRO]
    for section, struct in SECTIONS.items():
        parts.append(f"\n## [{section}]\n\n{_HEAD}")
        defaults = {field.name: field for field in msgspec.structs.fields(struct)}
        for name, key in keys_of(struct).items():
            field = defaults[name]
            default = field.default_factory() if callable(field.default_factory) else field.default
            text = key.default_text or f"`{key.kind.to_toml(default)}`"
            parts.append(f"| `{name}` | {key.kind.type_name} | {text} | {key.kind.bounds} | {key.doc} |\n")
    return "".join(parts) + _capacity()


def _capacity() -> str:
    profile = _key(PROFILE)
    head = "\n## [capacity]\n\nBounds of what clients or time can make grow, by name in either case.\n\n"
    row = f"| `{PROFILE}` | choice | {profile.default_text} | {profile.kind.bounds} | {profile.doc} |\n"
    return (
        head
        + _HEAD
        + row
        + _profiles()
        + _BOUNDS_HEAD
        + "".join(f"| `{name}` | {_range(name)} | `{value}` |\n" for name, value in capacity.DEFAULTS.items())
    )


def _range(name: str) -> str:
    return f"integer, {_key(name).kind.bounds}"


def _key(name: str) -> Key:
    key = capacity_key(name)
    if key is None:
        raise KeyError(name)
    return key


def _profiles() -> str:
    named = [name for name in PROFILES if name != REFERENCE]
    rows = [f"| key | {' | '.join(named)} |\n|---|{'---|' * len(named)}\n"]
    for section in ("websocket", "bounds"):
        keys = {key: None for name in named for key in getattr(PROFILES[name], section)}
        for key in keys:
            cells = [getattr(PROFILES[name], section).get(key) for name in named]
            shown = f"[websocket] {key}" if section == "websocket" else key
            rows.append(
                f"| `{shown}` | {' | '.join('' if cell is None else f'`{cell}`' for cell in cells)} |\n"
            )
    return "\n" + _PROFILE_TEXT + "".join(rows)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render_reference(), encoding="utf-8")
