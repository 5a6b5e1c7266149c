"""Which files of the project really changed: file systems report touches, renames and whole folders.

The index holds a digest of every file that may matter. An event is only a reason to look: what counts is
whether the content differs from what was there before.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime_cli.devserver.changes import is_ignored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from realtime_cli.devserver.changes import Layout

__all__ = ["Difference", "FileIndex"]

MAX_HASHED_SIZE = 4 * 1024 * 1024
"""Files above this many bytes are compared by size and time of change."""

MAX_FILES = 100_000
"""Files that are remembered; changes of files beyond count whenever they are reported."""


@dataclass(slots=True)
class Difference:
    """What `FileIndex.update` found. `emptied` are the changed files that had a content and now have none."""

    changed: set[str]
    emptied: set[str]


class FileIndex:
    """Digests of the files below `root` that are not ignored, by path relative to it with forward slashes."""

    def __init__(self, root: Path, layout: Layout) -> None:
        self.root = root
        self.layout = layout
        self._digests: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._digests)

    def scan(self) -> None:
        """Remember the present content of every file, without reporting a difference."""
        self._digests = {}
        for path in self._walk(""):
            digest = self._digest(path)
            if digest is not None:
                self._remember(path, digest)

    def update(self, reported: Iterable[str]) -> Difference:
        """Look at files and folders that were reported, remember them, and return the files that differ.

        A folder stands for everything below it, the empty path for the whole project. A file that is gone
        differs if it was known.
        """
        difference = Difference(set(), set())
        candidates: set[str] = set()
        for path in reported:
            candidates.update(self._below(path))
        for path in candidates:
            digest = self._digest(path)
            before = self._digests.get(path)
            if digest == before:
                continue
            difference.changed.add(path)
            if digest is None:
                del self._digests[path]
                continue
            if digest == _EMPTY and before is not None:
                difference.emptied.add(path)
            self._remember(path, digest)
        return difference

    def forget(self, paths: Iterable[str]) -> None:
        """Let the next look at these files find a difference, whatever they hold by then."""
        for path in paths:
            if path in self._digests:
                self._digests[path] = b"?"

    def _remember(self, path: str, digest: bytes) -> None:
        if path in self._digests or len(self._digests) < MAX_FILES:
            self._digests[path] = digest

    def _below(self, path: str) -> Iterator[str]:
        full = self.root / path
        if path in self._digests or full.is_file():
            if not is_ignored(path, self.layout):
                yield path
            return
        prefix = f"{path}/" if path else ""
        yield from [known for known in self._digests if known.startswith(prefix)]
        if full.is_dir() and not is_ignored(path, self.layout, folder=True):
            yield from self._walk(path)

    def _walk(self, start: str) -> Iterator[str]:
        pending = [start]
        while pending:
            folder = pending.pop()
            try:
                entries = list(os.scandir(self.root / folder))
            except OSError:  # gone meanwhile, or not ours to read
                continue
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if not is_ignored(path, self.layout, folder=True):
                        pending.append(path)
                elif not is_ignored(path, self.layout):
                    yield path

    def _digest(self, path: str) -> bytes | None:
        """Return what stands for the file's content, `None` when there is no such file."""
        full = self.root / path
        try:
            status = full.stat()
            if not full.is_file():
                return None
            if status.st_size > MAX_HASHED_SIZE:
                return f"{status.st_size} {status.st_mtime_ns}".encode()
            return hashlib.blake2b(full.read_bytes(), digest_size=16).digest()
        except OSError:
            return None


_EMPTY = hashlib.blake2b(b"", digest_size=16).digest()
