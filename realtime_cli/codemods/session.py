"""One run of `realtime upgrade`, phase by phase: detect, guard, plan, write, verify, tell. Spec: upgrade 4.1."""

from __future__ import annotations

import contextlib
import os
import time
import tomllib
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from realtime_cli.codemods.asking import Questions
from realtime_cli.codemods.chain import syntax_problem
from realtime_cli.codemods.detect import PROJECT_FILES, Detected, detect
from realtime_cli.codemods.encoded import Encoded, UnreadableSource
from realtime_cli.codemods.engine import Plan, make_plan
from realtime_cli.codemods.files import (
    JOURNAL,
    STATE_FOLDER,
    NotRestored,
    WriteFailed,
    last_run,
    undo,
    unfinished,
    write_all,
)
from realtime_cli.codemods.finding import Change, Finding, Status
from realtime_cli.codemods.gitdiff import patch
from realtime_cli.codemods.guard import uncommitted
from realtime_cli.codemods.project import Options, Project, Tree
from realtime_cli.codemods.report import Report, as_data, as_json, as_markdown, summary_rows, top_flags
from realtime_cli.codemods.scan import scan
from realtime_cli.codemods.shown import printable
from realtime_cli.codemods.signals import Terminated
from realtime_cli.codemods.verify import compiled, examined, interpreter_of
from realtime_cli.console import Console
from realtime_cli.exitcodes import BUSY, NOT_CLEAN, NOTHING_CHANGED, USAGE, CommandFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Session", "root_of"]

SHOWN = 10
"""Files that are listed where there are many."""
_STYLES = {b"+": "32", b"-": "31", b"@": "36"}


def root_of(given: Path | None) -> Path:
    """Return the project folder.

    Raises:
        CommandFailed: there is no project in it (exit code 2); the hint names the nearest folder above that is one.
    """
    root = (given or Path.cwd()).absolute()
    if not root.is_dir():
        raise CommandFailed(
            f"there is no folder {str(root)!r}", hint="name the folder of the project", code=USAGE
        )
    if _is_project(root):
        return root
    above = next((folder for folder in root.parents if _is_project(folder)), None)
    raise CommandFailed(
        f"{str(root)!r} is no project: none of {', '.join(PROJECT_FILES)} is in it",
        hint=f"did you mean {str(above)!r}?" if above else "name the folder of the project",
        code=USAGE,
    )


def _is_project(folder: Path) -> bool:
    known = (*PROJECT_FILES, "src/hooks_ws.py", f"{STATE_FOLDER}/{JOURNAL}")
    return any((folder / name).is_file() for name in known)


@dataclass
class Session:
    """What one run was asked for, and what came of it."""

    console: Console
    root: Path
    selected: frozenset[str]
    pin_defaults: bool = False
    postgres: str = "pin"
    interactive: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    jobs: int = 1
    reports: tuple[Path, ...] = ()
    python: Path | None = None
    report: Report = field(init=False)
    _told: float = 0.0

    # Phases.

    def plan(self) -> Plan | None:
        """Detect, scan and plan; None if there is nothing to do.

        Raises:
            CommandFailed: no project, a run that was killed, or files on which everything depends do not parse.
        """
        self._refuse_reports()
        self._refuse_unfinished()
        scanned = scan(self.root, include=self.include, exclude=self.exclude)
        tree = Tree(self.root, scanned.paths)
        detected = detect(tree)
        self.report = Report(
            detected.kind, [], tree, scanned.skipped, scanned.notes, version=version("realtime-toolkit")
        )
        if detected.kind == "none":
            raise CommandFailed(
                "nothing here is of 0.4",
                hint="looked for hooks_ws.py, realtime_config.py, [tool.realtime], a requirement on 0.4, an import of"
                " a name that only 0.4 has, and package.json with 0.4",
                code=USAGE,
            )
        if detected.kind == "done":
            self.console.say("Already at 0.5: nothing to do")
            if self.console.json:
                self.console.emit(as_data(self.report))
            self.write_reports()
            return None
        self._introduce(detected, len(scanned.paths))
        self._refuse_broken(tree)
        options = Options(self.pin_defaults, self.postgres, self.interactive)
        project = Project(tree, options, detected.kind)
        choose = Questions(self.console, input) if self.interactive else None
        plan = make_plan(
            project,
            selected=self.selected,
            jobs=1 if self.interactive else self.jobs,
            choose=choose,
            progress=None if self.interactive else self._progress,
        )
        self.console.progress("")
        self.report.findings = plan.findings
        self.console.say(f"plan: {plan.parsed} files looked at, {plan.edits} edits")
        if plan.unproved:
            wrong = [one for one in plan.findings if "unproved" in one.message]
            raise CommandFailed(
                f"{wrong[0].path}: {wrong[0].message}" if wrong else "an edit could not be proved",
                hint="nothing was written; please tell us, and go on with --exclude for this file",
                code=NOTHING_CHANGED,
            )
        return plan

    def refuse_dirty(self, *, allow_dirty: bool, writes: Iterable[str] = ()) -> None:
        """Raise `CommandFailed` (exit code 3) if git does not have what would be changed."""
        if allow_dirty:
            return
        names = uncommitted(self.root, writes)
        if names is None:
            raise CommandFailed(
                "this folder is not under git: there would be only --undo to go back",
                hint="make a commit first, or go on with --allow-dirty",
                code=NOT_CLEAN,
            )
        if names:
            raise CommandFailed(
                f"not committed: {_some(names)}",
                hint="commit or stash them, or go on with --allow-dirty",
                code=NOT_CLEAN,
            )

    @contextlib.contextmanager
    def put_back_if_interrupted(self) -> Iterator[None]:
        """Undo what the block has written if Ctrl-C or SIGTERM ends it, even after the last file."""
        before = last_run(self.root)
        try:
            yield
        except (KeyboardInterrupt, Terminated):
            if last_run(self.root) not in (None, before):
                undo(self.root)
            raise

    def write(self, *, verify: bool) -> None:
        """Write the plan and look at the result.

        Raises:
            WriteFailed: nothing has been changed.
        """
        tree = self.report.tree
        if not tree.changed:
            return
        hashes = {path: tree.originals.get(path) for path in tree.changed}
        self.console.say(f"write: {len(tree.changed)} files")
        write_all(self.root, tree.changed, hashes, moves=tree.moves)
        if not verify:
            return
        written = [path for path, raw in tree.changed.items() if raw is not None]
        self.report.verification = compiled(self.root, written)
        if self.report.verification:
            undo(self.root, over_edits=True)
            first = self.report.verification[0]
            raise WriteFailed(
                f"{first.path}:{first.line} does not compile any more ({first.message}); put back"
            )
        if self.report.kind == "javascript":
            return
        self.console.say("verify: importing the project, realtime check")
        found, advice = examined(self.root, interpreter_of(self.root, self.python, dict(os.environ)))
        self.report.verification, self.report.advice = found, advice

    # Telling.

    def show_patch(self) -> None:
        """Print the plan as a patch on stdout."""
        raw = patch(self.report.tree)
        if self.console.color_out:
            raw = b"\n".join(_coloured(line) for line in raw.split(b"\n"))
        self.console.bytes(raw)

    def show_findings(self) -> None:
        """Print every finding as a line on stdout, for CI."""
        if self.console.json:
            self.console.emit(as_data(self.report))
            return
        for one in self.report.findings:
            if one.change is not Change.BEHAVIOUR and one.status is not Status.SKIPPED:
                self.console.data(_line(one))

    def show_summary(self, *, written: bool) -> None:
        """Print the table, the most important flags and how to go on."""
        report, console = self.report, self.console
        if console.json:
            console.emit(as_data(report))
            return
        rows = summary_rows(report)
        if rows:
            console.say()
            console.choices([("CODEMOD", "WHAT", "FILES", "EDITS", "REVIEW", "FLAGS"), *rows])
        flags = report.by_status(Status.FLAGGED)
        if flags:
            console.say()
            for one in top_flags(report):
                style = "red" if str(one.severity) == "error" else "yellow"
                console.say(f"  {console.paint(str(one.severity), style)} {_line(one)}")
            if len(flags) > 5:
                console.say(f"  and {len(flags) - 5} more")
        for seen in report.verification:
            if not seen.ok:
                where = f"{seen.path}:{seen.line} " if seen.path else ""
                console.say(
                    f"  {console.paint(seen.step, 'red')} {printable(f'{where}{seen.rule} {seen.message}')}"
                )
        left = report.left_alone
        if left:
            console.say()
            for path, why in left[:SHOWN]:
                console.say(f"  {console.paint('left alone', 'yellow')} {printable(f'{path}: {why}')}")
            if len(left) > SHOWN:
                console.say(f"  and {len(left) - SHOWN} more were left alone; --report FILE.md lists them")
        changed = len(report.tree.changed)
        console.say()
        if not written:
            console.say(f"{changed} files would change; nothing was written.")
            return
        console.say(f"{changed} files changed." if changed else "Nothing changed.")
        self._next_steps()

    def _next_steps(self) -> None:
        say = self.console.say
        if not self.report.tree.changed:
            return
        if self.report.advice:
            say(f"next: {self.report.advice}")
        if self.report.by_status(Status.TODO, Status.OPEN):
            say('next: grep -rn "TODO(realtime-upgrade" .')
        say("next: run your tests, look at the diff, commit; realtime upgrade --undo goes back")

    def write_reports(self) -> None:
        """Write the files of `--report`.

        Raises:
            CommandFailed: one cannot be written, or has a name that says no format (exit code 2).
        """
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) if self.console.verbose else ""
        for path in self.reports:
            text = (
                as_json(self.report, timestamp=stamp) if path.suffix == ".json" else as_markdown(self.report)
            )
            try:
                path.write_text(text, encoding="utf-8")
            except OSError as problem:
                raise CommandFailed(
                    f"--report: {path} cannot be written: {problem.strerror}",
                    hint="name a file in a folder that exists",
                    code=USAGE,
                ) from None
            self.console.say(f"report: {path}")

    def way_back(self, problem: WriteFailed) -> str:
        """Return what to do after a failed write."""
        if not isinstance(problem, NotRestored):
            return "nothing was changed; see to it and run the command again"
        state = unfinished(self.root)
        if state is None:
            return "look at the files, the originals are in .realtime-upgrade/backup"
        return f"realtime upgrade --undo; new already: {_some(state[1])}"

    # Inside.

    def _refuse_reports(self) -> None:
        """Raise, before anything is done, if a report could not be written or has a name that says no format."""
        for path in self.reports:
            if path.suffix not in (".json", ".md"):
                raise CommandFailed(
                    f"--report: {path} says no format",
                    hint="name a file that ends with .md or .json",
                    code=USAGE,
                )
            if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
                raise CommandFailed(
                    f"--report: {path} cannot be written",
                    hint="name a file in a folder that exists",
                    code=USAGE,
                )

    def _refuse_unfinished(self) -> None:
        try:
            state = unfinished(self.root)
        except WriteFailed as problem:
            raise CommandFailed(str(problem), hint=f"look into {STATE_FOLDER}", code=BUSY) from None
        if state is not None:
            old, new = state
            raise CommandFailed(
                f"an earlier run was killed; new already: {_some(new)}; still old: {_some(old)}",
                hint="realtime upgrade --undo",
                code=BUSY,
            )

    def _introduce(self, detected: Detected, files: int) -> None:
        marks = [*detected.python, *detected.javascript]
        if detected.open_todos or detected.script_todos:
            marks.append("TODOs of an earlier run")
        maybe = "maybe " if len(detected.python) == 1 and not detected.javascript else ""
        self.console.say(printable(f"{maybe}0.4 ({detected.kind}): {'; '.join(marks)}"))
        for one in detected.versions:
            self.console.detail(printable(f"declared in {one}"))
        self.console.say(f"scan: {files} files")

    def _refuse_broken(self, tree: Tree) -> None:
        """Raise if what every move depends on does not parse: the hooks and the settings."""
        for path in ("hooks_ws.py", "src/hooks_ws.py", "hooks.py", "realtime_config.py"):
            if path not in tree:
                continue
            try:
                problem = syntax_problem(path, Encoded.python(tree.read(path)))
            except UnreadableSource as wrong:
                self._stop(path, str(wrong))
                continue
            if problem is not None:
                self._stop(f"{path}:{problem.line}:{problem.col}", problem.message)
        for path in ("pyproject.toml", "realtime.toml"):
            if path in tree:
                try:
                    tomllib.loads(tree.read(path).decode("utf-8-sig"))
                except ValueError as wrong:
                    self._stop(path, str(wrong))

    def _stop(self, place: str, message: str) -> None:
        raise CommandFailed(
            f"{place}: {message}",
            hint="mend it first: the moves depend on this file; nothing was written",
            code=NOTHING_CHANGED,
        )

    def _progress(self, done: int, files: int, edits: int) -> None:
        now = time.monotonic()
        if now - self._told >= 0.1:
            self._told = now
            self.console.progress(f"parse {done:,}/{files:,} · {edits:,} edits")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (printable(", ".join(names[:SHOWN])) or "none") + more


def _line(one: Finding) -> str:
    where = f"{one.path}:{one.line}:{one.col}" if one.line else one.path
    return printable(f"{where} {one.codemod} {one.row} {one.status}: {one.message}".replace("  ", " "))


def _coloured(line: bytes) -> bytes:
    code = "1" if line.startswith((b"diff ", b"--- ", b"+++ ")) else _STYLES.get(line[:1])
    return f"\x1b[{code}m".encode() + line + b"\x1b[0m" if code else line
