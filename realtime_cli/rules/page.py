"""Writes the reference page of the rules, `docs/reference/check.md`, from the rules themselves.

`python -m realtime_cli.rules.page docs/reference/check.md` does it; a test tells when it is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from realtime_cli.rules.catalog import all_rules
from realtime_cli.rules.examples import ENVIRONMENT, examples_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.rule import Rule

__all__ = ["render_page"]

FAMILIES = {
    "SEC": "Security",
    "CAP": "Capacity",
    "CFG": "Settings and deployment",
    "LIV": "Live modules",
    "CLU": "Several workers and machines",
    "UPG": "Leftovers of 0.4",
}

_INTRO = """\
# `realtime check`

<!-- By `python -m realtime_cli.rules.page docs/reference/check.md`: edit the rules and their examples, not this. -->

Says what in a project is unsafe, unbounded or wrong, before production finds it. It reads `realtime.toml`, the
environment, `hooks.py`, the live modules and the web files; then it imports the modules in a process of its own, which
may open no socket.

```text
$ realtime check
live/orders.py:12:5: error LIV014 coroutine of platform.subscribe is never awaited
  fix: await it (realtime check --fix)
realtime.toml:4:1: warning SEC024 upgrade_rate_limit = 0: nobody counts connects of an address
  fix: keep a limit: [websocket] upgrade_rate_limit = 10
1 error, 1 warning, 0 infos (1 fixable)
```

| flag | does |
|---|---|
| `--env NAME` | checks the settings of another environment than production |
| `--strict` | lets warnings fail too |
| `--fix` | mends what needs no decision, shows the changes, and never makes a security setting weaker |
| `--select SEC,LIV003`, `--ignore ...` | runs only these rules, or all but these |
| `--no-import` | imports no code |
| `--online` | connects to the Redis and Postgres of the settings and reads what they say of themselves |
| `--format text\\|json\\|sarif\\|github`, `--output FILE` | SARIF 2.1.0 is for code scanning, `github` for a workflow |
| `--write-baseline FILE`, `--baseline FILE` | keeps what is known now, and later tells only what is new |
| `--explain RULE`, `--list` | tells of a rule, or of all |
| `--capacity` | says [what a load takes](#capacity), and what falls over first |
| `--connections`, `--topics-per-connection` | how many clients that load has, and how many topics each |
| `--publish-rate`, `--payload`, `--fanout` | events a second, bytes of the data of one, and subscribers that get it |

| exit code | meaning |
|---|---|
| 0 | no error; with `--strict` no warning either |
| 1 | errors, with `--strict` or warnings |
| 2 | wrong usage, no project, or a `realtime.toml` that is no TOML |
| 3 | the checker itself failed |

A finding that is meant to be so is taken back by a comment on its line, `# realtime: ignore[LIV003] it is short`, by
one in the first ten lines of the file, `# realtime: ignore-file[LIV003]`, or in the settings, where a rule may also
weigh more or less:

```toml
[check]
ignore = ["SEC003"]

[check.severity]
LIV003 = "error"
```

`realtime serve` does not start on the rules with †. `realtime dev` shows new findings as you save (`[dev] check`).

## Capacity

```text
$ realtime check --capacity --connections 20000 --topics-per-connection 8 --publish-rate 300 --payload 200 --fanout 50
resource            typical      worst case    limit        headroom
memory / worker     224 MiB      41 GiB        24 GiB       -18 GiB
file descriptors    20 064       20 064        65 536       69 %
deliveries / s      15 000       15 000        250 000      94 %
bandwidth out       35 Mbit/s    35 Mbit/s     1.0 Gbit/s   96 %
First to fall over: memory at about 11 630 slow connections per worker: lower [websocket] max_backpressure
```

Typical is a worker with its connections, their subscriptions and topics, and what replays keep. At worst every client
is slow: each has `max_backpressure` waiting and a message of `max_payload_length` on its way, and what is bounded is
as full as so many clients can make it. Without `--connections` it is `max_connections`. The machine is this one,
unless `[check]` says `memory_limit`, `fd_limit`, `bandwidth` or `deliveries_per_second` of another. What one
connection, subscription or topic takes was measured with real servers (`runtime.core.capacity.COSTS`), for an app
without data of its own: add what your app keeps. `--json` has the same under `capacity`.
"""


def render_page() -> str:
    """Return the page as Markdown."""
    parts = [_INTRO]
    rules = list(all_rules().values())
    for family, title in FAMILIES.items():
        own = [rule for rule in rules if rule.id.startswith(family)]
        if own:
            parts.append(f"\n## {title}\n\n| rule | severity | finds |\n|---|---|---|\n")
            parts += [
                f"| [{r.id}](#{r.id.lower()}){_marks(r)} | {r.severity} | {_cell(r.title)} |\n" for r in own
            ]
            for rule in own:
                parts.append("".join(_section(rule)))
    return "".join(parts)


def _marks(rule: Rule) -> str:
    return (" †" if rule.blocking else "") + (" F" if rule.fixes else "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _section(rule: Rule) -> Iterator[str]:
    yield f"\n### {rule.id}\n\n"
    notes = [f"**{rule.title[0].upper()}{rule.title[1:]}** ({rule.severity}"]
    notes += [", `--fix` mends it"] if rule.fixes else []
    notes += [", `--online`"] if rule.when == "online" else []
    yield "".join(notes) + f"). {rule.why}\n\nFix: {rule.how}.\n"
    for which, title in (("bad", "Found"), ("ok", "Not found")):
        for name, text in examples_of(rule.id, "bad" if which == "bad" else "ok").items():
            where = "the environment" if name == ENVIRONMENT else f"`{name}`"
            if not text:
                yield f"\n{title}, without {where}.\n"
                continue
            yield f"\n{title}, {where}:\n\n````text\n{text.rstrip()}\n````\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render_page(), encoding="utf-8")
