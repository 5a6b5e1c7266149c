"""Finds the example blocks of the documents and puts them on disk.

A fenced block is an *example*. Its first line may name a file (`# live/todos.py`, `// web/app.js`,
`<!-- web/index.html -->`, `# realtime.toml`): the examples of one document with a name make a project, in which a later
block replaces an earlier one of the same name. `<!-- project: minimal -->` in a document starts from that template. A
Python example that begins with `# doctest: run` is run there, `# doctest: run with server` beside a server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SKIPPED_FOLDERS = ("docs/changelog.d/", "scaffolds/", "demo/", ".venv/")

SETTINGS = (ROOT / "scaffolds/minimal/template/realtime.toml").read_text(encoding="utf-8")

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"(?:#|//|<!--)\s*([\w./-]+\.\w+)\s*(?:-->)?\s*")
_PROJECT = re.compile(r"<!-- project: (\w+) -->")


@dataclass(frozen=True, slots=True)
class Example:
    """One fenced block."""

    document: str
    line: int
    language: str
    text: str

    @property
    def id(self) -> str:
        """The place, as pytest shows it."""
        return f"{self.document}:{self.line}"

    @property
    def first_line(self) -> str:
        """The first line, which may say what the block is."""
        return self.text.split("\n", 1)[0]

    @property
    def file(self) -> str | None:
        """The file of a project that the block is, or None."""
        match = _NAME.fullmatch(self.first_line)
        return match[1] if match else None

    @property
    def content(self) -> str:
        """The text of the file: HTML loses its first line, which would stand before the doctype."""
        return self.text.split("\n", 1)[1] if self.language == "html" and self.file else self.text


def documents() -> list[str]:
    """Return every Markdown document of the repository, relative and sorted."""
    found = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.md")]
    return sorted(name for name in found if not name.startswith(SKIPPED_FOLDERS) and "/." not in f"/{name}")


def examples_of(document: str) -> Iterator[Example]:
    """Yield the examples of one document, in order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        yield Example(document, line, match[1], match[2])


def all_examples(*languages: str) -> list[Example]:
    """Return the examples of all documents in the given languages."""
    return [example for name in documents() for example in examples_of(name) if example.language in languages]


def template_of(document: str) -> str | None:
    """Return the template that a document's project starts from, or None."""
    match = _PROJECT.search((ROOT / document).read_text(encoding="utf-8"))
    return match[1] if match else None


def start_project(document: str, folder: Path) -> None:
    """Make the project that a document starts from: its template, or the settings that every template has.

    A document that tells its reader to write the settings starts from nothing.
    """
    template = template_of(document)
    if template is None:
        has_own = any(example.file == "realtime.toml" for example in examples_of(document))
        (folder / "realtime.toml").write_text("" if has_own else SETTINGS, encoding="utf-8")
        return
    from realtime_cli.makeproject import make_project
    from realtime_cli.templates import list_templates

    chosen = next(found for found in list_templates() if found.name == template)
    make_project(chosen, "example", folder)


def write(example: Example, folder: Path) -> Path:
    """Put a named example into a project."""
    assert example.file is not None
    path = folder / example.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(example.content, encoding="utf-8")
    return path
