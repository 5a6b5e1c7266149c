"""Tells code that runs for somebody that nobody waits for it any more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from runtime.core.errors import LiveError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Signal"]


class Signal:
    """Tells a running call that nobody waits for it any more. Spec: design page, translation rule 4."""

    __slots__ = ("_callbacks", "_event", "reason")

    def __init__(self) -> None:
        self._event: asyncio.Event | None = None
        #: Each is taken back by whoever added it, when its wait has ended.
        self._callbacks: dict[object, Callable[[], object]] | None = None
        self.reason: Any = None

    @property
    def aborted(self) -> bool:
        """Whether the signal has fired."""
        return self.reason is not None

    def abort(self, reason: Any) -> None:
        """Fire once with `reason`; later calls change nothing."""
        if self.reason is None:
            self.reason = reason
            if self._event is not None:
                self._event.set()
            callbacks, self._callbacks = self._callbacks, None
            for callback in callbacks.values() if callbacks else ():
                callback()

    def on_abort(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call `callback()`, which must not raise, when the signal fires; return the function that takes it back.

        One that has fired already calls nothing.
        """
        mark = object()
        if self._callbacks is None:
            self._callbacks = {}
        self._callbacks[mark] = callback

        def take_back() -> None:
            if self._callbacks is not None:
                self._callbacks.pop(mark, None)

        return take_back

    def throw_if_aborted(self) -> None:
        """Raise the reason if the signal has fired.

        Raises:
            LiveError: the reason of an upload; `DISCONNECTED` for any other.
        """
        if self.reason is not None:
            if isinstance(self.reason, BaseException):
                raise self.reason
            raise LiveError("DISCONNECTED", str(self.reason))

    async def wait(self) -> Any:
        """Wait until the signal fires and return its reason. Without a bound: the caller's own task is the bound."""
        if self.reason is None:
            if self._event is None:
                self._event = asyncio.Event()
            await self._event.wait()
        return self.reason
