"""Writes `docs/production-limits.md`: every bound with what happens at it, from the constants and the settings.

`python -m tools.limits_page docs/production-limits.md` does it; a test tells when it is out of date. What happens at a
bound is said once, in the table of `docs/reference/capacity.md`, which has a test of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from runtime.core import capacity
from runtime.core.capacityprofiles import PROFILES, REFERENCE
from runtime.core.settings import SECTIONS, keys_of

__all__ = ["GROUPS", "render_limits"]

ROOT = Path(__file__).resolve().parent.parent

_INTRO = """\
# Production limits

<!-- By `python -m tools.limits_page docs/production-limits.md`: edit the constants, the settings and
docs/reference/capacity.md, not this. -->

Nothing grows without an end: what clients, apps or time can make grow has a bound, and what happens there is known. Two
kinds: [settings](#settings-that-bound) say what a deployment wants to allow, and constants keep a mistake or an attack
from taking the machine. Both are changed in `realtime.toml`; a constant is a key of `[capacity]`.

`realtime check --capacity` says what your settings add up to on this machine, and what falls over first.

## Three sizes of machine

`[capacity] profile` sets these together; what you write yourself wins.

"""

_METRICS = """\
## Watching them

| metric | says |
|---|---|
| `realtime_capacity_size{structure}` | how full it is; the fullest, where there are several of a kind |
| `realtime_capacity_limit{structure}` | the bound that is in force |
| `realtime_capacity_events_total{structure,action}` | how often it was met, and what was done |

`structure` is the name of the constant. Alert on `realtime_capacity_events_total` growing for what you did not expect,
and on `size / limit` above 0.8 for the rest. The log has one line per structure and hour.

"""

GROUPS = {
    "Connections and topics": (
        "CONNECTION",
        "TOPIC",
        "SUBSCRIPTION",
        "COALESCED",
        "CONTROL",
        "UPGRADE",
        "HELD",
        "RESUME",
        "GROUPS",
        "PUSH",
        "NOTIF",
        "PENDING_REQUESTS",
    ),
    "Calls and messages": (
        "BATCH",
        "BINARY",
        "UPLOAD",
        "INFLIGHT",
        "JSON",
        "ENVELOPE",
        "IDEMPOTENCY",
        "OPTIMISTIC",
        "CLIENT",
        "STREAM",
        "USER_ID",
        "THREADSAFE",
    ),
    "Plugins": (
        "PRESENCE",
        "CURSOR",
        "LOCK",
        "QUEUE",
        "SESSION",
        "DEDUP",
        "RATE",
        "REPLAY",
        "THROTTLE",
        "DEBOUNCE",
        "SKIP",
        "BREAKER",
        "PLUGINS",
    ),
    "Everything else": ("",),
}
"""Headings, and words in the names of the bounds below each; the first that fits."""

_BOUNDING = (
    "max_",
    "_limit",
    "limit_",
    "_timeout",
    "_rate",
    "_rate_window",
    "_window",
    "_per_",
    "_bytes",
    "_depth",
)


def _told() -> dict[str, tuple[str, str, str]]:
    """Return what is counted, the action and what happens, by bound."""
    text = (ROOT / "docs/reference/capacity.md").read_text(encoding="utf-8")
    found = {}
    for line in text.partition("## The bounds")[2].splitlines():
        if line.startswith("| `"):
            name, _, counted, action, then = (cell.strip() for cell in line.strip("|").split(" | "))
            found[name.strip("` ")] = counted, action, then.rstrip(" |")
    return found


def _group(name: str) -> str:
    return next(heading for heading, words in GROUPS.items() if any(word in name for word in words))


def render_limits() -> str:
    """Return the page."""
    return "".join([_INTRO, _profiles(), _METRICS, "## Constants\n", *_constants(), _settings()])


def _profiles() -> str:
    named = [name for name in PROFILES if name != REFERENCE]
    rows = [f"| key | {' | '.join(named)} |\n|---|{'---|' * len(named)}\n"]
    for section in ("websocket", "bounds"):
        keys = {key: None for name in named for key in getattr(PROFILES[name], section)}
        for key in keys:
            cells = [getattr(PROFILES[name], section).get(key) for name in named]
            shown = f"[websocket] {key}" if section == "websocket" else key
            rows.append(
                f"| `{shown}` | {' | '.join('' if cell is None else f'{cell:,}' for cell in cells)} |\n"
            )
    return "".join(rows) + "\n"


def _constants() -> list[str]:
    told = _told()
    parts = []
    for heading in GROUPS:
        parts.append(
            f"\n### {heading}\n\n| key of `[capacity]` | default | bounds | when it is met |\n|---|---|---|---|\n"
        )
        for name, value in capacity.DEFAULTS.items():
            if _group(name) == heading:
                counted, action, then = told[name]
                parts.append(f"| `{name}` | {value:,} | {counted} | {action}: {then} |\n")
    return parts


def _settings() -> str:
    rows = ["\n## Settings that bound\n\n| key | default | |\n|---|---|---|\n"]
    for section, struct in SECTIONS.items():
        fields = {field.name: field for field in msgspec.structs.fields(struct)}
        for name, key in keys_of(struct).items():
            if not _is_bound(name):
                continue
            field = fields[name]
            default = field.default_factory() if callable(field.default_factory) else field.default
            text = key.default_text or f"`{key.kind.to_toml(default)}`"
            rows.append(f"| `[{section}] {name}` | {text} | {key.doc} |\n")
    return "".join(rows)


def _is_bound(name: str) -> bool:
    """Say whether a setting is a bound, a rate or a time after which something ends, by its name."""
    return (name.startswith("max_") or name.endswith(_BOUNDING)) and name != "xff_depth"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render_limits(), encoding="utf-8")
