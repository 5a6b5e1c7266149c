"""Writes the migration guide, `docs/migration-0.4-to-0.5.md`, from the table of changes and what is said of each.

`python -m realtime_cli.codemods.migrationpage docs/migration-0.4-to-0.5.md` does it; a test tells when it is out of
date. Spec: upgrade 6.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from realtime_cli.codemods.guide import Advice, all_advice
from realtime_cli.codemods.rows import Row, all_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["render_guide"]

_INTRO = """\
# Migration from 0.4 to 0.5

<!-- By `python -m realtime_cli.codemods.migrationpage docs/migration-0.4-to-0.5.md`: edit the texts in
realtime_cli/codemods/migration/, not this. -->

Every change there is, in the order in which it can hurt. `realtime upgrade` does most of it; the
[quickstart](upgrade-quickstart.md) shows how, in five minutes. Each change has an id, which reports and
`realtime upgrade --explain C-01` use.

| tier | what it is |
|---|---|
| [Critical](#critical) | security: requests that passed in 0.4 are denied, or the other way round |
| [Required](#required) | the app does not start, or does something else, until it is done |
| [Our layout](#our-layout) | names and places of a 0.4 project in Python |
| [Notable defaults](#notable-defaults) | behaviour, bounds and numbers that are others now |
| [Recommended](#recommended) | old names and habits that have a better form |
| [Cosmetic](#cosmetic) | nothing breaks if you never look at it |
"""

_HEADINGS = {
    "critical": "Critical",
    "required": "Required",
    "layout": "Our layout",
    "defaults": "Notable defaults",
    "recommended": "Recommended",
    "cosmetic": "Cosmetic",
}

_DOES = {
    "AUTO": "rewrites it",
    "ASSISTED": "rewrites or marks it, and leaves a TODO",
    "FLAG": "names the place and changes nothing",
    "BEHAVIOUR": "lists it in the report if it may concern you",
}

_REST = """\
## From JavaScript 0.4

A project of the JavaScript packages cannot be turned into Python by a command, and this one does not try. It does what is
safe inside JavaScript, so that the app goes on with the 0.5 packages, and its report says what a port needs: every
function with its kind, its arguments and the Python form in one line, every hook, every plugin with its class here.
`pip install 'realtime-toolkit[js]'` brings the parser; without it JavaScript is left alone.

* **The wire is the same.** A page built with the 0.5 browser client talks to this server, and a Python client to the
  JavaScript one. Names in frames stay camelCase; your Python functions are snake_case, and the report lists the paths
  whose names would change.
* **Port one module at a time.** Put this server beside the old one behind one proxy, on the same Redis; move a live
  module, and route its pages here. `[websocket] path` is the same on both sides.
* **Settings** of `svelte.config.js` and the environment are printed as a `realtime.toml`.

## Rolling deploy

1. Upgrade Redis to 7.4 or newer if you use cluster presence. 0.4 goes on with it.
2. Decide about Postgres: keep the old tables (nothing to do), or stop 0.4, run the script of `--postgres rename`, and
   start 0.5.
3. Pick an hour with little traffic: idempotent calls and tasks that are under way are not found by the other version.
4. Replace one worker after the other. Connections move over by themselves.
5. For 90 seconds after the last worker, presence counts may be low: old keys are ignored.
6. Tabs that were open before the deploy and read presence frames themselves show an empty list until they are reloaded.

## Rollback

* Before the commit: `realtime upgrade --undo` puts every file back, if none was edited since. After it: `git revert`.
* Go back to 0.4 on all workers at once. With renamed tables, rename them back first; with pinned tables there is nothing
  to do.
* Keys that 0.5 wrote to Redis expire by themselves; 0.4 does not read them.

## After upgrading

* [ ] No `TODO(realtime-upgrade` is left.
* [ ] The report has no error that you have not read.
* [ ] `realtime check` passes, and your tests do.
* [ ] Everybody who should be allowed in still is (C-01 to C-04, C-09).
* [ ] Dashboards and alerts name what is still there (D-38, D-39).
* [ ] The lock file, images and CI ask for 0.5 and Python 3.11.
"""


def render_guide() -> str:
    """Return the page."""
    return "\n".join([_INTRO, *_tiers(), _REST, *_index()]).rstrip() + "\n"


def _tiers() -> Iterator[str]:
    for tier, heading in _HEADINGS.items():
        yield f"## {heading}\n"
        for row, advice in all_advice().items():
            if (advice.tier or advice.part) == tier:
                yield _entry(all_rows()[row], advice)


def _entry(row: Row, advice: Advice) -> str:
    lines = [
        f"### {row.id} {advice.title}",
        "",
        f"* **Before:** {_text(row.before)}",
        f"* **Now:** {_text(row.after)}",
        f"* **Does it concern you?** {advice.tell}",
        f"* **The command:** {_does(row)}",
        f"* **You:** {advice.do}",
        "",
    ]
    for language, before, after in (
        ("python", advice.before, advice.after),
        ("toml", advice.before_toml, advice.after_toml),
    ):
        for when, code in (("before", before), ("now", after)):
            if code:
                lines += [f"```{language}", f"# {when}", code.strip("\n"), "```", ""]
    return "\n".join(lines)


def _does(row: Row) -> str:
    word = re.match(r"[A-Z]+", row.change)
    does = _DOES.get(word[0] if word else "", "")
    who = ", ".join(f"`{one}`" for one in row.codemod.split(", ")) if row.codemod != "-" else ""
    if not does:
        return f"{who}, {row.change}." if who else "nothing to change by itself."
    detail = row.change[len(word[0]) :].strip(" ,:/;") if word else ""
    said = f"{who} {does}" if who else f"it {does}"
    return f"{said}: {_text(detail)}" if detail else f"{said}."


def _text(text: str) -> str:
    """Return a cell of the table as a sentence part: without what would be a link."""
    text = text.strip().replace("](", "] (")
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _anchor(row: str) -> str:
    heading = f"{row} {all_advice()[row].title}"
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def _index() -> Iterator[str]:
    yield "## Index by id\n"
    yield "| id | change | codemod |"
    yield "|---|---|---|"
    for row in all_rows().values():
        yield f"| [{row.id}](#{_anchor(row.id)}) | {all_advice()[row.id].title} | {row.codemod} |"
    yield ""
    yield "## Index by old name\n"
    names: dict[str, list[str]] = {}
    for row in all_rows().values():
        for name in re.findall(r"`([^`|]+)`", row.before):
            names.setdefault(name, []).append(row.id)
    yield "| in 0.4 | see |"
    yield "|---|---|"
    for name in sorted(names, key=lambda one: (one.lstrip("_.[(").lower(), one)):
        yield f"| `{name}` | {', '.join(f'[{row}](#{_anchor(row)})' for row in dict.fromkeys(names[name]))} |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render_guide(), encoding="utf-8")
