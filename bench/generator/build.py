"""Compile the load generator once per source, and run it."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.case import CannotMeasure
from bench.processes import ROOT, cores, pin_to

FOLDER = Path(__file__).parent
CACHE = ROOT / "bench" / "results" / "build"
RUN_TIMEOUT = 240
ADDRESSES = 20_000  # loopback addresses of one run; each is used for a few connections only
FALLBACK_MODES = frozenset({"fanout", "topics", "rpc", "upload"})

_runs = itertools.count()


def _sources() -> list[Path]:
    return sorted([*FOLDER.glob("*.c"), *FOLDER.glob("*.h")])


@functools.cache
def generator() -> tuple[str, list[str]]:
    """Return the kind of generator ("c" or "python") and the command that starts it."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler and sys.platform == "linux" and not os.environ.get("BENCH_PYTHON_GENERATOR"):
        digest = hashlib.sha256(b"".join(source.read_bytes() for source in _sources())).hexdigest()[:12]
        program = CACHE / f"loadgen-{digest}"
        if program.exists():
            return "c", [str(program)]
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = program.with_name(f"{program.name}.{os.getpid()}")
        files = [str(source) for source in _sources() if source.suffix == ".c"]
        command = [compiler, "-std=gnu11", "-O2", "-o", str(unfinished), *files]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode == 0:
            unfinished.replace(program)
            return "c", [str(program)]
        print(f"{compiler} cannot build the load generator, using Python:\n{built.stderr}", file=sys.stderr)
    return "python", [sys.executable, "-m", "bench.generator.fallback"]


def generate(arguments: Sequence[str], *, on_mark: Callable[[str], None] | None = None) -> dict[str, float]:
    """Run the generator on its own core and return what it counted.

    Args:
        arguments: a mode of `loadgen.c` and its options.
        on_mark: called with each point that the run comes to; the generator waits until it returns.

    Raises:
        RuntimeError: with the generator's message, when something was lost or it did not end.
        CannotMeasure: only the generator in C has this mode, and there is none.
    """
    kind, command = generator()
    if kind != "c" and arguments[0] not in FALLBACK_MODES:
        raise CannotMeasure("needs the generator in C: Linux and a C compiler")
    more = ["--source-base", str(next(_runs) * ADDRESSES), *(("--stepwise", "1") if on_mark else ())]
    process = subprocess.Popen(
        [*command, *arguments, *more],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=pin_to(cores()[1]),
    )
    watchdog = threading.Timer(RUN_TIMEOUT, process.kill)
    watchdog.start()
    try:
        with process:
            assert process.stdin
            assert process.stdout
            assert process.stderr
            last = ""
            for line in process.stdout:
                if not line.startswith("# "):
                    last = line
                elif on_mark is not None:
                    on_mark(line[2:].strip())
                    process.stdin.write("\n")
                    process.stdin.flush()
            message = process.stderr.read().strip()
    except BaseException:
        process.kill()
        raise
    finally:
        watchdog.cancel()
    if process.returncode != 0:
        raise RuntimeError(message or f"the load generator ended with {process.returncode}")
    figures: dict[str, float] = json.loads(last)
    return figures
