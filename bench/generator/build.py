"""Compile the load generator once per source, and run it."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.processes import ROOT, cores, pin_to

SOURCE = Path(__file__).with_name("loadgen.c")
CACHE = ROOT / "bench" / "results" / "build"
RUN_TIMEOUT = 180


@functools.cache
def generator() -> tuple[str, list[str]]:
    """Return the kind of generator ("c" or "python") and the command that starts it."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler and sys.platform == "linux" and not os.environ.get("BENCH_PYTHON_GENERATOR"):
        digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
        program = CACHE / f"loadgen-{digest}"
        if program.exists():
            return "c", [str(program)]
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [compiler, "-O2", "-o", str(program), str(SOURCE)]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode == 0:
            return "c", [str(program)]
        print(f"{compiler} cannot build the load generator, using Python:\n{built.stderr}", file=sys.stderr)
    return "python", [sys.executable, "-m", "bench.generator.fallback"]


def generate(arguments: Sequence[str]) -> dict[str, float]:
    """Run the generator on its own core and return what it counted; raise with its message when it failed."""
    _, command = generator()
    done = subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_TIMEOUT,
        preexec_fn=pin_to(cores()[1]),
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"the load generator ended with {done.returncode}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
