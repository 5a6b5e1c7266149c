"""What becomes of a call of a test: the `LiveError` that the handler raised, with the last frames where it got lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from runtime.client.errors import CONNECTION_CLOSED, DISCONNECTED, TIMEOUT, RpcError
from runtime.core.errors import LiveError

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

__all__ = ["Outcome", "live_error", "outcomes"]

#: Errors after which the question is what went over the line before.
PUZZLING = frozenset({CONNECTION_CLOSED, DISCONNECTED, TIMEOUT})

Explain = Callable[[], str]


class Outcome(Coroutine[Any, Any, Any]):
    """A result to come, whose `RpcError` becomes the `LiveError` that the handler raised.

    The call is on its way already; await this, or give it to `create_task`, `gather` or a task group.
    """

    def __init__(self, source: asyncio.Future[Any], explain: Explain) -> None:
        self.source = source
        self._explain = explain
        self._waiting: Coroutine[Any, Any, Any] | None = None

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result().__await__()

    def send(self, value: Any, /) -> Any:
        """Take one step of waiting, as a task does with its coroutine."""
        return self._started().send(value)

    def throw(self, typ: Any, val: Any = None, tb: TracebackType | None = None, /) -> Any:
        """Raise an exception where the waiting is, such as a task's cancellation."""
        return self._started().throw(typ if val is None else val)

    def close(self) -> None:
        """Stop waiting; the call goes on."""
        if self._waiting is not None:
            self._waiting.close()

    def _started(self) -> Coroutine[Any, Any, Any]:
        if self._waiting is None:
            self._waiting = self._result()
        return self._waiting

    async def _result(self) -> Any:
        try:
            return await self.source
        except RpcError as error:
            raise live_error(error, self._explain) from error


async def outcomes(made: list[asyncio.Future[Any]], explain: Explain) -> list[Any]:
    """Return all results, a failure as its `LiveError`."""
    results = await asyncio.gather(*made, return_exceptions=True)
    return [live_error(result, explain) if isinstance(result, RpcError) else result for result in results]


def live_error(error: RpcError, explain: Explain | None = None) -> LiveError:
    """Return the error as the server's side knows it; `explain()` is added to one that says little by itself."""
    code = DISCONNECTED if error.code == CONNECTION_CLOSED else error.code
    made = LiveError(code, error.message, error.data)
    made.issues = error.issues
    made.retry_after = error.retry_after
    if explain is not None and error.code in PUZZLING:
        made.add_note(explain())
    return made
