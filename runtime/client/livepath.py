"""`rt.live.todos.add("milk")`: attribute access that builds a path. Spec: live-api 26."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.client.pending import PendingResult

__all__ = ["LivePath"]


class LivePath:
    """A path so far. An attribute or an item adds a segment, a call calls the function at the path."""

    __slots__ = ("_call", "_path")

    def __init__(self, call: Callable[..., PendingResult[Any]], path: str = "") -> None:
        self._call = call
        self._path = path

    def __getattr__(self, name: str) -> LivePath:
        if name.startswith("_"):
            raise AttributeError(f"no live path has a segment {name!r}")
        return self[name]

    def __getitem__(self, segment: str) -> LivePath:
        return LivePath(self._call, f"{self._path}/{segment}" if self._path else segment)

    def __call__(
        self,
        *args: Any,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        fresh: bool = True,
    ) -> PendingResult[Any]:
        """Call the function at this path, as `Realtime.call` does."""
        return self._call(self._path, *args, timeout=timeout, idempotency_key=idempotency_key, fresh=fresh)

    def __repr__(self) -> str:
        return f"<LivePath {self._path}>"
