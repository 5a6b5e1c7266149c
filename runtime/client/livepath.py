"""`rt.live.todos.add("milk")`: attribute access that builds a path. Spec: live-api 26."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LivePath"]

T = TypeVar("T")


class LivePath(Generic[T]):
    """A path so far. An attribute or an item adds a segment, a call calls the function at the path.

    `T` is what a call gives: the result to come, or with the blocking client the result.
    """

    __slots__ = ("_call", "_path")

    def __init__(self, call: Callable[..., T], path: str = "") -> None:
        self._call = call
        self._path = path

    def __getattr__(self, name: str) -> LivePath[T]:
        if name.startswith("_"):
            raise AttributeError(f"no live path has a segment {name!r}")
        return self[name]

    def __getitem__(self, segment: str) -> LivePath[T]:
        return LivePath(self._call, f"{self._path}/{segment}" if self._path else segment)

    def __call__(
        self,
        *args: Any,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        fresh: bool = True,
    ) -> T:
        """Call the function at this path, as `Realtime.call` does."""
        return self._call(self._path, *args, timeout=timeout, idempotency_key=idempotency_key, fresh=fresh)

    def __repr__(self) -> str:
        return f"<LivePath {self._path}>"
