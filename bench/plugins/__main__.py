"""`python -m bench.plugins [PLUGIN ...]`: print a table; `--keep` writes it into the documentation."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import pkgutil
import platform
import sys
from dataclasses import asdict
from pathlib import Path

import bench.plugins
from bench.plugins.harness import Case, Figures, measure
from bench.plugins.table import table

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "bench/results/plugins.json"
PAGE = ROOT / "docs/plugins/costs.md"


def cases() -> list[Case]:
    """Return the cases of all modules of this package."""
    found: list[Case] = []
    for module in sorted(pkgutil.iter_modules(bench.plugins.__path__), key=lambda one: one.name):
        if module.name != "__main__":
            found += getattr(importlib.import_module(f"bench.plugins.{module.name}"), "CASES", [])
    return found


def machine() -> str:
    """Return what the figures were measured with."""
    system = f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores"
    return f"{platform.python_implementation()} {platform.python_version()}, asyncio's own loop, {system}."


async def run(chosen: list[Case], *, rounds: int, stretch: float) -> list[Figures]:
    """Measure the cases one after the other."""
    found = []
    for case in chosen:
        print(f"{case.plugin}: {case.operation} ...", file=sys.stderr, flush=True)
        found.append(await measure(case, rounds=rounds, stretch=stretch))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.plugins", description=__doc__)
    parser.add_argument("plugins", nargs="*", help="only these plugins")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stretch", type=float, default=0.2, help="seconds per side and round")
    parser.add_argument("--keep", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    known = cases()
    names = {case.plugin for case in known}
    if unknown := set(options.plugins) - names:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}")
    chosen = [case for case in known if not options.plugins or case.plugin in options.plugins]
    figures = asyncio.run(run(chosen, rounds=options.rounds, stretch=options.stretch))
    rows = [asdict(one) for one in figures]
    if options.keep:
        kept = json.loads(RESULT.read_text()) if RESULT.exists() else {"rows": []}
        measured = {(row["plugin"], row["operation"]) for row in rows}
        others = [
            row
            for row in kept["rows"]
            if row["plugin"] in names and (row["plugin"], row["operation"]) not in measured
        ]
        result = {"machine": machine(), "rows": sorted([*others, *rows], key=lambda row: row["plugin"])}
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
        PAGE.write_text(table(result))
    print(table({"machine": machine(), "rows": rows}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
