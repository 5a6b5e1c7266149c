"""An upload of a `TestClient`. Spec: live-api 20."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from runtime.client.errors import RpcError
from runtime.testing.outcome import live_error

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from runtime.client.upload import Upload, UploadProgress

__all__ = ["TestUpload"]


class TestUpload:
    """An upload of a `TestClient` on its way. Awaiting it gives the result, or raises the `LiveError` of its end.

    Waiting ends with `TimeoutError` when nothing moved for `timeout` seconds; the upload is cancelled then.
    """

    __test__ = False

    def __init__(self, upload: Upload, timeout: float, explain: Callable[[], str]) -> None:
        self._upload = upload
        self._timeout = timeout
        self._explain = explain

    def __repr__(self) -> str:
        return f"<TestUpload {self._upload!r}>"

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result().__await__()

    @property
    def id(self) -> str:
        """What the handler has as `ctx.upload.id`."""
        return self._upload.stream_id_hex

    @property
    def sent(self) -> int:
        """Bytes of the source that were sent."""
        return self._upload.sent

    def on_progress(self, listener: Callable[[UploadProgress], object]) -> Callable[[], None]:
        """Call `listener` after each frame; return the function that ends it."""
        return self._upload.on_progress(listener)

    def cancel(self, reason: str | None = None) -> bool:
        """Give up; return `False` when it had ended before."""
        return self._upload.cancel(reason)

    async def _result(self) -> Any:
        ended = asyncio.Event()
        offs = [self._upload.on(event, lambda _: ended.set()) for event in ("complete", "error")]
        try:
            while not self._upload.done():
                sent = self._upload.sent
                try:
                    async with asyncio.timeout(self._timeout):
                        await ended.wait()
                except TimeoutError:
                    if self._upload.sent == sent and not self._upload.done():
                        self._upload.cancel()
                        raise TimeoutError(
                            f"{self!r} did not end, and nothing of it moved for {self._timeout:g}s\n{self._explain()}"
                        ) from None
            return await self._upload
        except asyncio.CancelledError:
            self._upload.cancel()
            raise
        except RpcError as error:
            raise live_error(error, self._explain) from error
        finally:
            for off in offs:
                off()
