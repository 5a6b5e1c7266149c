"""`realtime check`: a project of many live modules, without an import of them.

Beside it, what the interpreter needs to read and parse the same files: nothing that looks at the code takes less.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.case import Case, Figure, Measurement, Run
from bench.processes import ROOT, cores, environment_of_children, pin_to
from realtime_cli.rules.examples import BASE

MODULES = 1000
DEADLINE = 120.0
PARSE = (
    "import ast,pathlib\nfor p in pathlib.Path('live').glob('*.py'): ast.parse(p.read_text(encoding='utf-8'))"
)
COMMANDS = {
    "ours": [sys.executable, "-m", "realtime_cli", "check", "--no-import", "--quiet"],
    "ast.parse": [sys.executable, "-c", PARSE],
}
MODULE = """\
from __future__ import annotations

from dataclasses import dataclass

from app.store import store
from runtime import LiveError, guard, live
from runtime.plugins import Dedup

_guard = guard(authenticated=True)
seen = Dedup()


@dataclass
class Todo:
    id: str
    title: str
    done: bool = False


@live.stream("todos-{number}", merge="crud", key="id")
async def todos(ctx) -> list[Todo]:
    return [Todo(**row) for row in await store.all()]


@live
async def add(ctx, title: str) -> str:
    if not title.strip():
        raise LiveError("VALIDATION", "a title is needed")
    if not await seen.claim(f"{{ctx.user['id']}}:{{title}}"):
        return ""
    row = await store.insert(title=title.strip(), owner=ctx.user["id"])
    ctx.publish("todos-{number}", "created", row)
    return row["id"]


@live.rate_limit(10, 60)
@live
async def rename(ctx, id: str, title: str) -> dict[str, str]:
    await _check(ctx, id)
    row = await store.update(id, title=title)
    for key, value in list(row.items()):
        if value is None:
            row.pop(key)
    try:
        ctx.publish("todos-{number}", "updated", row)
    finally:
        result = {{name: str(value) for name, value in row.items()}}
    return result


async def _check(ctx, id: str) -> None:
    row = await store.get(id)
    if row is None or row["owner"] != ctx.user["id"]:
        raise LiveError("FORBIDDEN", "not yours")
"""
STORE = """\
class Store:
    async def all(self): return []
    async def insert(self, **row): return row
    async def get(self, id): ...
    async def update(self, id, **row): ...


store = Store()
"""


def write_project(root: Path, modules: int) -> None:
    """Write a project of so many live modules, in which nothing is found."""
    shutil.copytree(BASE, root, dirs_exist_ok=True)
    (root / "app").mkdir()
    (root / "app" / "store.py").write_text(STORE, encoding="utf-8")
    for number in range(modules):
        (root / "live" / f"todos_{number}.py").write_text(MODULE.format(number=number), encoding="utf-8")


def measure(contestant: str, run: Run) -> Measurement:
    """Return how long a command takes for the whole project."""
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        write_project(Path(folder), max(10, round(MODULES * run.scale.share)))
        began = time.perf_counter()
        done = subprocess.run(
            COMMANDS[contestant],
            cwd=folder,
            env={**environment_of_children(), "PYTHONPATH": str(ROOT)},
            check=False,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            preexec_fn=pin_to(cores()[1]),
        )
        took = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
    return {"ms": took * 1000}


CASES = (
    Case(
        name="check",
        title=f"realtime check --no-import, {MODULES:,} live modules",
        figures=(Figure("ms", "ms", higher_is_better=False),),
        contestants=("ours", "ast.parse"),
        measure=measure,
        rounds=3,
        setting="modules of 55 lines with a stream and two calls; the peer reads and parses them, nothing more",
    ),
)
