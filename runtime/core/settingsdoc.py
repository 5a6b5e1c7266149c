"""Write the reference page of the settings, `docs/reference/settings.md`, from the settings themselves.

`python -m runtime.core.settingsdoc docs/reference/settings.md` does it; a test tells when it is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from runtime.core import capacity
from runtime.core.settings import SECTIONS, keys_of

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
    parts.append("\n## [capacity]\n\nBounds of what clients or time can make grow, by name in either case.\n")
    parts.append("\n| key | type | default |\n|---|---|---|\n")
    parts += [f"| `{name}` | integer, from 1 | `{value}` |\n" for name, value in capacity.DEFAULTS.items()]
    return "".join(parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render_reference(), encoding="utf-8")
