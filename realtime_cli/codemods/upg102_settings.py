"""Settings of `realtime_config.py` and `[tool.realtime]` go to `realtime.toml`. Spec: upgrade 2.1, 3.2."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import libcst as cst
import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Comment, Table

from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding, Severity, Status
from realtime_cli.codemods.proof import prove
from realtime_cli.codemods.pythonfile import PythonFile
from realtime_cli.codemods.settingsenv import environment_files
from realtime_cli.codemods.settingsmap import DROPPED, KEYS, NESTED, Environment, Unknown, evaluate
from realtime_cli.codemods.settingspy import (
    MODULE,
    PATH,
    ConfigEntry,
    Readers,
    config_entries,
    entry_removal,
    is_read,
    names_once,
    read_keys,
)
from realtime_cli.codemods.settingstoml import TODO, Given, key_line, merged
from realtime_cli.codemods.splices import Splice, apply_splices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.project import Project

__all__ = ["Settings"]

TARGET = "realtime.toml"


@dataclass(slots=True)
class _Run:
    """What one run learns before it writes.

    Attributes:
        given: the settings to write, those of `realtime_config.py` first.
        gone: entries that leave `realtime_config.py`.
        marked: entries that stay there with a TODO, and its text.
        moved: 0.4 key to section and key, for those who read it.
    """

    given: list[Given] = field(default_factory=list)
    gone: list[ConfigEntry] = field(default_factory=list)
    marked: list[tuple[ConfigEntry, str]] = field(default_factory=list)
    moved: dict[str, tuple[str, str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    kept: bool = False


class Settings(Codemod):
    """Literal values are written to `realtime.toml`; what would have to be computed is left with a TODO."""

    id: ClassVar[str] = "UPG102"
    title: ClassVar[str] = "settings in realtime.toml"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-03", "S-04", "C-22", "P-03", "P-04", "R-18")
    tokens: ClassVar[tuple[bytes, ...]] = (b"realtime_config",)
    layout: ClassVar[bool] = True

    def project(self, project: Project) -> Iterator[Finding]:
        """Collect, write `realtime.toml`, take the keys out of where they were."""
        run = _Run()
        file = project.file(PATH) if PATH in project.tree else None
        if file is not None:
            self._from_python(project, file, run)
        self._from_pyproject(project, run)
        self._write(project, file, run)
        project.shared["UPG102"] = run.moved
        yield from run.findings
        if file is not None:
            yield from self._rewrite(project, file, run)
        yield from environment_files(self, project)

    # realtime_config.py

    def _from_python(self, project: Project, file: PythonFile, run: _Run) -> None:
        entries, unclear = config_entries(file, NESTED)
        if unclear:
            run.findings.append(
                self._told(
                    PATH,
                    "S-03",
                    unclear,
                    "write its settings to realtime.toml by hand",
                )
            )
            return
        names = names_once(file)
        staying, everything = self._staying(project, run)
        run.kept = everything
        for entry in entries:
            name = entry.name.removeprefix(f"{NESTED}.")
            if name in DROPPED:
                row, why = DROPPED[name]
                run.gone.append(entry)
                run.findings.append(self._told(PATH, row, f"{name} was dropped: {why}", "", edited=True))
            elif name in KEYS:
                stays = everything or entry.name in staying or name in staying or is_read(file, entry)
                self._known(file, entry, names, run, stays=stays)
            elif entry.container is not None:
                self._foreign(file, entry, run)

    def _staying(self, project: Project, run: _Run) -> tuple[set[str], bool]:
        """Return the keys that others read in a way that cannot be rewritten, and whether that may be all of them."""
        staying: set[str] = set()
        everything = False
        for path in project.mentions(MODULE.encode()):
            other = project.file(path)
            if path == PATH or other is None:
                continue
            readers = read_keys(other, NESTED)
            staying |= {key for key, _ in readers.kept}
            everything |= bool(readers.everything)
            run.kept |= readers.unread or bool(readers.kept)
        return staying, everything

    def _known(
        self,
        file: PythonFile,
        entry: ConfigEntry,
        names: dict[str, cst.BaseExpression],
        run: _Run,
        *,
        stays: bool,
    ) -> None:
        old = entry.name.removeprefix(f"{NESTED}.")
        section, key = KEYS[old]
        one = Given(entry.name, section, key)
        one.comment, one.above = _comments(file, entry)
        if old == "handler" and "hooks_ws.py" in file.text(entry.value):
            run.gone.append(entry)
            run.findings.append(
                self._told(PATH, "S-03", "handler was dropped: hooks.py is the default", "", edited=True)
            )
            return
        try:
            value = evaluate(entry.value, names)
        except Unknown:
            if _marked(file, entry):
                return
            one.computed, one.comment = file.text(entry.value), ""
            self._give(one, run)
            run.marked.append((entry, f"set [{section}] {key} in realtime.toml, then remove this key"))
            return
        if value is not None:
            if isinstance(value, Environment):
                value = self._from_environment(one, value)
            one.value = value
            self._body_limit(PATH, one, run)
            self._give(one, run)
        if not stays:
            run.gone.append(entry)
            run.moved[entry.name] = (section, key)

    def _give(self, one: Given, run: _Run) -> None:
        """Add a setting; of two keys that mean the same one the later counts, and that is told if they differ."""
        for other in run.given:
            if (other.section, other.key) != (one.section, one.key):
                continue
            run.given.remove(other)
            if (other.value, other.computed) != (one.value, one.computed):
                both = f"[{one.section}] {one.key} was set by {other.name} and {one.name}"
                message = f"{both}; that of {one.name} was written"
                run.findings.append(self._told(PATH, "S-03", message, "see which of them is right"))
            break
        run.given.append(one)

    def _from_environment(self, one: Given, read: Environment) -> Any:
        if not read.has_default:
            return f"env:{read.name}"
        new = f"REALTIME_{one.section.upper()}__{one.key.upper()}"
        one.todo = f"{new} in the environment wins over this; was {read.name}"
        return read.default

    def _body_limit(self, path: str, one: Given, run: _Run) -> None:
        if one.name.endswith("body_size_limit"):
            value = one.value
            negative = isinstance(value, int | float) and (value < 0 or math.isinf(value))
            if negative or str(value).lstrip().startswith("-") or str(value).lower() in ("infinity", "inf"):
                run.findings.append(
                    self._told(
                        path,
                        "C-22",
                        f"body_size_limit = {value!r} is an error in 0.5",
                        "0 means unlimited; better is a number",
                        severity=Severity.ERROR,
                    )
                )

    def _foreign(self, file: PythonFile, entry: ConfigEntry, run: _Run) -> None:
        """A key that is none of ours stays; one that is nearly one of ours is told."""
        name = entry.name.removeprefix(f"{NESTED}.")
        near = difflib.get_close_matches(name, KEYS, 1, 0.85)
        if near:
            line, col = file.place(file.span(entry.node)[0])
            one = self._told(
                PATH,
                "P-03",
                f"{name!r} is no setting",
                f"did you mean {near[0]}? In 0.5 an unknown one is an error",
            )
            run.findings.append(replace(one, line=line, col=col, end_line=line, end_col=col))

    def _rewrite(self, project: Project, file: PythonFile, run: _Run) -> Iterator[Finding]:
        """Take the keys out of the module, which goes if nothing is left in it and nobody needs it."""
        splices = entry_removal(file, run.gone)
        for entry, text in run.marked:
            start = file.span(entry.node)[0]
            line = file.line_start(start)
            margin = file.data[line:start]
            if not margin.strip():
                comment = margin + f"# {TODO}{text}".encode() + file.newline(start)
                splices.append(Splice(line, line, comment))
        if not splices:
            return
        after = apply_splices(file.data, splices)
        prove(file.data, after, splices)
        edited = PythonFile(project, PATH, replace(file.source, data=after))
        pruned = _unused_imports(file, edited)
        if pruned:
            data = apply_splices(after, pruned)
            prove(after, data, pruned)
            edited = PythonFile(project, PATH, replace(file.source, data=data))
        left = [one for one in edited.tree.body if not _is_docstring(one)]
        if not left and not run.kept:
            project.tree.remove(PATH)
            yield self._told(PATH, "S-03", "nothing was left in it", "", edited=True)
        else:
            project.tree.write(PATH, file.source.raw(edited.data))
        for entry, _ in run.marked:
            section, key = KEYS[entry.name.removeprefix(f"{NESTED}.")]
            one = self._told(
                PATH,
                "S-03",
                f"{entry.name} is computed",
                f"set [{section}] {key} in {TARGET}",
                status=Status.TODO,
            )
            line = _line_of(edited.data.decode(), f"set [{section}] {key} in")
            yield replace(one, line=line, col=1, end_line=line, end_col=1)

    # pyproject.toml

    def _from_pyproject(self, project: Project, run: _Run) -> None:
        tree = project.tree
        if "pyproject.toml" not in tree:
            return
        try:
            text = tree.read("pyproject.toml").decode()
            document = tomlkit.parse(text)
        except (UnicodeDecodeError, TOMLKitError):
            return
        tool = document.get("tool")
        table = tool.get("realtime") if isinstance(tool, dict) else None
        if not isinstance(table, Table):
            return
        left = self._table(table, run, "")
        before = tomlkit.parse(text).unwrap()
        if not left:
            tool.remove("realtime")  # type: ignore[union-attr]  # it had the table
            if not tool:
                document.remove("tool")
        after = tomlkit.dumps(document)
        ends = len(text) - len(text.rstrip("\r\n"))
        after = after.rstrip("\r\n") + text[len(text) - ends :]
        if _without(before) != _without(tomlkit.parse(after).unwrap()):
            return
        tree.write("pyproject.toml", after.encode())
        run.findings.append(
            self._told("pyproject.toml", "S-04", "[tool.realtime] is in realtime.toml now", "", edited=True)
        )

    def _table(self, table: Table, run: _Run, prefix: str) -> bool:
        """Collect a table; returns whether something of it has to stay."""
        above: list[str] = []
        left = False
        for key, item in list(table.value.body):
            if key is None:
                if isinstance(item, Comment):
                    above.append(item.as_string().strip())
                continue
            name = key.key
            if name == NESTED and isinstance(item, Table):
                inner = self._table(item, run, f"{NESTED}.")
                left |= inner
                if not inner:
                    table.remove(name)
                continue
            if name in DROPPED:
                row, why = DROPPED[name]
                table.remove(name)
                run.findings.append(
                    self._told("pyproject.toml", row, f"{name} was dropped: {why}", "", edited=True)
                )
            elif name in KEYS:
                self._toml_key(name, item, above, run, prefix)
                table.remove(name)
            else:
                left = True
                near = difflib.get_close_matches(name, KEYS, 1, 0.6)
                run.findings.append(
                    self._told(
                        "pyproject.toml",
                        "P-03",
                        f"[tool.realtime] {name} is no setting",
                        f"did you mean {near[0]}?" if near else "move it to where your app reads it",
                    )
                )
            above = []
        return left

    def _toml_key(self, name: str, item: Any, above: list[str], run: _Run, prefix: str) -> None:
        section, key = KEYS[name]
        mine = next((one for one in run.given if (one.section, one.key) == (section, key)), None)
        if mine is not None:
            run.findings.append(
                self._told(
                    TARGET,
                    "S-04",
                    f"{name} was in pyproject.toml and {PATH}: that of {PATH} counts, as in 0.4",
                    "",
                    edited=True,
                )
            )
            return
        trivia = item.trivia
        comment = f"{trivia.comment_ws}{trivia.comment}" if trivia.comment else ""
        value = item.unwrap()
        written = item.as_string() if "\n" not in item.as_string() else ""
        one = Given(f"{prefix}{name}", section, key, value, written, comment=comment, above=list(above))
        self._body_limit("pyproject.toml", one, run)
        run.given.append(one)

    # realtime.toml

    def _write(self, project: Project, file: PythonFile | None, run: _Run) -> None:
        tree = project.tree
        existing = tree.read(TARGET).decode() if TARGET in tree else None
        if not run.given:
            if existing is None and self._is_04(project):
                tree.write(TARGET, b"")
            return
        docstring = file.tree.get_docstring() if file is not None else None
        head = [f"# {line}".rstrip() for line in (docstring or "").strip().splitlines()]
        text, conflicts = merged(existing, run.given, head)
        for one in conflicts:
            run.findings.append(
                self._told(
                    TARGET,
                    "S-03",
                    f"[{one.section}] {one.key} has another value here than 0.4's {one.name}; this one stays",
                    "see which of them is right",
                )
            )
        if existing is not None and text == existing:
            return
        tree.write(TARGET, text.encode())
        for one in run.given:
            if one in conflicts:
                continue
            status = Status.TODO if one.computed or one.todo else Status.EDITED
            message = f"[{one.section}] {one.key} was {one.name}"
            line = key_line(text, one.section, one.key)
            told = self._told(TARGET, "S-03", message, "", status=status)
            run.findings.append(replace(told, line=line, col=1, end_line=line, end_col=1))

    def _is_04(self, project: Project) -> bool:
        """Say whether this is a project that `realtime serve` has to find: it has hooks, and had settings of 0.4."""
        return PATH in project.tree and project.hooks_path is not None

    def _told(
        self,
        path: str,
        row: str,
        message: str,
        advice: str,
        *,
        edited: bool = False,
        severity: Severity = Severity.WARNING,
        status: Status | None = None,
    ) -> Finding:
        change = Change.AUTO if edited or status is Status.EDITED else Change.FLAG
        if status is Status.TODO:
            change = Change.ASSISTED
        one = self.in_text(path, row, change, message, advice, severity=severity)
        return replace(one, status=status or (Status.EDITED if edited else Status.FLAGGED))

    # Those who read it.

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Rewrite what reads a key that has moved."""
        moved = file.project.shared.get("UPG102")
        if file.path == PATH or not isinstance(moved, dict):
            return
        readers: Readers = read_keys(file, NESTED)
        for key, node in readers.keys:
            if key in moved:
                section, name = moved[key]
                yield self.auto(
                    file,
                    node,
                    "S-03",
                    f"{key} is [{section}] {name} of realtime.toml",
                    [file.replace(node, f"settings().{section}.{name}")],
                    imports=(("runtime", "settings"),),
                )
        for key, node in readers.kept:
            if key in KEYS:
                yield self.flag(
                    file,
                    node,
                    "S-03",
                    f"{key} is read in a way that is not rewritten",
                    f"read settings().{'.'.join(KEYS[key])}, then remove the key from {PATH}",
                )
        for node in readers.everything:
            yield self.flag(
                file,
                node,
                "S-03",
                f"any key of {PATH} may be read here, so all of them stay there, too",
                "read settings() of runtime instead, then remove the keys",
            )


def _comments(file: PythonFile, entry: ConfigEntry) -> tuple[str, list[str]]:
    """Return the comment at the end of an entry's line, with the blanks before it, and the comment lines above it."""
    start, end = file.span(entry.node)
    if isinstance(entry.node, cst.DictElement) and isinstance(entry.node.comma, cst.Comma):
        end = max(end, file.span(entry.node.comma)[1])
    rest = file.data[end : file.line_end(end)].decode().rstrip()
    trailing = rest if rest.lstrip().startswith("#") else ""
    above: list[str] = []
    line = file.line_start(start)
    if file.data[line:start].strip():
        return trailing, above
    while line:
        before = file.line_start(line - 1 - (file.data[line - 2 : line] == b"\r\n"))
        text = file.data[before:line].decode().strip()
        if not text.startswith("#") or "TODO(realtime-upgrade" in text or entry.container is None:
            break
        above.insert(0, text)
        line = before
    return trailing, above


def _marked(file: PythonFile, entry: ConfigEntry) -> bool:
    """Say whether the TODO of an earlier run stands above an entry."""
    line = file.line_start(file.span(entry.node)[0])
    before = file.line_start(max(line - 2, 0)) if line else 0
    return TODO.encode() in file.data[before:line]


def _unused_imports(file: PythonFile, edited: PythonFile) -> list[Splice]:
    from realtime_cli.codemods.imports import pruned_imports

    return pruned_imports(file, edited)


def _is_docstring(node: cst.CSTNode) -> bool:
    return (
        isinstance(node, cst.SimpleStatementLine)
        and len(node.body) == 1
        and isinstance(node.body[0], cst.Expr)
        and isinstance(node.body[0].value, cst.SimpleString | cst.ConcatenatedString)
    )


def _line_of(text: str, part: str) -> int:
    return next((number for number, line in enumerate(text.splitlines(), 1) if part in line), 1)


def _without(document: dict[str, Any]) -> dict[str, Any]:
    tool = {key: value for key, value in document.get("tool", {}).items() if key != "realtime"}
    rest = {key: value for key, value in document.items() if key != "tool"}
    return {**rest, **({"tool": tool} if tool else {})}
