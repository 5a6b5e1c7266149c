from __future__ import annotations

from dataclasses import dataclass

from runtime import guard, live

_guard = guard(authenticated=True)


@dataclass
class Todo:
    title: str


@live
async def add(ctx, data: Todo) -> None:
    print(data)
