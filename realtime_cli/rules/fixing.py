"""`--fix`: the edits of findings, put into the files, each file whole or not at all. Spec: platform 8.1."""

from __future__ import annotations

import difflib
import os
import re
import tempfile
import tomllib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from realtime_cli.rules.finding import Edit, Finding

__all__ = ["apply_edits", "diff_of", "fixed_texts", "hidden_in", "write_texts"]

#: The one file that a fix may create.
DOTENV = ".env"


def fixed_texts(findings: Iterable[Finding], texts: Mapping[str, str]) -> dict[str, str]:
    """Return the new text of every file that edits change.

    The edits of a finding are made together or not at all. Of findings whose edits overlap the first one counts, the
    next run does the other; so it is of those after which a file would not compile any more.
    """
    wanted = [one for one in findings if one.edits]
    wanted = [one for one in wanted if all(edit.path in texts or edit.path == DOTENV for edit in one.edits)]
    edits: dict[str, list[Edit]] = {}
    taken = []
    for finding in wanted:
        if not any(_collides(edit, edits.get(edit.path, ())) for edit in finding.edits):
            taken.append(finding)
            for edit in finding.edits:
                edits.setdefault(edit.path, []).append(edit)
    changed = _applied(edits, texts)
    if changed is None:
        edits, changed = {}, {}
        for finding in taken:
            more = {path: list(known) for path, known in edits.items()}
            for edit in finding.edits:
                more.setdefault(edit.path, []).append(edit)
            result = _applied(more, texts)
            if result is not None:
                edits, changed = more, result
    return {path: text for path, text in changed.items() if text != texts.get(path, "")}


def _collides(edit: Edit, others: Iterable[Edit]) -> bool:
    """Return whether an edit changes what another one does; the same edit twice is one."""
    begin, end = (edit.span.line, edit.span.col), (edit.span.end_line, edit.span.end_col)
    for other in others:
        first, last = (other.span.line, other.span.col), (other.span.end_line, other.span.end_col)
        if other != edit and begin < last and first < end:
            return True
    return False


def _applied(edits: Mapping[str, list[Edit]], texts: Mapping[str, str]) -> dict[str, str] | None:
    changed = {path: apply_edits(texts.get(path, ""), several) for path, several in edits.items()}
    return changed if all(_parses(path, text) for path, text in changed.items()) else None


def hidden_in(findings: Iterable[Finding], texts: Mapping[str, str]) -> set[str]:
    """Return the secrets that the edits of findings take out of a file, which no output may show."""
    found = set()
    for finding in findings:
        for edit in finding.edits:
            if edit.secret and edit.path != DOTENV:
                lines = texts.get(edit.path, "").split("\n")[edit.span.line - 1 : edit.span.end_line]
                if len(lines) == 1:
                    found.add(lines[0][edit.span.col - 1 : edit.span.end_col - 1])
    return found


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with the edits made; of those that overlap only the first."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)

    def offset(line: int, col: int) -> int:
        return starts[min(line, len(starts) - 1) - 1] + col - 1

    parts, at = [], 0
    for edit in sorted(set(edits)):
        span = edit.span
        begin, end = offset(span.line, span.col), offset(span.end_line, span.end_col)
        if begin < at:
            continue
        parts += [text[at:begin], edit.text]
        at = end
    return "".join([*parts, text[at:]])


def _parses(path: str, text: str) -> bool:
    try:
        if path.endswith(".py"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(text, path, "exec", dont_inherit=True)
        elif path.endswith(".toml"):
            tomllib.loads(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def diff_of(path: str, before: str, after: str, hidden: Iterable[str] = ()) -> str:
    """Return the unified diff of a file, with stars for what is hidden."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    text = "".join(line if line.endswith("\n") else line + "\n" for line in lines)
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, "***") if secret else text
    return text


def write_texts(root: Path, texts: Mapping[str, str]) -> None:
    """Put new texts into files of the project, each by a file beside it that takes its name and mode.

    Line ends and a byte order mark stay as they were, also where a file mixes them. What is new comes first, so that
    nothing is taken out of a file before it stands elsewhere. A file outside of the project, also by a link, is
    refused.

    Raises:
        OSError: a file cannot be written; it and those after it are as before.
    """
    inside = root.resolve()
    for name, text in sorted(texts.items(), key=lambda item: (item[0] != DOTENV, item[0])):
        path = (root / name).resolve()
        if not path.is_relative_to(inside):
            raise OSError(f"{name} leads outside of the project")
        is_new = name == DOTENV and not path.exists()
        before = b"" if is_new else path.read_bytes()
        mode = 0o600 if is_new else path.stat().st_mode & 0o7777
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_with_ends_of(before, text))
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(mode)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _with_ends_of(before: bytes, text: str) -> bytes:
    """Return a text in bytes, its lines with the ends that they had, and new ones with that of most."""
    mark = b"\xef\xbb\xbf" if before.startswith(b"\xef\xbb\xbf") else b""
    old = before.removeprefix(mark).decode("utf-8")
    if "\r" not in old:
        return mark + text.encode()
    raw = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", old)
    plain = [re.sub(r"\r\n?", "\n", line) for line in raw]
    ends = [line[len(line.rstrip("\r\n")) :] for line in raw]
    usual = max(("\n", "\r\n", "\r"), key=ends.count)
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    parts = []
    for kind, start, stop, first, last in difflib.SequenceMatcher(
        None, plain, lines, autojunk=False
    ).get_opcodes():
        for offset, line in enumerate(lines[first:last]):
            if kind == "equal":
                parts.append(raw[start + offset])
            elif line.endswith("\n"):
                own = ends[start + offset] if start + offset < stop else ""
                parts.append(line[:-1] + (own or usual))
            else:
                parts.append(line)
    return mark + "".join(parts).encode()
