"""Check the rules of this repository that no off-the-shelf linter knows.

`python -m tools.house_rules` looks at every file that git tracks or would add, and prints
`file:line: rule: what to do` for each finding: calls that must go through an injected object (time, chance,
tasks), files that are too long or named after nothing, ignores without a reason, and texts that do not belong
into a repository (paths of one machine, addresses of package registries, keys). The tables below are the
rules; `[tool.house]` in `pyproject.toml` lists the files that may be longer, each with its decision record.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 600
SIZED_SUFFIXES = frozenset({".py", ".js", ".mjs", ".ts", ".c", ".css", ".lua", ".sql"})
TEXT_SUFFIXES = SIZED_SUFFIXES | {
    ".md",
    ".toml",
    ".txt",
    ".yml",
    ".yaml",
    ".json",
    ".html",
    ".jinja",
    ".sh",
    ".cfg",
    "",
}
# Code of projects, as people write it: templates, and the examples of what `realtime check` finds.
NOT_OURS = ("scaffolds/", "realtime_cli/rules/examples/", "tests/upgrade/example/", "tests/cli/check/broken/")
# Code whose product are comments that say what a person has to look at.
WRITES_NOTES = ("realtime_cli/codemods/", "tests/upgrade/")
NAMELESS_MODULES = frozenset({"utils.py", "helpers.py", "common.py", "misc.py", "base.py"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule."""

    file: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.message}"


@dataclass(frozen=True, slots=True)
class CallBan:
    """A call that is refused in some folders, except in the modules that own it."""

    rule: str
    names: frozenset[str]
    folders: tuple[str, ...]
    owners: tuple[str, ...]
    instead: str


CLOCK_OWNERS = ("runtime/core/clock.py", "runtime/core/tasks.py")
CALL_BANS = (
    CallBan(
        "bare-task",
        frozenset({"asyncio.create_task", "asyncio.ensure_future", "asyncio.Task", "<loop>.create_task"}),
        ("runtime/", "realtime_cli/"),
        # The second one's task runs a request: uvicorn's server keeps, awaits and cancels it as it does its own.
        ("runtime/core/tasks.py", "runtime/server/uvicornlink/doorway.py"),
        "start it with a TaskOwner or a TaskGroup, which name it, keep it and await it",
    ),
    CallBan(
        "own-clock",
        frozenset(
            {
                "time.time",
                "time.monotonic",
                "time.perf_counter",
                "time.time_ns",
                "time.monotonic_ns",
                "time.sleep",
            }
        ),
        ("runtime/",),
        CLOCK_OWNERS,
        "take the time from the injected Clock",
    ),
    CallBan("own-clock", frozenset({"asyncio.sleep"}), ("runtime/",), CLOCK_OWNERS, "await clock.sleep(...)"),
    CallBan(
        "own-chance",
        frozenset(
            f"random.{name}"
            for name in (
                "random",
                "uniform",
                "randint",
                "randrange",
                "choice",
                "choices",
                "shuffle",
                "sample",
                "seed",
            )
        ),
        ("runtime/",),
        CLOCK_OWNERS,
        "take a random.Random as a parameter, so that a test can seed it",
    ),
    CallBan(
        "wait-for", frozenset({"asyncio.wait_for"}), ("runtime/", "realtime_cli/"), (), "use asyncio.timeout"
    ),
)

# Written in pieces, so that this file does not find itself.
TEXT_BANS = (
    (
        "machine-path",
        re.compile(
            r"(?<![\w.])/(?:wor" r"k/(?:main|shared)|roo" r"t/|hom" r"e/[a-z]|User" r"s/[A-Za-z]|tm" r"p/rt)"
        ),
        "write a path relative to the repository or a placeholder",
    ),
    (
        "registry-host",
        re.compile(r"(?i)(?:pypi\.or" r"g|pythonhoste" r"d\.org|registry\.npmj" r"s|deb\.de" r"bian\.org)"),
        "name the package, not the server it comes from",
    ),
    (
        "secret",
        re.compile(r"-----BEGI" r"N [A-Z ]*PRIVATE KEY|AKI" r"A[0-9A-Z]{16}"),
        "keys do not belong into the repository",
    ),
    (
        "unfinished",
        re.compile(r"\b(?:TOD" r"O|FIXM" r"E|XX" r"X)\b"),
        "finish it, or write it down where work is planned",
    ),
    ("conflict", re.compile(r"^(?:<{7}|>{7}) "), "resolve the merge"),
)
# A repeated group that never gives back matches wrongly before Python 3.11.5; character classes are fine. The
# pattern of classify.py was compared with an equivalent one on 3.11.2, over 200,000 random texts.
_CHECKED_ON_OLD_PYTHON = frozenset({"runtime/wire/classify.py"})
_POSSESSIVE_GROUP = re.compile(r"""\br?b?r?["'].*(?<!\\)\)[*+?]\+(?!,)""")
_IGNORE = re.compile(r"#\s*(?:type|pyright):\s*ignore(?P<code>\[[\w\-, ]+\])?(?P<reason>.*)")


def _origins(tree: ast.AST) -> dict[str, str]:
    """Return what each imported local name stands for, as a dotted name."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _is_loop(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.strip("_").endswith("loop")
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name.endswith(("event_loop", "running_loop"))
    return False


def _called(node: ast.expr, origins: Mapping[str, str]) -> str:
    """Return the dotted origin of a called expression, or an empty string when it is not known."""
    match node:
        case ast.Name(id=name):
            return origins.get(name, "")
        case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner in origins:
            return f"{origins[owner]}.{name}"
        case ast.Attribute(value=value, attr=name) if _is_loop(value):
            return f"<loop>.{name}"
    return ""


def _sleeps_for_real(node: ast.Call, called: str) -> bool:
    if called not in ("asyncio.sleep", "time.sleep", "anyio.sleep"):
        return False
    return not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)


def call_findings(file: str, source: str) -> Iterator[Finding]:
    """Yield the refused calls of one Python file."""
    tree = ast.parse(source, filename=file)
    origins = _origins(tree)
    lines = source.splitlines()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = _called(node.func, origins)
        for ban in CALL_BANS:
            if called in ban.names and file.startswith(ban.folders) and file not in ban.owners:
                yield Finding(file, node.lineno, ban.rule, f"{called}: {ban.instead}")
        if (
            file.startswith("tests/")
            and _sleeps_for_real(node, called)
            and "# real time:" not in lines[node.lineno - 1]
        ):
            message = (
                f"{called}: wait for a condition (runtime.testing.eventually), or say `# real time: why`"
            )
            yield Finding(file, node.lineno, "sleep-in-test", message)


def ignore_findings(file: str, source: str) -> Iterator[Finding]:
    """Yield type-checker ignores that lack a code or a reason."""
    for number, line in enumerate(source.splitlines(), start=1):
        match = _IGNORE.search(line)
        if match and not (match["code"] and match["reason"].strip(" #:-")):
            yield Finding(file, number, "bare-ignore", "write `# type: ignore[code]  # reason`")


def pattern_findings(file: str, source: str) -> Iterator[Finding]:
    """Yield regular expressions that the oldest supported Pythons match wrongly."""
    for number, line in enumerate(source.splitlines(), start=1):
        if file not in _CHECKED_ON_OLD_PYTHON and _POSSESSIVE_GROUP.search(line):
            message = (
                "a possessive group matches wrongly before Python 3.11.5: repeat a character class instead"
            )
            yield Finding(file, number, "possessive-group", message)


def text_findings(file: str, source: str) -> Iterator[Finding]:
    """Yield texts that do not belong into the repository."""
    for number, line in enumerate(source.splitlines(), start=1):
        for rule, pattern, message in TEXT_BANS:
            match = pattern.search(line)
            if rule == "unfinished" and (
                PurePosixPath(file).suffix not in SIZED_SUFFIXES or file.startswith(WRITES_NOTES)
            ):
                continue
            if match:
                yield Finding(file, number, rule, f"{match[0]!r}: {message}")


def size_findings(file: str, source: str, allowed: Mapping[str, str], root: Path) -> Iterator[Finding]:
    """Yield the file when it is too long and no decision record allows it, or named after nothing."""
    path = PurePosixPath(file)
    count = source.count("\n")
    if path.name in NAMELESS_MODULES:
        yield Finding(file, 1, "nameless-module", "name the concept that the module holds")
    if path.suffix in SIZED_SUFFIXES and count > MAX_LINES:
        record = allowed.get(file)
        if record is None:
            yield Finding(
                file, count, "long-file", f"{count} lines, the limit is {MAX_LINES}: split it by concept"
            )
        elif not (root / record).is_file():
            yield Finding(file, count, "long-file", f"the decision record {record} does not exist")


def tracked_files(root: Path) -> list[str]:
    """Return the files that git tracks or would add, that exist, relative to the root and sorted."""
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return sorted(name for name in set(listing.split("\0")) if name and (root / name).is_file())


def allowed_long_files(root: Path) -> dict[str, str]:
    """Return `[tool.house] long-files`: file to decision record."""
    tables = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return dict(tables.get("tool", {}).get("house", {}).get("long-files", {}))


def findings(root: Path, files: Iterable[str]) -> Iterator[Finding]:
    """Yield every finding of the given files."""
    allowed = allowed_long_files(root)
    for file in files:
        suffix = PurePosixPath(file).suffix
        if suffix not in TEXT_SUFFIXES:
            continue
        try:
            source = (root / file).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        yield from text_findings(file, source)
        yield from size_findings(file, source, allowed, root)
        if suffix == ".py" and not file.startswith(NOT_OURS):
            yield from call_findings(file, source)
        if suffix == ".py" and not file.startswith((*NOT_OURS, "tests/")):  # mypy does not read the tests
            yield from ignore_findings(file, source)
        if suffix == ".py" and file.startswith(("runtime/", "realtime_cli/")):
            yield from pattern_findings(file, source)


def main() -> int:
    """Print all findings; return 1 when there are any."""
    found = list(findings(ROOT, tracked_files(ROOT)))
    for finding in found:
        print(finding)
    if found:
        print(f"house-rules: {len(found)} findings", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
