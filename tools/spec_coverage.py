"""Compare the checklist of the specification with the tests that name its items.

`python -m tools.spec_coverage` reads the item ids (`tests/spec/items.txt`), the exemptions
(`tests/spec/exemptions.toml`) and every `pytest.mark.spec(...)` under the test roots, and prints what does
not fit: items with neither a test nor an exemption, marks and exemptions of unknown items, items that are
exempt although a test proves them. With `--report FILE`, which `pytest --spec-report FILE` wrote, an item
counts as tested only when one of its tests ran and passed.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEST_ROOTS = ("tests", "scaffolds")
_ID = re.compile(r"[A-Z]+-[1-9]\d*")
_RANGE = re.compile(r"([A-Z]+)-(\d+)(?:\.\.(\d+))?")


class CoverageInputError(Exception):
    """The item list, the exemptions or a mark cannot be read; the text names the file and what to write."""


@dataclass(slots=True)
class Findings:
    """What does not fit together, each list sorted in the order of the checklist."""

    untested: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    needlessly_exempt: list[str] = field(default_factory=list)
    tested: int = 0
    exempt: int = 0
    total: int = 0

    @property
    def failed(self) -> bool:
        """Whether anything is left to do."""
        return bool(self.untested or self.unknown or self.needlessly_exempt)


def read_items(path: Path) -> dict[str, str]:
    """Return the titles of all items by id, in file order."""
    items: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        name, _, title = line.partition(" ")
        if not _ID.fullmatch(name) or not title.strip():
            raise CoverageInputError(f"{path}:{number}: expected 'ID title', found {line!r}")
        if name in items:
            raise CoverageInputError(f"{path}:{number}: {name} is listed twice")
        items[name] = title.strip()
    return items


def expand(entry: str) -> list[str]:
    """Return the ids of `WIRE-3` or `WIRE-3..7`."""
    match = _RANGE.fullmatch(entry)
    if match is None:
        raise CoverageInputError(f"{entry!r} is neither an id such as WIRE-3 nor a range such as WIRE-3..7")
    first = int(match[2])
    last = int(match[3] or first)
    if last < first:
        raise CoverageInputError(f"{entry!r}: the range ends before it begins")
    return [f"{match[1]}-{number}" for number in range(first, last + 1)]


def read_exemptions(path: Path) -> dict[str, str]:
    """Return the feature each exempt item waits for."""
    exempt: dict[str, str] = {}
    for feature in tomllib.loads(path.read_text(encoding="utf-8")).get("feature", []):
        name = feature.get("name")
        if not name or not feature.get("reason"):
            raise CoverageInputError(f"{path}: every [[feature]] needs a name and a reason: {feature!r}")
        for entry in feature.get("items", []):
            for item in expand(entry):
                if item in exempt:
                    raise CoverageInputError(f"{path}: {item} is exempt twice: {exempt[item]!r} and {name!r}")
                exempt[item] = name
    return exempt


def compact(items: Iterable[str]) -> list[str]:
    """Return ids, in order, with neighbours joined to ranges: the reverse of `expand`."""
    runs: list[tuple[str, int, int]] = []
    for item in items:
        prefix, _, text = item.partition("-")
        number = int(text)
        if runs and runs[-1][0] == prefix and runs[-1][2] == number - 1:
            runs[-1] = (prefix, runs[-1][1], number)
        else:
            runs.append((prefix, number, number))
    return [f"{prefix}-{first}" + (f"..{last}" if last > first else "") for prefix, first, last in runs]


def prune(text: str, tested: Iterable[str]) -> str:
    """Return the text of an exemptions file without the items that tests prove; empty features go."""
    proved = set(tested)
    head, *features = text.split("[[feature]]\n")
    kept: list[str] = []
    for feature in features:
        entries = tomllib.loads(feature)["items"]
        items = compact(item for entry in entries for item in expand(entry) if item not in proved)
        if items:
            line = "items = [" + ", ".join(f'"{item}"' for item in items) + "]"
            kept.append(re.sub(r"^items = \[.*?\]$", line, feature, flags=re.MULTILINE | re.DOTALL))
    return head + "".join(f"[[feature]]\n{feature}" for feature in kept)


def _is_spec_mark(node: ast.Call) -> bool:
    called = node.func
    return (
        isinstance(called, ast.Attribute)
        and called.attr == "spec"
        and isinstance(called.value, ast.Attribute)
        and called.value.attr == "mark"
    )


def marks_of(source: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield `(item, "file:line")` for every `pytest.mark.spec("ITEM")` of one module.

    A mark whose items are computed counts every id that stands in the module as a string.
    """
    tree = ast.parse(source, filename=name)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not _is_spec_mark(node):
            continue
        plain = all(isinstance(argument, ast.Constant) for argument in node.args)
        for part in node.args if plain else ast.walk(tree):
            if not isinstance(part, ast.Constant) or not isinstance(part.value, str):
                continue
            if plain or _ID.fullmatch(part.value):
                yield part.value, f"{name}:{part.lineno}"


def read_marks(root: Path, folders: Iterable[str] = TEST_ROOTS) -> dict[str, list[str]]:
    """Return where each item is named, for all Python files of the test roots."""
    marks: dict[str, list[str]] = defaultdict(list)
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            relative = path.relative_to(root).as_posix()
            for item, place in marks_of(path.read_text(encoding="utf-8"), relative):
                marks[item].append(place)
    return dict(marks)


def read_report(path: Path) -> dict[str, list[str]]:
    """Return the passed tests of each item from a report of `pytest --spec-report`."""
    outcomes: Mapping[str, Mapping[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    passed = {
        item: [test for test, outcome in tests.items() if outcome == "passed"]
        for item, tests in outcomes.items()
    }
    return {item: tests for item, tests in passed.items() if tests}


def compare(items: Mapping[str, str], exempt: Mapping[str, str], tested: Mapping[str, list[str]]) -> Findings:
    """Return what does not fit between the checklist, the exemptions and the tests."""
    found = Findings(total=len(items), exempt=len(exempt), tested=sum(1 for item in items if item in tested))
    for item in items:
        if item in tested and item in exempt:
            found.needlessly_exempt.append(
                f"{item}: exempt ({exempt[item]}), but proved by {tested[item][0]}"
            )
        elif item not in tested and item not in exempt:
            found.untested.append(f"{item}: {items[item]}")
    for item, places in tested.items():
        if item not in items:
            found.unknown.append(f"{item}: named by {places[0]}")
    found.unknown.extend(f"{item}: exempt ({name})" for item, name in exempt.items() if item not in items)
    return found


def describe(found: Findings) -> list[str]:
    """Return the lines of the report."""
    lines: list[str] = []
    for title, entries in (
        (
            "Neither tested nor exempt: write the test, or name the missing feature in exemptions.toml",
            found.untested,
        ),
        ("Unknown item: correct the id; all ids are in tests/spec/items.txt", found.unknown),
        ("Tested and exempt: remove it from exemptions.toml", found.needlessly_exempt),
    ):
        if entries:
            lines += [f"{title} ({len(entries)})", *(f"  {entry}" for entry in entries)]
    lines.append(
        f"{found.total} items: {found.tested} tested, {found.exempt} exempt, {len(found.untested)} open"
    )
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Print the comparison; return 0 when nothing is left, 1 on findings, 2 when an input cannot be read."""
    parser = argparse.ArgumentParser(prog="spec_coverage", description="Compare checklist items with tests.")
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument(
        "--report", type=Path, help="file of pytest --spec-report: count only tests that passed"
    )
    parser.add_argument(
        "--prune", action="store_true", help="remove what tests prove from exemptions.toml first"
    )
    options = parser.parse_args(arguments)
    folder = options.root / "tests" / "spec"
    try:
        items = read_items(folder / "items.txt")
        tested = read_marks(options.root) if options.report is None else read_report(options.report)
        exemptions = folder / "exemptions.toml"
        if options.prune:
            exemptions.write_text(prune(exemptions.read_text(encoding="utf-8"), tested), encoding="utf-8")
        exempt = read_exemptions(exemptions)
    except (OSError, SyntaxError, ValueError, CoverageInputError) as problem:
        print(f"spec-coverage: {problem}", file=sys.stderr)
        return 2
    found = compare(items, exempt, tested)
    print("\n".join(describe(found)))
    return 1 if found.failed else 0


if __name__ == "__main__":
    sys.exit(main())
