"""Write the compressed siblings of static files that are missing, for `realtime serve --precompress`.

Spec: platform 3.2.
"""

from __future__ import annotations

import functools
import gzip
import importlib
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from runtime.server.compression import MIN_BYTES, is_compressible
from runtime.server.contenttypes import content_type
from runtime.server.staticfile import StaticFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runtime.server.static import StaticIndex

__all__ = ["Written", "write_siblings"]

logger = logging.getLogger("realtime.static")

MAX_BYTES: Final = 64 * 1024**2  # a larger file is left as it is: it would be held in memory several times
# Types that gain from it and are never made per request.
_BINARY: Final = frozenset({"application/wasm", "font/otf", "font/ttf", "image/bmp", "image/x-icon"})


class Written(NamedTuple):
    """How many siblings were written, and how many bytes they save in all."""

    files: int
    saved_bytes: int


def write_siblings(index: StaticIndex) -> Written:
    """Write `x.gz`, and `x.br` where brotli is installed, beside each file `x` of the index that gains from it.

    One that is there and not older than its file is kept, and none is written that is no smaller. What cannot be
    written is told in the log. The index is refreshed. Blocks for as long as it takes.
    """
    files = saved = 0
    for path in index.paths():
        entry = index.find(path)
        if not isinstance(entry, StaticFile) or not MIN_BYTES <= entry.size <= MAX_BYTES:
            continue
        kind = content_type(entry.file.name)
        if not is_compressible(kind) and kind not in _BINARY:
            continue
        for suffix, compress in _compressors().items():
            gained = _write(entry.file, suffix, compress)
            files += gained > 0
            saved += gained
    if files:
        index.refresh()
    return Written(files, saved)


@functools.cache
def _compressors() -> dict[str, Callable[[bytes], bytes]]:
    """Return how to make each sibling, as small as it gets: there is time."""
    found: dict[str, Callable[[bytes], bytes]] = {
        ".gz": functools.partial(gzip.compress, compresslevel=9, mtime=0)
    }
    try:
        brotli: Any = importlib.import_module("brotli")
    except ImportError:
        return found
    return {".br": brotli.compress, **found}


def _write(file: Path, suffix: str, compress: Callable[[bytes], bytes]) -> int:
    """Write one sibling unless it is there; return how many bytes it is smaller, 0 if none was written."""
    sibling = file.with_name(file.name + suffix)
    waiting = file.with_name(f".{file.name}{suffix}.tmp")
    try:
        if sibling.exists() and sibling.stat().st_mtime_ns >= file.stat().st_mtime_ns:
            return 0
        source = file.read_bytes()
        packed = compress(source)
        if len(packed) >= len(source):
            return 0
        waiting.write_bytes(packed)
        waiting.replace(sibling)
    except OSError as error:
        logger.warning("%s was not written: %s", sibling.name, error.strerror)
        waiting.unlink(missing_ok=True)
        return 0
    return len(source) - len(packed)
