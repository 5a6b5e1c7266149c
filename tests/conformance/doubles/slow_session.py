"""Sessions and claimed ids as records with a time to live in a store that is far away."""

from __future__ import annotations

import json
from typing import Any

from runtime.testing import FakeClock
from tests.conformance.doubles.line import Line

__all__ = ["Records", "SlowDedup", "SlowSession"]


class Records:
    """Texts that the store drops when their time is over. Every method is one script there."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._records: dict[str, tuple[str, float]] = {}

    def get(self, key: str) -> str | None:
        text, ends = self._records.get(key, (None, 0.0))
        if text is not None and ends <= self._clock.monotonic():
            del self._records[key]
            return None
        return text

    def set(self, key: str, text: str, ttl: float) -> None:
        self._records[key] = (text, self._clock.monotonic() + ttl)

    def set_new(self, key: str, text: str, ttl: float) -> bool:
        if self.get(key) is not None:
            return False
        self.set(key, text, ttl)
        return True

    def extend(self, key: str, ttl: float) -> bool:
        text = self.get(key)
        if text is None:
            return False
        self.set(key, text, ttl)
        return True

    def read_and_extend(self, key: str, ttl: float) -> str | None:
        self.extend(key, ttl)
        return self.get(key)

    def delete(self, key: str) -> bool:
        there = self.get(key) is not None
        self._records.pop(key, None)
        return there

    def count(self) -> int:
        return sum(self.get(key) is not None for key in list(self._records))

    def clear(self) -> None:
        self._records.clear()


def _checked(what: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 256:
        raise ValueError(f"{what} must be a text of 1 to 256 characters")
    return value


class SlowSession:
    """Implements `SessionProtocol`; data travel as JSON."""

    def __init__(self, *, ttl: float, clock: FakeClock) -> None:
        self._ttl = ttl
        self._records = Records(clock)
        self._line = Line()

    async def get(self, token: str) -> Any | None:
        _checked("token", token)
        text = await self._line.run(lambda: self._records.read_and_extend(token, self._ttl))
        return None if text is None else json.loads(text)

    async def set(self, token: str, data: Any) -> None:
        _checked("token", token)
        text = json.dumps(data)
        await self._line.run(lambda: self._records.set(token, text, self._ttl))

    async def delete(self, token: str) -> bool:
        _checked("token", token)
        return await self._line.run(lambda: self._records.delete(token))

    async def touch(self, token: str) -> bool:
        _checked("token", token)
        return await self._line.run(lambda: self._records.extend(token, self._ttl))

    async def size(self) -> int:
        return await self._line.run(self._records.count)

    async def clear(self) -> None:
        await self._line.run(self._records.clear)


class SlowDedup:
    """Implements `DedupProtocol`: an id is claimed by the one who sets its record."""

    def __init__(self, *, ttl: float, clock: FakeClock) -> None:
        self._ttl = ttl
        self._records = Records(clock)
        self._line = Line()

    async def claim(self, id: str) -> bool:
        _checked("id", id)
        return await self._line.run(lambda: self._records.set_new(id, "1", self._ttl))

    async def has(self, id: str) -> bool:
        _checked("id", id)
        return await self._line.run(lambda: self._records.get(id) is not None)

    async def delete(self, id: str) -> bool:
        _checked("id", id)
        return await self._line.run(lambda: self._records.delete(id))

    async def size(self) -> int:
        return await self._line.run(self._records.count)

    async def clear(self) -> None:
        await self._line.run(self._records.clear)
