"""Run the benchmarks: `python -m bench.run [--quick] [CASE ...]`.

Prints each round, then a table of medians and of ratios, and writes everything as JSON to `bench/results/`.
Ratios are compared with `bench/baseline.json`; `--check` turns a clear fall below it into exit status 1,
`--write-baseline` stores the ratios of this run.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.case import Case, CaseResult, run_case
from bench.cases import fanout, reload, rpc, startup
from bench.generator.build import generator
from bench.processes import ROOT, cores

CASES: tuple[Case, ...] = (*fanout.CASES, *rpc.CASES, *reload.CASES, *startup.CASES)
RESULTS = ROOT / "bench" / "results"
BASELINE = ROOT / "bench" / "baseline.json"
TOLERANCE = 0.25
PACKAGES = ("realtime-toolkit", "msgspec", "starlette", "uvicorn", "uvloop", "websockets", "watchfiles")


def _say(line: str) -> None:
    print(line, flush=True)


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "-"


def surroundings() -> dict[str, Any]:
    """Return what a reader must know to judge the figures: machine, versions, commit, load."""
    server, client = cores()
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": _output("git", "rev-parse", "--short=12", "HEAD"),
        "changed_files": len(_output("git", "status", "--porcelain", "--untracked-files=no").splitlines()),
        "machine": {
            "system": f"{platform.system()} {platform.release()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
            "server_core": server,
            "generator_core": client,
            "load": [round(value, 2) for value in os.getloadavg()],
        },
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in PACKAGES},
        "generator": generator()[0],
    }


def table(results: Iterable[CaseResult], baseline: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the lines of the summary."""
    head = f"{'case':<14}{'contestant':<20}{'metric':<12}{'median':>12}{'range':>24}"
    lines = ["", f"{head}{'ours is':>10}{'baseline':>10}"]
    for result in results:
        described = result.as_json()
        for name, metrics in described["contestants"].items():
            figures = metrics.get(result.case.metric)
            if figures is None:
                continue
            ratio = described["advantage"].get(name, {}).get("median")
            earlier = baseline.get(result.case.name, {}).get(name)
            span = f"{figures['min']:,.4g} - {figures['max']:,.4g}"
            times = f"{ratio:.2f}x" if ratio else ""
            before = f"{earlier:.2f}x" if earlier else ""
            row = f"{result.case.name:<14}{name:<20}{result.case.metric:<12}{figures['median']:>12,.4g}"
            lines.append(f"{row}{span:>24}{times:>10}{before:>10}")
    lines.append("")
    lines.append("'ours is' says how many times better ours is; the range is over the rounds of this run.")
    return lines


def regressions(results: Iterable[CaseResult], baseline: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the ratios that fell clearly below the baseline."""
    found: list[str] = []
    for result in results:
        for name, figures in result.as_json()["advantage"].items():
            earlier = baseline.get(result.case.name, {}).get(name)
            if earlier and figures["median"] < earlier * (1 - TOLERANCE):
                found.append(
                    f"{result.case.name} beside {name}: {figures['median']:.2f}x, was {earlier:.2f}x"
                )
    return found


def chosen(names: list[str]) -> list[Case]:
    """Return the named cases, all of them without a name; exits with the known names on an unknown one."""
    unknown = [name for name in names if name not in {case.name for case in CASES}]
    if unknown:
        sys.exit(f"no such case: {', '.join(unknown)}; there are {', '.join(case.name for case in CASES)}")
    return [case for case in CASES if not names or case.name in names]


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; return 1 when `--check` found a regression."""
    parser = argparse.ArgumentParser(
        prog="bench", description="Measure beside other servers, as ratios of one run."
    )
    parser.add_argument("cases", nargs="*", help="which cases (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--only", action="append", default=[], help="only this contestant (may be repeated)")
    parser.add_argument(
        "--check", action="store_true", help="fail when a ratio fell clearly below the baseline"
    )
    parser.add_argument("--write-baseline", action="store_true", help="store the ratios of this run")
    options = parser.parse_args(arguments)
    document: dict[str, Any] = surroundings()
    results: list[CaseResult] = []
    for case in chosen(options.cases):
        print(f"{case.name}: {case.title}", flush=True)
        results.append(run_case(case, quick=options.quick, only=frozenset(options.only), say=_say))
    document["quick"] = options.quick
    document["cases"] = {result.case.name: result.as_json() for result in results}
    RESULTS.mkdir(parents=True, exist_ok=True)
    target = RESULTS / f"{document['when'].replace(':', '')}-{document['commit']}.json"
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    baseline = json.loads(BASELINE.read_text(encoding="utf-8"))["advantage"] if BASELINE.exists() else {}
    print("\n".join(table(results, baseline)))
    print(f"written to {target.relative_to(ROOT)}")
    found = regressions(results, baseline)
    for line in found:
        print(f"slower than the baseline: {line}")
    if options.write_baseline:
        ratios = {
            name: {peer: figures["median"] for peer, figures in case["advantage"].items()}
            for name, case in document["cases"].items()
        }
        kept = {
            key: document[key]
            for key in ("when", "commit", "machine", "python", "versions", "generator", "quick")
        }
        merged = {**baseline, **ratios}
        BASELINE.write_text(json.dumps({**kept, "advantage": merged}, indent=1) + "\n", encoding="utf-8")
    return 1 if options.check and found else 0


if __name__ == "__main__":
    sys.exit(main())
