"""Run the benchmarks: `python -m bench.run [--quick] [CASE ...]`.

Prints each round, then a table of medians and of ratios, and writes everything as JSON to `bench/results/`.
Ratios are compared with `bench/baseline.json`; `--check` turns a clear fall below it into exit status 1,
`--write-baseline` stores the ratios of this run. `python -m bench.report` turns a result into the tables and plots
of `docs/performance.md`.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from bench.case import FULL, QUICK, SMOKE, Case, CaseResult, Run, ratios, run_case
from bench.cases import (
    aggregates,
    check,
    fanout,
    idle,
    latency,
    reload,
    rpc,
    startup,
    storm,
    streams,
    topics,
    upgrade,
    upload,
    uploadstream,
    wrappers,
)
from bench.goals import GOALS
from bench.pool import Pool
from bench.processes import ROOT
from bench.surroundings import described, surroundings

# The short ones first: what they leave of their share of a quick run's time is for the long ones.
CASES: tuple[Case, ...] = (
    *startup.CASES,
    *check.CASES,
    *aggregates.CASES,
    *upload.CASES,
    *uploadstream.CASES,
    *storm.CASES,
    *upgrade.CASES,
    *streams.CASES,
    *rpc.CASES,
    *wrappers.CASES,
    *reload.CASES,
    *topics.CASES,
    *latency.CASES,
    *idle.CASES,
    *fanout.CASES,
)
RESULTS = ROOT / "bench" / "results"
BASELINE = ROOT / "bench" / "baseline.json"
TOLERANCE = 0.25
QUICK_SECONDS = (
    510.0  # a quick run begins no further round of a case that would not fit into its share of this
)


def _say(line: str) -> None:
    print(line, flush=True)


def table(results: Iterable[CaseResult], baseline: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the lines of the summary."""
    head = f"{'case':<15}{'contestant':<18}{'figure':<20}{'median':>11}{'range':>24}"
    lines = ["", f"{head}{'ours is':>10}{'baseline':>10}"]
    for result in results:
        found = result.as_json()
        for figure in result.case.figures:
            for name, metrics in found["contestants"].items():
                figures = metrics.get(figure.name)
                if figures is None:
                    continue
                ratio = found["advantage"][figure.name].get(name, {}).get("median")
                earlier = baseline.get(result.case.name, {}).get(name)
                is_main = figure.name == result.case.metric
                span = f"{figures['min']:,.4g} - {figures['max']:,.4g}"
                row = (
                    f"{result.case.name:<15}{name:<18}{figure.name:<20}{figures['median']:>11,.4g}{span:>24}"
                )
                times = f"{ratio:.2f}x" if ratio else ""
                before = f"{earlier:.2f}x" if earlier and is_main else ""
                lines.append(f"{row}{times:>10}{before:>10}".rstrip())
        if result.note:
            lines.append(f"{result.case.name}: {result.note}")
    lines.append("")
    lines.append("'ours is' says how many times better ours is; the range is over the rounds of this run.")
    return lines


def goals(cases: Mapping[str, Any]) -> list[str]:
    """Return a line for each goal whose figures were measured."""
    lines: list[str] = []
    for goal in GOALS:
        value = goal.value(cases[goal.case]) if goal.case in cases else None
        if value is not None:
            beside = f"{value:.2f}x of {goal.beside}" if goal.beside else f"{value:.2f}"
            lines.append(
                f"{goal.verdict(value):<6} {goal.case} {goal.figure}: {beside} (floor / goal: {goal.text()})"
            )
    return lines


def regressions(results: Iterable[CaseResult], baseline: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the ratios that fell clearly below the baseline."""
    found: list[str] = []
    for result in results:
        for name, median in ratios(result.as_json()).items():
            earlier = baseline.get(result.case.name, {}).get(name)
            if earlier and median < earlier * (1 - TOLERANCE):
                found.append(f"{result.case.name} beside {name}: {median:.2f}x, was {earlier:.2f}x")
    return found


def chosen(names: list[str]) -> list[Case]:
    """Return the named cases, all of them without a name; exits with the known names on an unknown one."""
    unknown = [name for name in names if name not in {case.name for case in CASES}]
    if unknown:
        sys.exit(f"no such case: {', '.join(unknown)}; there are {', '.join(case.name for case in CASES)}")
    return [case for case in CASES if not names or case.name in names]


def raise_descriptors() -> int:
    """Raise the soft limit of open files to the hard one, also for what is started later; return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def short_of_descriptors(cases: Iterable[Case], limit: int, share: float) -> dict[str, str]:
    """Return the cases that need more open files than are allowed, with the sentence that says so."""
    return {
        case.name: f"needs {round(case.descriptors * share):,} open files and ulimit -n allows {limit:,}: skipped"
        for case in cases
        if case.descriptors * share > limit
    }


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench", description="Measure beside other servers, as ratios of one run."
    )
    parser.add_argument("cases", nargs="*", help="which cases (default: all)")
    parser.add_argument("--quick", action="store_true", help="short stretches and the usual peers only")
    parser.add_argument("--smoke", action="store_true", help="tiny counts: does everything work, no figures")
    parser.add_argument(
        "--only", action="append", default=[], help="only this contestant, of all peers (may be repeated)"
    )
    parser.add_argument("--rounds", type=int, help="measure each contestant so often")
    parser.add_argument(
        "--check", action="store_true", help="fail when a ratio fell clearly below the baseline"
    )
    parser.add_argument("--write-baseline", action="store_true", help="store the ratios of this run")
    return parser.parse_args(arguments)


def measure(cases: list[Case], options: argparse.Namespace) -> list[CaseResult]:
    """Measure the cases one after the other; a quick run of all of them keeps to its time."""
    scale = SMOKE if options.smoke else QUICK if options.quick else FULL
    if options.rounds:
        scale = replace(scale, rounds=options.rounds)
    limit = raise_descriptors()
    short = short_of_descriptors(cases, limit, scale.share)
    for name, reason in short.items():
        _say(f"{name}: {reason}")
    began = time.monotonic()
    results: list[CaseResult] = []
    measured = [case for case in cases if case.name not in short]
    for number, case in enumerate(measured, 1):
        _say(f"{case.name}: {case.title}\n  {case.setting}")
        until = began + QUICK_SECONDS * number / len(measured) if options.quick else None
        with Pool() as pool:
            run = Run(scale, pool)
            results.append(run_case(case, run, only=frozenset(options.only), say=_say, until=until))
    return results


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; return 1 when something failed or `--check` found a regression."""
    options = _options(arguments)
    cases = chosen(options.cases)
    document: dict[str, Any] = surroundings()
    print("\n".join(described(document)), flush=True)
    results = measure(cases, options)
    document["scale"] = "smoke" if options.smoke else "quick" if options.quick else "full"
    document["cases"] = {result.case.name: result.as_json() for result in results}
    RESULTS.mkdir(parents=True, exist_ok=True)
    target = RESULTS / f"{document['when'].replace(':', '')}-{document['commit']}.json"
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    baseline = json.loads(BASELINE.read_text(encoding="utf-8"))["advantage"] if BASELINE.exists() else {}
    print("\n".join([*table(results, baseline), *goals(document["cases"])]))
    print(f"written to {target.relative_to(ROOT)}")
    fallen = regressions(results, baseline)
    for line in fallen:
        print(f"slower than the baseline: {line}")
    failed = [
        f"{result.case.name} {name}: {why}" for result in results for name, why in result.failed.items()
    ]
    for line in failed:
        print(f"FAILED: {line}")
    if options.write_baseline:
        write_baseline(document, baseline)
    return 1 if failed or (options.check and fallen) else 0


def write_baseline(document: Mapping[str, Any], baseline: Mapping[str, Any]) -> None:
    """Replace the ratios of the cases that were run."""
    names = ("when", "commit", "machine", "python", "versions", "generator", "scale")
    merged = {**baseline, **{name: ratios(case) for name, case in document["cases"].items()}}
    kept = {name: document[name] for name in names}
    BASELINE.write_text(json.dumps({**kept, "advantage": merged}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
