"""A span of each call, where the app uses OpenTelemetry: the extra `otel`. Spec: live-api 18.5.

Nothing of it is imported here unless the app has done so, and nothing is made before the app has set a tracer provider:
until then a call pays a comparison.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

from runtime.core.errors import LiveError, to_wire

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["MODULE", "Tracing", "is_installed", "tracing_for"]

logger = logging.getLogger("realtime.tracing")

MODULE: Final = "opentelemetry.trace"
#: Seconds between two looks at whether the app has set a provider.
LOOK_EVERY: Final = 1.0

T = TypeVar("T")


def is_installed() -> bool:
    """Return whether OpenTelemetry's API can be imported."""
    if MODULE in sys.modules:
        return sys.modules[MODULE] is not None
    try:
        return importlib.util.find_spec(MODULE) is not None
    except (ImportError, ValueError):
        return False


def tracing_for(enabled: bool | None) -> Tracing | None:
    """Return what traces calls, `None` where nothing does. `enabled` is the setting, `None` for `auto`."""
    return None if enabled is False or not is_installed() else Tracing()


class Tracing:
    """Makes the spans."""

    __slots__ = ("_api", "_has_failed", "_look_at", "_tracer")

    def __init__(self) -> None:
        self._api: Any = None
        self._tracer: Any = None
        self._look_at = 0.0
        self._has_failed = False

    def is_active(self, now: float) -> bool:
        """Return whether there is a tracer provider; `now` is monotonic, and the answer up to a second old."""
        if self._tracer is None and now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            try:
                self._look()
            except Exception:
                self._failed()
        return self._tracer is not None

    def _look(self) -> None:
        api = sys.modules.get(MODULE)
        if api is None or isinstance(api.get_tracer_provider(), api.ProxyTracerProvider):
            return  # nobody has set one yet
        self._api, self._tracer = api, api.get_tracer("realtime")

    async def around(
        self, work: Awaitable[T], path: str, kind: str, request_id: str | None, *, name: str = "live.rpc"
    ) -> T:
        """Await `work` inside a span, which is the current one meanwhile. Only while `is_active`.

        What the tracer raises is logged once and never reaches the call.

        The span has the path, the kind (`rpc`, `stream`, `binary`, `upload`, `load`), the request id and the code:
        `ok`, or that of the error. An exception that is no `LiveError` is an error of the span, by its type alone:
        texts and arguments may hold secrets.
        """
        opened = self._opened(f"{name} {path}", path, kind, request_id)
        try:
            result = await work
        except BaseException as error:
            if opened is not None:
                code = to_wire(error, None).code if isinstance(error, Exception) else "CANCELLED"
                failed = None if isinstance(error, LiveError) else type(error).__name__
                self._close(*opened, code, failed)
            raise
        if opened is not None:
            self._close(*opened, "ok", None)
        return result

    def _opened(self, name: str, path: str, kind: str, request_id: str | None) -> tuple[Any, Any] | None:
        """Return a span that has begun, with what ends it; `None` where the tracer fails, which no call pays for."""
        attributes = {"realtime.path": path, "realtime.kind": kind}
        if request_id is not None:
            attributes["realtime.request_id"] = request_id
        try:
            manager = self._tracer.start_as_current_span(
                name,
                kind=self._api.SpanKind.SERVER,
                attributes=attributes,
                record_exception=False,
                set_status_on_exception=False,
            )
            return manager.__enter__(), manager
        except Exception:
            self._failed()
            return None

    def _close(self, span: Any, manager: Any, code: str, failed: str | None) -> None:
        try:
            try:
                span.set_attribute("realtime.code", code)
                if failed is not None:
                    span.set_status(self._api.Status(self._api.StatusCode.ERROR, failed))
            finally:
                manager.__exit__(None, None, None)
        except Exception:
            self._failed()

    def _failed(self) -> None:
        """Say it once: whatever breaks a tracer breaks it at every call."""
        if not self._has_failed:
            self._has_failed = True
            logger.exception("OpenTelemetry's tracer failed; calls go on, with no or with half a span")
