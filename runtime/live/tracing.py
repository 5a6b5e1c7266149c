"""A span of each call, where the app uses OpenTelemetry: the extra `otel`. Spec: live-api 18.5.

Nothing of it is imported here unless the app has done so, and nothing is made before the app has set a tracer provider:
until then a call pays a comparison.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

from runtime.core.errors import LiveError, to_wire

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["MODULE", "Tracing", "is_installed", "tracing_for"]

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

    __slots__ = ("_api", "_look_at", "_tracer")

    def __init__(self) -> None:
        self._api: Any = None
        self._tracer: Any = None
        self._look_at = 0.0

    def is_active(self, now: float) -> bool:
        """Return whether there is a tracer provider; `now` is monotonic, and the answer up to a second old."""
        if self._tracer is None and now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            self._look()
        return self._tracer is not None

    def _look(self) -> None:
        api = sys.modules.get(MODULE)
        if api is None or isinstance(api.get_tracer_provider(), api.ProxyTracerProvider):
            return  # nobody has set one yet
        self._api = api
        self._tracer = api.get_tracer("realtime")

    async def around(
        self, work: Awaitable[T], path: str, kind: str, request_id: str | None, *, name: str = "live.rpc"
    ) -> T:
        """Await `work` inside a span, which is the current one meanwhile. Only while `is_active`.

        The span has the path, the kind (`rpc`, `stream`, `binary`, `upload`, `load`), the request id and the code:
        `ok`, or that of the error. An exception that is no `LiveError` is an error of the span, by its type alone:
        texts and arguments may hold secrets.
        """
        attributes = {"realtime.path": path, "realtime.kind": kind}
        if request_id is not None:
            attributes["realtime.request_id"] = request_id
        api = self._api
        with self._tracer.start_as_current_span(
            f"{name} {path}",
            kind=api.SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                result = await work
            except BaseException as error:
                code = to_wire(error, None).code if isinstance(error, Exception) else "CANCELLED"
                span.set_attribute("realtime.code", code)
                if not isinstance(error, LiveError):
                    span.set_status(api.Status(api.StatusCode.ERROR, type(error).__name__))
                raise
            span.set_attribute("realtime.code", "ok")
            return result
