"""`realtime upgrade`: large trees, looked at without writing. Spec: UPGC-80.

`upgrade` looks at 10,000 files that do not mention our package, which are left out before they are parsed, and then at
the same with 500 files in which each of two codemods has something to do.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.case import Case, Figure, Measurement, Run
from bench.processes import ROOT, environment_of_children

FILES = 10_000
MENTIONING = 500
DEADLINE = 300.0
COMMAND = [sys.executable, "-m", "realtime_cli", "upgrade", "--dry-run", "--allow-dirty", "--quiet"]
OTHER = """\
from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass
class Item{number}:
    id: int
    name: str

    def as_json(self) -> str:
        return json.dumps({{"id": self.id, "name": self.name}})


def total{number}(items: list[Item{number}]) -> int:
    return sum(item.id for item in items)
"""
OURS = """\
from runtime import live, on_cron_error


@live
async def rename_{number}(ctx, title: str):
    ctx.throttle("titles-{number}", "changed", title, 2)
    ctx.signal(1, "renamed", title)
    return title


on_cron_error(print)
"""


def write_project(root: Path, files: int, mentioning: int) -> None:
    """Write a project of the old layout with so many files, and so many beside them that mention our package."""
    (root / "pyproject.toml").write_text(
        '[project]\nname = "x"\ndependencies = ["realtime-toolkit~=0.4.20"]\n'
    )
    (root / "hooks_ws.py").write_text("def upgrade(ctx):\n    return {}\n")
    for number in range(files):
        folder = root / f"package_{number % 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"module_{number}.py").write_text(OTHER.format(number=number) * 4)
    (root / "live").mkdir()
    for number in range(mentioning):
        (root / "live" / f"live_{number}.py").write_text(OURS.format(number=number))


def _seconds(root: Path) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        COMMAND,
        cwd=root,
        env={**environment_of_children(), "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    took = time.perf_counter() - began
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"exit code {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
    return took


def measure(contestant: str, run: Run) -> Measurement:
    """Return the seconds for a tree that has nothing to do with us, and for the same with files that have."""
    files, mentioning = (max(10, round(number * run.scale.share)) for number in (FILES, MENTIONING))
    with tempfile.TemporaryDirectory(prefix="bench-upgrade-") as folder:
        root = Path(folder)
        write_project(root, files, 0)
        without = _seconds(root)
    with tempfile.TemporaryDirectory(prefix="bench-upgrade-") as folder:
        root = Path(folder)
        write_project(root, files, mentioning)
        return {"unmentioned_s": without, "mentioned_s": _seconds(root)}


CASES = (
    Case(
        name="upgrade",
        title=f"realtime upgrade --dry-run, {FILES:,} files",
        figures=(
            Figure("unmentioned_s", "s", higher_is_better=False),
            Figure("mentioned_s", "s", higher_is_better=False),
        ),
        contestants=("ours",),
        measure=measure,
        rounds=2,
        setting=f"both cores; modules of 68 lines without our package, then {MENTIONING} more that need two codemods",
    ),
)
