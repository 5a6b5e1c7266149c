from __future__ import annotations



class Registry:
    """Knows the connections of all workers."""

    async def count(self) -> int:
        return 1


registry = Registry()
