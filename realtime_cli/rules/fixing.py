"""`--fix`: the edits of findings, put into the files, each file whole or not at all. Spec: platform 8.1."""

from __future__ import annotations

import ast
import difflib
import os
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from realtime_cli.rules.finding import Edit, Finding

__all__ = ["apply_edits", "diff_of", "fixed_texts", "write_texts"]


def fixed_texts(findings: Iterable[Finding], texts: Mapping[str, str]) -> dict[str, str]:
    """Return the new text of every file that edits change.

    Of edits that overlap the first one counts, the next run does the other. A file that would not parse any more
    stays as it is.
    """
    by_path: dict[str, list[Edit]] = {}
    for finding in findings:
        for edit in finding.edits:
            if edit.path in texts:
                by_path.setdefault(edit.path, []).append(edit)
    changed = {}
    for path, edits in by_path.items():
        text = apply_edits(texts[path], edits)
        if text != texts[path] and _parses(path, text):
            changed[path] = text
    return changed


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
            ast.parse(text)
        elif path.endswith(".toml"):
            tomllib.loads(text)
    except (SyntaxError, ValueError):
        return False
    return True


def diff_of(path: str, before: str, after: str) -> str:
    """Return the unified diff of a file."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def write_texts(root: Path, texts: Mapping[str, str]) -> None:
    """Put new texts into files of the project, each by a file beside it that takes its name and mode.

    Line ends and a byte order mark stay as they were. A file outside of the project, also by a link, is refused.

    Raises:
        OSError: a file cannot be written; it and those after it are as before.
    """
    inside = root.resolve()
    for name, text in texts.items():
        path = (root / name).resolve()
        if not path.is_relative_to(inside):
            raise OSError(f"{name} leads outside of the project")
        before = path.read_bytes()
        if b"\r\n" in before:
            text = text.replace("\n", "\r\n")
        raw = text.encode("utf-8-sig" if before.startswith(b"\xef\xbb\xbf") else "utf-8")
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
            Path(temporary).chmod(path.stat().st_mode & 0o7777)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
