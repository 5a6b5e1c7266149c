"""Writes the reference page of the command, `docs/reference/upgrade.md`, from the catalogue and the exit codes.

`python -m realtime_cli.codemods.referencepage docs/reference/upgrade.md` does it; a test tells when it is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from realtime_cli.codemods.catalog import all_codemods

__all__ = ["EXAMPLES", "EXIT_CODES", "render_reference"]

EXAMPLES = {
    "--diff": (
        "realtime upgrade --diff > up.patch",
        "a patch for `git apply` on stdout, the summary on stderr",
    ),
    "--dry-run": ("realtime upgrade --dry-run", "the summary alone"),
    "--check": ("realtime upgrade --check", "ends with 1 if there is something to do; for CI"),
    "--only": ("realtime upgrade --only UPG106,UPG113", "these codemods alone"),
    "--skip": ("realtime upgrade --skip UPG119", "all but these"),
    "--interactive": ("realtime upgrade -i", "asks for each codemod and file; `q` writes nothing"),
    "--report": (
        "realtime upgrade --report up.md --report up.json",
        "Markdown for people, JSON for programs",
    ),
    "--allow-dirty": (
        "realtime upgrade --allow-dirty",
        "goes on with changes that are not committed, or without git",
    ),
    "--pin-defaults": (
        "realtime upgrade --pin-defaults",
        "writes the 0.4 values of changed defaults where none is set",
    ),
    "--postgres": (
        "realtime upgrade --postgres rename",
        "writes SQL that renames the tables, instead of pinning them",
    ),
    "--include": ("realtime upgrade --include 'vendor/ours/*.py'", "files that would be left out"),
    "--exclude": ("realtime upgrade --exclude 'legacy/*'", "files to leave out"),
    "--jobs": ("realtime upgrade --jobs 1", "processes at most; the result is the same"),
    "--no-verify": (
        "realtime upgrade --no-verify",
        "does not import the project and run `realtime check` afterwards",
    ),
    "--python": ("realtime upgrade --python .venv/bin/python", "the project's Python, for that"),
    "--list": ("realtime upgrade --list", "every codemod with its class and changes"),
    "--explain": ("realtime upgrade --explain C-01", "what a change or a codemod is about"),
    "--undo": ("realtime upgrade --undo", "puts back what the last run changed, also one that was killed"),
    "--to": ("realtime upgrade --to 0.5", "the only version there is to come to"),
}
"""An example and a word about each option, by its long name."""

EXIT_CODES = {
    0: "done, or nothing to do",
    1: "done, and something needs you: a TODO, an error in the report, a file that does not parse; `--check`: not at 0.5",
    2: "wrong usage, no project, an unknown codemod",
    3: "the work tree is not clean, or there is no git and no `--allow-dirty`",
    4: "nothing changed: writing failed and was put back, or an edit could not be proved",
    5: "another run is at work, or one was killed: `--undo`",
    130: "interrupted, and everything put back",
}

_INTRO = """\
# `realtime upgrade`

<!-- By `python -m realtime_cli.codemods.referencepage docs/reference/upgrade.md`: edit that, not this. -->

Brings a project of 0.4 to 0.5. [The quickstart](../upgrade-quickstart.md) shows it in five minutes,
[the guide](../migration-0.4-to-0.5.md) has every change.

Files are looked at with a parser, and edited at the smallest place; every edit is proved to change nothing else before
anything is written. All files are replaced or none; what was replaced is kept in `.realtime-upgrade/` until the next run.

A statement that ends with `# realtime-upgrade: skip`, or `skip=UPG106,UPG114`, is left alone; so is a file with such a
comment in its first ten lines. A `TODO(realtime-upgrade UPGnnn)` is the mark that a place was seen: take it away when it is
done, and the place is looked at again.

## Options

| option | example | |
|---|---|---|
"""


def render_reference() -> str:
    """Return the page."""
    lines = [_INTRO]
    lines += [f"| `{option}` | `{example}` | {text} |\n" for option, (example, text) in EXAMPLES.items()]
    lines += ["\n## Exit codes\n\n| code | meaning |\n|---|---|\n"]
    lines += [f"| {code} | {text} |\n" for code, text in EXIT_CODES.items()]
    lines += ["\n## Codemods\n\n| id | class | what | changes |\n|---|---|---|---|\n"]
    for one in all_codemods().values():
        title = one.title.replace("|", "\\|")
        lines.append(f"| {one.id} | {one.change} | {title} | {', '.join(one.rows)} |\n")
    return "".join(lines)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render_reference(), encoding="utf-8")
