"""Which files of the project really changed: file systems report touches, renames and whole folders.

The index holds a digest of every file that may matter. An event is only a reason to look: what counts is
whether the content differs from what was there before. A file that was only found in a folder is read if its time,
size or inode is new; one that was reported itself is always read.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime_cli.devserver.changes import is_ignored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from realtime_cli.devserver.changes import Layout

__all__ = ["Difference", "FileIndex"]

_Stamp = tuple[int, int, int]

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
        self._stamps: dict[str, _Stamp] = {}

    def __len__(self) -> int:
        return len(self._digests)

    def scan(self) -> None:
        """Remember the present content of every file, without reporting a difference."""
        self._digests, self._stamps = {}, {}
        for path in self._walk(""):
            stamp = self._stamp(path)
            digest = None if stamp is None else self._digest(path, stamp)
            if stamp is not None and digest is not None:
                self._remember(path, stamp, digest)

    def update(self, reported: Iterable[str]) -> Difference:
        """Look at files and folders that were reported, remember them, and return the files that differ.

        A folder stands for everything below it, the empty path for the whole project. A file that is gone
        differs if it was known.
        """
        difference = Difference(set(), set())
        named = set(reported)
        candidates: set[str] = set()
        for path in named:
            candidates.update(self._below(path))
        for path in candidates:
            stamp = self._stamp(path)
            before = self._digests.get(path)
            if path not in named and stamp is not None and stamp == self._stamps.get(path):
                continue
            digest = None if stamp is None else self._digest(path, stamp)
            if stamp is None or digest is None:
                if before is not None:
                    difference.changed.add(path)
                    del self._digests[path], self._stamps[path]
                continue
            self._remember(path, stamp, digest)
            if digest != before:
                difference.changed.add(path)
                if digest == _EMPTY and before is not None:
                    difference.emptied.add(path)
        return difference

    def fingerprint(self, folder: str) -> str:
        """Return what changes with the names, times and sizes of the files below `folder`, as they are on the disk."""
        found = sorted(
            (path, stamp[:2]) for path in self._walk(folder) if (stamp := self._stamp(path)) is not None
        )
        return hashlib.blake2b(repr(found).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()

    def forget(self, paths: Iterable[str]) -> None:
        """Let the next look at these files find a difference, whatever they hold by then."""
        for path in paths:
            if path in self._digests:
                self._digests[path] = b"?"
                self._stamps[path] = (0, 0, 0)

    def _remember(self, path: str, stamp: _Stamp, digest: bytes) -> None:
        if path in self._digests or len(self._digests) < MAX_FILES:
            self._digests[path], self._stamps[path] = digest, stamp

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

    def _stamp(self, path: str) -> _Stamp | None:
        """Return what tells versions of a file apart without reading it, `None` when there is no such file."""
        try:
            status = (self.root / path).stat()
        except OSError:
            return None
        return (status.st_mtime_ns, status.st_size, status.st_ino) if stat.S_ISREG(status.st_mode) else None

    def _digest(self, path: str, stamp: _Stamp) -> bytes | None:
        """Return what stands for the file's content, `None` when it is gone by now."""
        time, size, _ = stamp
        if size > MAX_HASHED_SIZE:
            return f"{size} {time}".encode()
        try:
            return hashlib.blake2b((self.root / path).read_bytes(), digest_size=16).digest()
        except OSError:
            return None


_EMPTY = hashlib.blake2b(b"", digest_size=16).digest()
