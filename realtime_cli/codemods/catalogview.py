"""What the command tells of codemods and changes: `--list`, `--explain`, and the selection. Spec: upgrade 4."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from realtime_cli.codemods.catalog import all_codemods, nearest
from realtime_cli.codemods.rows import Row, all_rows, tier_of
from realtime_cli.exitcodes import USAGE, CommandFailed

if TYPE_CHECKING:
    from realtime_cli.console import Console

__all__ = ["explain", "selection", "show_list"]


def show_list(console: Console) -> None:
    """Print every codemod with its class and title."""
    every = all_codemods().values()
    if console.json:
        console.emit(
            [
                {"codemod": one.id, "class": str(one.change), "rows": list(one.rows), "title": one.title}
                for one in every
            ]
        )
        return
    console.table(
        ("CODEMOD", "CLASS", "ROWS", "WHAT"),
        [(one.id, str(one.change), ",".join(one.rows), one.title) for one in every],
    )


def explain(console: Console, name: str) -> None:
    """Print what a row of the table, or a codemod with all its rows, is about.

    Raises:
        CommandFailed: there is none of that name (exit code 2); the hint names the nearest.
    """
    wanted = name.upper()
    rows = all_rows()
    if wanted in rows:
        found = [rows[wanted]]
        title = ""
    elif wanted in all_codemods():
        codemod = all_codemods()[wanted]
        found = [rows[one] for one in codemod.rows if one in rows]
        title = f"{codemod.id} ({codemod.change}): {codemod.title}"
    else:
        near = nearest(wanted, [*rows, *all_codemods()])
        raise CommandFailed(
            f"there is no change and no codemod {name!r}",
            hint=f"did you mean {near}?" if near else "realtime upgrade --list",
            code=USAGE,
        )
    if console.json:
        console.emit([_data(row) for row in found])
        return
    if title:
        console.data(console.paint(title, "bold", out=True))
    for row in found:
        console.data(console.paint(f"{row.id} ({tier_of(row.id)}, {row.change})", "bold", out=True))
        console.data(f"  0.4: {row.before}")
        console.data(f"  0.5: {row.after}")
        if row.codemod != "-":
            console.data(f"  done by: {row.codemod}")
        if row.check != "-":
            console.data(f"  in a project of 0.5: {row.check}")


def _data(row: Row) -> dict[str, str]:
    return {
        "row": row.id,
        "tier": tier_of(row.id),
        "area": row.area,
        "before": row.before,
        "after": row.after,
        "class": row.change,
        "codemod": row.codemod,
        "check": row.check,
    }


def selection(only: str, skip: str) -> frozenset[str]:
    """Return the ids of the codemods to run.

    Raises:
        CommandFailed: an id that is none (exit code 2); the hint names the nearest.
    """
    known = all_codemods()
    chosen: list[set[str]] = []
    for flag, text in (("--only", only), ("--skip", skip)):
        names = {part.upper() for part in re.split(r"[,\s]+", text.strip()) if part}
        for name in sorted(names):
            if name not in known:
                near = nearest(name, list(known))
                raise CommandFailed(
                    f"{flag}: there is no codemod {name!r}",
                    hint=f"did you mean {near}?" if near else "realtime upgrade --list",
                    code=USAGE,
                )
        chosen.append(names)
    return frozenset((chosen[0] or set(known)) - chosen[1])
