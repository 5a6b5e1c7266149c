"""Put results into the documents: `python -m bench.report [RESULT ...]`.

Takes the newest file in `bench/results/`, or those named (a case of a later file replaces that of an earlier one), and
keeps it as `bench/results/reference.json`. From that it writes the tables between the marks `<!-- bench: NAME -->` and
`<!-- /bench -->` of `docs/performance.md`, and a plot per case into `docs/images/performance/`. `--check` writes
nothing and ends with status 1 when they differ from what is stored. A smoke run is refused: its counts are too small.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.goals import GOALS, goal_of
from bench.plot import Bar, bars, number
from bench.processes import ROOT
from bench.servers import VARIANTS, title_of

RESULTS = ROOT / "bench" / "results"
REFERENCE = RESULTS / "reference.json"
PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images" / "performance"
NOT_MEASURED = "No result is stored yet: run `make bench-full`, then `python -m bench.report`."
KEPT = (
    "when",
    "commit",
    "changed_files",
    "machine",
    "python",
    "versions",
    "peer_versions",
    "settings",
    "generator",
    "scale",
    "cases",
)
VERDICTS = {"goal": "goal", "floor": "floor", "below": "**below**"}
_MARKS = re.compile(r"(<!-- bench: ([\w-]+) -->\n).*?(<!-- /bench -->)", re.DOTALL)

Result = Mapping[str, Any]


def _with_range(figures: Mapping[str, Any]) -> str:
    median = number(figures["median"])
    low, high = number(figures["min"]), number(figures["max"])
    return median if low == high else f"{median} ({low} - {high})"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def case_table(name: str, case: Mapping[str, Any]) -> list[str]:
    """Return the table of a case: a line per contestant, a column per figure and the ratios."""
    figures: Mapping[str, Mapping[str, Any]] = case["figures"]
    several = len(figures) > 1
    head = ["contestant"]
    for figure, described in figures.items():
        short = f"{figure.partition('_')[0]} " if several and described["unit"] == "ms" else ""
        head += [f"{short}{described['unit']}", "ours is"]
    lines = [_row(*head), _row("---", *["--:"] * (len(head) - 1))]
    for contestant, found in case["contestants"].items():
        cells = [title_of(contestant)]
        for figure in figures:
            ratio = case["advantage"].get(figure, {}).get(contestant)
            goal = goal_of(name, figure, contestant)
            aim = f" (aim {goal.text()})" if goal and goal.beside else ""
            cells += [
                _with_range(found[figure]) if figure in found else "-",
                f"{ratio['median']:.2f}x{aim}" if ratio else "",
            ]
        lines.append(_row(*cells))
    for contestant, reason in {**case["skipped"], **case["failed"]}.items():
        kind = "not measured" if contestant in case["skipped"] else "failed"
        lines += ["", f"{title_of(contestant)}: {kind}, {reason}."]
    measured = f" Measured {case['measured']}." if "measured" in case else ""
    return [*lines, "", f"Setting: {case['setting']}.{measured}"]


def goal_table(result: Result) -> list[str]:
    """Return the table of what should be reached and was."""
    lines = [_row("case", "figure", "beside", "floor / goal", "reached", ""), "|---|---|---|--:|--:|---|"]
    for goal in GOALS:
        case = result["cases"].get(goal.case)
        value = goal.value(case) if case else None
        if case is None or value is None:
            continue
        described = case["figures"][goal.figure]
        beside = title_of(goal.beside) if goal.beside else "-"
        reached = f"{value:.2f}x" if goal.beside else f"{number(value)} {described['unit']}"
        cells = (f"`{goal.case}`", f"`{goal.figure}`", beside, goal.text(), reached)
        lines.append(_row(*cells, VERDICTS[goal.verdict(value)]))
    return lines


def surroundings_table(result: Result) -> list[str]:
    """Return machine, versions and settings of the stored result."""
    machine = result["machine"]
    versions = {**result["peer_versions"], **result["versions"]}
    generator = (
        "the program in C" if result["generator"] == "c" else "the one in Python: read no ratios from this"
    )
    rows = {
        "measured": f"{result['when']}, commit `{result['commit']}`, scale {result['scale']}",
        "machine": f"{machine['processor']}, {machine['cores']} cores, {machine['system']}",
        "Python": result["python"],
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "generator": generator,
        "settings of ours": ", ".join(f"`{name} = {value}`" for name, value in result["settings"].items()),
    }
    return ["| | |", "|---|---|", *(_row(name, text) for name, text in rows.items())]


def plot(case: Mapping[str, Any]) -> str:
    """Return the chart of the main figure of a case."""
    metric = case["metric"]
    described = case["figures"][metric]
    rows = [
        Bar(
            title_of(contestant).replace("`", ""),
            found[metric]["median"],
            found[metric]["min"],
            found[metric]["max"],
            "ours" if contestant == "ours" else "variant" if contestant in VARIANTS else "peer",
        )
        for contestant, found in case["contestants"].items()
    ]
    better = bool(described["higher_is_better"])
    return bars(
        case["title"],
        described["unit"],
        sorted(rows, key=lambda row: row.median, reverse=better),
        higher_is_better=better,
    )


def section(name: str, result: Result | None) -> str:
    """Return what stands between the marks of one name."""
    if result is None:
        return f"{NOT_MEASURED}\n"
    if name == "surroundings":
        return "\n".join(surroundings_table(result)) + "\n"
    if name == "goals":
        return "\n".join(goal_table(result)) + "\n"
    case = result["cases"].get(name)
    if case is None or not case["contestants"]:
        return f"The stored result does not hold this case: run `python -m bench.run {name}`.\n"
    picture = f"![{case['title']}](images/performance/{name}.svg)"
    return "\n".join([picture, "", *case_table(name, case)]) + "\n"


def page(text: str, result: Result | None) -> str:
    """Return the page with its marked parts written anew."""
    return _MARKS.sub(lambda found: f"{found[1]}{section(found[2], result)}{found[3]}", text)


def plots(result: Result | None) -> dict[str, str]:
    """Return the text of each plot by file name."""
    cases = result["cases"] if result else {}
    return {f"{name}.svg": plot(case) for name, case in cases.items() if case["contestants"]}


def stored() -> Result | None:
    """Return the result that the documents are made from, None when there is none."""
    if not REFERENCE.exists():
        return None
    found: Result = json.loads(REFERENCE.read_text(encoding="utf-8"))
    return found


def outdated() -> list[str]:
    """Return the documents that differ from what the stored result says."""
    result = stored()
    wanted = plots(result)
    text = PAGE.read_text(encoding="utf-8")
    found = [] if page(text, result) == text else [PAGE.name]
    present = {path.name: path.read_text(encoding="utf-8") for path in IMAGES.glob("*.svg")}
    return found + sorted(name for name in {*wanted, *present} if wanted.get(name) != present.get(name))


def newest() -> Path:
    """Return the result file written last; exits when there is none."""
    found = sorted(path for path in RESULTS.glob("*.json") if path != REFERENCE)
    if not found:
        sys.exit("no result in bench/results: run make bench or make bench-full first")
    return found[-1]


def merged(sources: Sequence[Path]) -> dict[str, Any]:
    """Return the first result with the cases of the others put in; exits when one is of a smoke run."""
    results = [json.loads(source.read_text(encoding="utf-8")) for source in sources]
    for source, result in zip(sources, results, strict=True):
        if result["scale"] == "smoke":
            sys.exit(f"{source.name} is a smoke run: its counts are too small for the documents")
    first = {name: results[0][name] for name in KEPT}
    for result in results[1:]:
        measured = f"{result['when']}, commit `{result['commit']}`, scale {result['scale']}"
        for name, case in result["cases"].items():
            first["cases"][name] = {**case, "measured": measured}
    return first


def write(result: Result) -> None:
    """Store the result, write the page and the plots, and remove plots of cases that are no longer there."""
    REFERENCE.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), result), encoding="utf-8")
    IMAGES.mkdir(parents=True, exist_ok=True)
    wanted = plots(result)
    for path in IMAGES.glob("*.svg"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (IMAGES / name).write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Keep a result and write the documents, or check them."""
    parser = argparse.ArgumentParser(
        prog="bench.report", description="Put a result into docs/performance.md."
    )
    parser.add_argument("results", nargs="*", type=Path, help="files of bench/results (default: the newest)")
    parser.add_argument("--check", action="store_true", help="only say what differs from the stored result")
    options = parser.parse_args(arguments)
    if options.check:
        found = outdated()
        for name in found:
            print(
                f"{name} is not what the stored result says: python -m bench.report bench/results/reference.json"
            )
        return 1 if found else 0
    sources: list[Path] = options.results or [newest()]
    write(merged(sources))
    print(
        f"docs/performance.md and {len(list(IMAGES.glob('*.svg')))} plots written from {len(sources)} result(s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
