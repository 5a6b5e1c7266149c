"""What becomes of a call of a test: the `LiveError` that the handler raised, with the last frames where it got lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from runtime.client.errors import CONNECTION_CLOSED, DISCONNECTED, TIMEOUT, RpcError
from runtime.core.errors import LiveError

__all__ = ["Outcome", "live_error", "outcomes"]

#: Errors after which the question is what went over the line before.
PUZZLING = frozenset({CONNECTION_CLOSED, DISCONNECTED, TIMEOUT})

Explain = Callable[[], str]


class Outcome(Awaitable[Any]):
    """A result to come, whose `RpcError` becomes the `LiveError` that the handler raised."""

    def __init__(self, source: asyncio.Future[Any], explain: Explain) -> None:
        self.source = source
        self._explain = explain

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result().__await__()

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
