"""Writes `docs/configuration.md`: every setting with its variable, the security flags first, from the settings.

`python -m tools.configuration_page docs/configuration.md` does it; a test tells when it is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from runtime.core.settings import SECTIONS, keys_of

__all__ = ["FIRST", "TITLES", "render_configuration"]

FIRST = "security"
TITLES = {
    "security": "Security flags",
    "server": "The server",
    "websocket": "Connections",
    "websocket.upgrade_admission": "How many may connect at once",
    "websocket.pressure": "Under load",
    "rate_limits": "Rates of calls",
    "cron": "Jobs",
    "redis": "Redis",
    "postgres": "Postgres",
    "metrics": "Metrics",
    "tracing": "Traces",
    "devtools": "Devtools",
    "dev": "Development",
    "check": "`realtime check`",
}
"""Headings of the sections that have one; others go by their name."""

_INTRO = """\
# Configuration

<!-- By `python -m tools.configuration_page docs/configuration.md`: edit the settings, not this. -->

Settings are in `realtime.toml`. Each can be set by an environment variable instead, which wins over the file; flags of
the command win over both. A value `"env:NAME"` in the file is read from the variable `NAME`, where secrets belong.

```toml
# realtime.toml
[server]
origin = "https://app.example.com"

[websocket]
max_connections = 20000
```

```text
REALTIME_SERVER__ORIGIN=https://app.example.com realtime serve
```

`realtime config` prints what is in force and where each value comes from. An unknown key or a value that does not fit
is an error at start-up that says what would. [Settings](reference/settings.md) has types and ranges,
[production limits](production-limits.md) the bounds of `[capacity]`, [security](security.md) what each flag is for.
"""

_SECURITY = """\

## Security flags

Each is safe as it is. Most take a defence away when they are changed: `realtime check` says which, and a production
server tells at start-up of each that is off.

"""


def render_configuration() -> str:
    """Return the page."""
    order = [FIRST, *(section for section in SECTIONS if section != FIRST)]
    return _INTRO + "".join(_section(section) for section in order)


def _section(section: str) -> str:
    struct = SECTIONS[section]
    head = _SECURITY if section == FIRST else f"\n## {TITLES.get(section, f'[{section}]')}\n\n"
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    rows = ["| key | variable | default | |\n|---|---|---|---|\n"]
    for name, key in keys_of(struct).items():
        field = fields[name]
        default = field.default_factory() if callable(field.default_factory) else field.default
        text = key.default_text or f"`{key.kind.to_toml(default)}`"
        variable = "REALTIME_" + f"{section}.{name}".upper().replace(".", "__")
        rows.append(f"| `[{section}] {name}` | `{variable}` | {text} | {key.doc} |\n")
    return head + "".join(rows)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render_configuration(), encoding="utf-8")
