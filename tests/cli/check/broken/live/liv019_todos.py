from __future__ import annotations

import asyncio
from pathlib import Path

from runtime import guard, live

_guard = guard(authenticated=True)


FOLDER = Path("stored")


@live.upload(max_size=1024 * 1024, max_concurrent_total=100)
async def put(ctx, name: str) -> None:
    path = FOLDER / name
    async for chunk in ctx.stream:
        await asyncio.to_thread(append, path, chunk)


def append(path: Path, chunk: bytes) -> None:
    with path.open("ab") as file:
        file.write(chunk)
