"""The index of `web/`: which paths are served, found without touching the file system.

Spec: platform 3.2.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runtime.core.settings import Settings
from runtime.server.pages import HtmlPage, TemplatePage
from runtime.server.representation import Encoded
from runtime.server.staticfile import CODINGS, Redirect, StaticFile, mtime_of

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["Entry", "StaticIndex"]

logger = logging.getLogger("realtime.static")

Entry = StaticFile | HtmlPage | TemplatePage | Redirect

TEMPLATE_SUFFIX: Final = ".html.j2"


@dataclass(slots=True, frozen=True)
class _Found:
    """A regular file below the root: `path` is its URL path."""

    path: str
    file: Path
    status: os.stat_result


@dataclass(slots=True)
class _Budget:
    """What may still be held in memory during one scan."""

    file_limit: int
    left: int

    def takes(self, size: int) -> bool:
        if size > self.file_limit or size > self.left:
            return False
        self.left -= size
        return True


@dataclass(slots=True)
class StaticIndex:
    """Every servable path of one folder: what the last `refresh` found, nothing before the first.

    Names that begin with `.` or `_`, precompressed siblings, symlinks that leave the folder, and anything
    but regular files are left out; a `_` name that leads to a path of `static_immutable` is served. Files are
    held in memory within `static_memory_file` and `static_memory_total`, the others are streamed.
    """

    root: Path
    settings: Settings
    snippets: Sequence[str] = ()
    _entries: Mapping[str, Entry] = field(default_factory=dict)
    #: A Jinja2 environment, once there is one.
    _environment: Any = None

    def find(self, path: str) -> Entry | None:
        """Return what is served at `path`, decoded and without the mount prefix."""
        return self._entries.get(path)

    def paths(self) -> list[str]:
        """Return every path that is served."""
        return sorted(self._entries)

    def refresh(self) -> None:
        """Read the folder again and swap the index; what did not change is kept. Blocks on the disk."""
        before = self._entries
        budget = _Budget(self.settings.server.static_memory_file, self.settings.server.static_memory_total)
        found = {item.path: item for item in self._scan()}
        entries: dict[str, Entry] = {}
        self._environment = None  # in production templates are read once, and may be others now
        for path, item in found.items():
            if path.endswith(TEMPLATE_SUFFIX):
                page = TemplatePage(item.path.removeprefix("/"), self.templates, self.snippets)
                self._add_page(entries, path.removesuffix(".j2"), page)
            elif self._is_sibling(path, found):
                continue
            elif path.endswith(".html"):
                html = self._html(item, before.get(path), budget)
                if html is not None:
                    self._add_page(entries, path, html)
            else:
                file = self._file(item, found, before.get(path), budget)
                if file is not None:
                    entries[path] = file
        self._add_redirects(entries)
        self._entries = entries

    @property
    def templates(self) -> Environment:
        """The Jinja2 environment of the folder; made when it is first needed."""
        if self._environment is None:
            from runtime.server.templates import (
                make_templates,  # Jinja2 is loaded only where there are templates
            )

            self._environment = make_templates(self.root, dev=self.settings.is_dev)
        made: Environment = self._environment
        return made

    def _scan(self) -> Iterator[_Found]:
        try:
            root = self.root.resolve(strict=True)
        except OSError:
            return
        yield from self._scan_folder(self.root, "/", root, frozenset({root}))

    def _scan_folder(self, folder: Path, url: str, root: Path, above: frozenset[Path]) -> Iterator[_Found]:
        try:
            names = sorted(file.name for file in folder.iterdir())
        except OSError as error:
            logger.warning("%s is not served: %s", self._shown(folder), error.strerror)
            return
        for name in names:
            path = f"{url}{name}"
            if not self._is_servable(name, path):
                continue
            file = folder / name
            try:
                real = file.resolve(strict=True)
                status = file.stat()
            except (OSError, RuntimeError) as error:
                logger.warning("%s is not served: %s", self._shown(file), error)
                continue
            if not real.is_relative_to(root):
                logger.warning(
                    "%s is not served: it is a link that leaves %s/", self._shown(file), self.root.name
                )
            elif stat.S_ISDIR(status.st_mode):
                if real not in above:  # else a link back to a folder around it
                    yield from self._scan_folder(file, f"{path}/", root, above | {real})
            elif stat.S_ISREG(status.st_mode):
                yield _Found(path, file, status)

    def _is_servable(self, name: str, path: str) -> bool:
        if name.startswith("."):
            return False
        if not name.isprintable():
            logger.warning("%s is not served: its name has control characters", ascii(path))
            return False
        if "\\" in name:
            return False
        return not name.startswith("_") or any(
            path.startswith(prefix) or prefix.startswith(f"{path}/")
            for prefix in self.settings.server.static_immutable
        )

    def _shown(self, file: Path) -> str:
        return file.relative_to(self.root.parent).as_posix()

    def _is_sibling(self, path: str, found: Mapping[str, _Found]) -> bool:
        return any(path.endswith(suffix) and path.removesuffix(suffix) in found for suffix in CODINGS)

    def _file(
        self, item: _Found, found: Mapping[str, _Found], before: Entry | None, budget: _Budget
    ) -> StaticFile | None:
        siblings = [(coding, found.get(item.path + suffix)) for suffix, coding in CODINGS.items()]
        body = self._body(item, before, budget)
        if body is None:
            return None
        size = len(body) if isinstance(body, bytes) else item.status.st_size
        encoded: list[Encoded] = []
        for coding, sibling in siblings if self.settings.server.precompress else ():
            if sibling is None or sibling.status.st_size >= size:
                continue
            content = self._body(sibling, None, budget)
            if content is not None:
                length = len(content) if isinstance(content, bytes) else sibling.status.st_size
                encoded.append(Encoded(coding, length, content))
        immutable = item.path.startswith(self.settings.server.static_immutable)
        held = body if isinstance(body, bytes) else None
        return StaticFile(item.file, size, mtime_of(item.status), held, tuple(encoded), immutable)

    def _html(self, item: _Found, before: Entry | None, budget: _Budget) -> HtmlPage | None:
        body = self._body(item, before, budget)
        if body is None:
            return None
        source = body if isinstance(body, bytes) else None
        return HtmlPage(item.file, source, mtime_of(item.status), self.snippets)

    def _body(self, item: _Found, before: Entry | None, budget: _Budget) -> bytes | Path | None:
        """Return the content to hold, the path of what is streamed, or `None` for what cannot be read."""
        if not budget.takes(item.status.st_size):
            return item.file
        known = before.body if isinstance(before, StaticFile) else None
        known = before.source if isinstance(before, HtmlPage) else known
        if known is not None and isinstance(before, StaticFile | HtmlPage):
            same_time = before.mtime_ms == mtime_of(item.status)
            if same_time and len(known) == item.status.st_size and before.file == item.file:
                return known
        try:
            return item.file.read_bytes()
        except OSError as error:
            logger.warning("%s is not served: %s", self._shown(item.file), error.strerror)
            return None

    @staticmethod
    def _add_page(entries: dict[str, Entry], path: str, page: Entry) -> None:
        """Enter a page under its file name and without `.html` or `index.html`; what is there already stays.

        Files come in the order of their names, so a file `about` is before `about.html`, and that before its
        template `about.html.j2`.
        """
        ending = "index.html" if path.endswith("/index.html") else ".html"
        entries.setdefault(path, page)
        entries.setdefault(path.removesuffix(ending), page)

    @staticmethod
    def _add_redirects(entries: dict[str, Entry]) -> None:
        for path, entry in list(entries.items()):
            if not isinstance(entry, HtmlPage | TemplatePage) or path.endswith(".html") or path == "/":
                continue
            other = path.removesuffix("/") if path.endswith("/") else f"{path}/"
            entries.setdefault(other, Redirect(path))
