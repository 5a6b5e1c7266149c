"""Content types and dispositions of files by their names, the same on every machine. Spec: platform 3.2."""

from __future__ import annotations

import mimetypes
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

__all__ = ["content_type", "disposition"]

DEFAULT_TYPE: Final = "application/octet-stream"
# Python's own table without the files of the system, and what it lacks or has in an old form.
_TABLE: Final = mimetypes.MimeTypes()
_TYPES: Final = MappingProxyType(
    {
        ".avif": "image/avif",
        ".br": DEFAULT_TYPE,
        ".gz": "application/gzip",
        ".ico": "image/x-icon",
        ".js": "text/javascript",
        ".map": "application/json",
        ".md": "text/markdown",
        ".mjs": "text/javascript",
        ".otf": "font/otf",
        ".ttf": "font/ttf",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
        ".webp": "image/webp",
        ".woff": "font/woff",
        ".woff2": "font/woff2",
        ".xz": "application/x-xz",
        ".zst": "application/zstd",
    }
)
_ATTACHMENTS: Final = frozenset(
    {".zip", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".exe", ".msi", ".dmg"}
    | {".pkg", ".deb", ".rpm", ".apk", ".ipa", ".iso", ".img", ".bin"}
)


def content_type(name: str) -> str:
    """Return the value of `content-type` for a file name; text types say that they are UTF-8."""
    suffix = PurePosixPath(name).suffix.lower()
    kind = _TYPES.get(suffix) or _TABLE.types_map[True].get(suffix) or DEFAULT_TYPE
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def disposition(name: str) -> str | None:
    r"""Return the value of `content-disposition` for archives and installers, `None` for what browsers show.

    The name is without `"` and `\`; one with characters beyond Latin-1 is given in the form of RFC 6266 too.
    """
    if PurePosixPath(name).suffix.lower() not in _ATTACHMENTS:
        return None
    plain = "".join(char for char in name if char.isprintable() and char not in '"\\')
    if plain.isascii():
        return f'attachment; filename="{plain}"'
    fallback = plain.encode("ascii", "replace").decode("ascii").replace("?", "_")
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(plain, safe='')}"
