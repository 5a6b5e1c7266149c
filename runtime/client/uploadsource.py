"""What can be uploaded, cut into the pieces that frames hold. Spec: live-api 23.6 and 26."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Piece", "check_source", "pieces", "size_of"]

#: Bytes that are asked of a file object at a time, when its frames are smaller.
READ_BYTES = 256 * 1024
_END: Any = object()


class Piece(NamedTuple):
    """Bytes of one frame, and whether they are the last."""

    data: bytes | memoryview
    is_last: bool


def check_source(source: Any) -> None:
    """Raise unless `source` can be uploaded.

    Raises:
        TypeError: it is none of bytes, a path, a file object opened for bytes, or an iterable of bytes.
    """
    if isinstance(source, str):
        raise TypeError("upload: a text is no source; give bytes, or Path(...) for a file")
    known = (bytes, bytearray, memoryview, os.PathLike, AsyncIterable, Iterable)
    if not isinstance(source, known) and not hasattr(source, "read"):
        raise TypeError(
            f"upload: give bytes, a path, a file object or an iterable of bytes, not {type(source).__name__}"
        )


def size_of(source: Any) -> int | None:
    """Return how many bytes `source` has left, `None` where only reading it tells.

    Raises:
        OSError: there is no such file.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return memoryview(source).nbytes
    if isinstance(source, os.PathLike):
        return Path(source).stat().st_size
    if hasattr(source, "read") and hasattr(source, "seek"):
        try:
            here = source.tell()
            end = source.seek(0, os.SEEK_END)
            source.seek(here)
        except (OSError, ValueError):
            return None
        # One whose methods are coroutines was not asked, and says nothing.
        return max(0, end - here) if isinstance(here, int) and isinstance(end, int) else None
    return None


async def pieces(source: Any, size: int) -> AsyncGenerator[Piece, None]:
    """Yield `source` in pieces of `size` bytes, the last one shorter; one empty piece where there is nothing.

    Files are read in a thread, and so is what a plain iterator does. At most one block of the source and one piece are
    in memory. What was opened here is closed at the end; a file object of the caller is left open.

    Raises:
        OSError: reading failed. TypeError: the source gave something else than bytes.
        ValueError: a file is shorter than it was when the upload began.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        view = memoryview(source).cast("B")
        for start in range(0, max(1, len(view)), size):
            end = min(start + size, len(view))
            yield Piece(view[start:end], end == len(view))
    elif isinstance(source, os.PathLike):
        async for piece in _of_path(Path(source), size):
            yield piece
    else:
        async for piece in _cut(_blocks(source, max(size, READ_BYTES)), size):
            yield piece


async def _of_path(path: Path, size: int) -> AsyncIterator[Piece]:
    file = await asyncio.to_thread(path.open, "rb")
    with file:
        total = left = os.fstat(file.fileno()).st_size
        while True:
            data = await asyncio.to_thread(file.read, min(size, left))
            if len(data) < min(size, left):
                raise ValueError(f"{path.name} has become shorter than the {total} bytes that it had")
            left -= len(data)
            yield Piece(data, not left)
            if not left:
                return


async def _cut(blocks: AsyncIterator[Any], size: int) -> AsyncIterator[Piece]:
    kept = bytearray()
    async for block in blocks:
        if not isinstance(block, bytes | bytearray | memoryview):
            raise TypeError(f"the source gave {type(block).__name__} where bytes are needed")
        view = memoryview(block).cast("B")
        while len(view):
            if len(kept) == size:  # only now it is known that this piece is not the last
                yield Piece(bytes(kept), False)
                kept.clear()
            part = view[: size - len(kept)]
            kept += part
            view = view[len(part) :]
    yield Piece(bytes(kept), True)


async def _blocks(source: Any, size: int) -> AsyncIterator[Any]:
    if hasattr(source, "read"):
        while True:
            block = await asyncio.to_thread(source.read, size)
            if hasattr(block, "__await__"):
                block = await block
            if not isinstance(block, bytes | bytearray | memoryview) or len(block):
                yield block
            else:
                return
    elif isinstance(source, AsyncIterable):
        iterator = aiter(source)
        try:
            async for block in iterator:
                yield block
        finally:
            if isinstance(iterator, AsyncGenerator):
                await iterator.aclose()
    else:
        plain: Iterator[Any] = iter(source)
        while (block := await asyncio.to_thread(next, plain, _END)) is not _END:
            yield block
