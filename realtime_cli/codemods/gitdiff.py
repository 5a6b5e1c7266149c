"""The plan as a patch that `git apply` takes. Spec: upgrade 4.1."""

from __future__ import annotations

import difflib
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.project import Tree

__all__ = ["hunks", "patch"]

_DEV_NULL = "/dev/null"


def patch(tree: Tree) -> bytes:
    """Return the patch from what is on disk to what is planned, files sorted by their old name."""
    parts: list[bytes] = []
    old_names = set(tree.moves.values())
    for path in sorted(tree.changed):
        raw = tree.changed[path]
        if raw is None:
            if path not in old_names:
                parts += _file(tree, path, None, tree.on_disk(path) or b"", None)
            continue
        old = tree.moves.get(path)
        if old is not None:
            parts += _file(tree, old, path, tree.on_disk(old) or b"", raw)
        else:
            before = tree.on_disk(path)
            parts += _file(tree, path if before is not None else None, path, before or b"", raw)
    return b"".join(parts)


def _file(tree: Tree, old: str | None, new: str | None, before: bytes, after: bytes | None) -> list[bytes]:
    left, right = _quoted("a", old or new or ""), _quoted("b", new or old or "")
    parts = [b"diff --git " + left + b" " + right + b"\n"]
    if old is None:
        parts.append(b"new file mode 100644\n")
    elif new is None:
        parts.append(b"deleted file mode " + _mode(tree, old) + b"\n")
    elif old != new:
        parts += [
            f"similarity index {_similarity(before, after or b'')}%\n".encode(),
            b"rename from " + _quoted("", old) + b"\n",
            b"rename to " + _quoted("", new) + b"\n",
        ]
    body = b"".join(hunks(before, after or b""))
    if body:
        parts += [
            b"--- " + (left if old is not None else _DEV_NULL.encode()) + b"\n",
            b"+++ " + (right if new is not None else _DEV_NULL.encode()) + b"\n",
            body,
        ]
    return parts


def hunks(before: bytes, after: bytes, *, context: int = 3) -> Iterator[bytes]:
    """Yield the lines of a unified diff, without the names of the files."""
    old, new = _lines(before), _lines(after)
    for number, line in enumerate(
        difflib.diff_bytes(difflib.unified_diff, old, new, n=context, lineterm=b"\n")
    ):
        if number < 2:
            continue
        yield line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"


def _lines(raw: bytes) -> list[bytes]:
    parts = raw.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _similarity(before: bytes, after: bytes) -> int:
    if before == after:
        return 100
    matcher = difflib.SequenceMatcher(None, _lines(before), _lines(after), autojunk=False)
    same = sum(block.size for block in matcher.get_matching_blocks())
    return min(99, 200 * same // max(1, len(_lines(before)) + len(_lines(after))))


def _mode(tree: Tree, path: str) -> bytes:
    executable = (tree.root / path).stat().st_mode & stat.S_IXUSR
    return b"100755" if executable else b"100644"


def _quoted(side: str, path: str) -> bytes:
    """Return a name as git writes it: in quotes, with octal escapes, if there is anything unusual in it."""
    raw = os.fsencode(f"{side}/{path}" if side else path)
    if all((32 < byte < 127 and byte not in b'"\\') or byte == 32 for byte in raw):
        return raw
    parts = []
    for byte in raw:
        if byte in b'"\\':
            parts.append(b"\\" + bytes([byte]))
        elif 32 <= byte < 127:
            parts.append(bytes([byte]))
        else:
            parts.append(f"\\{byte:03o}".encode())
    return b'"' + b"".join(parts) + b'"'
