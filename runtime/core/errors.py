"""The exception tree, and the one place that turns an exception into what a client may see.

Spec: live-api 3.2 and 28, wire 4.2 and 4.3, platform 9.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

from runtime.core.sensitive import redact_text

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CapacityExceeded",
    "ConnectionBusy",
    "ConnectionClosed",
    "HookTimeout",
    "Issue",
    "LiveError",
    "PayloadTooLarge",
    "PlatformError",
    "PlatformNotReady",
    "RealtimeError",
    "RequestFailed",
    "RequestTimeout",
    "WireError",
    "denial_error",
    "to_wire",
]

# A refused subscription carries the hook's reason as its code; the text is one of two. Spec: wire 5.1 step 6.
ACCESS_DENIED = "Access denied"
AUTHENTICATION_REQUIRED = "Authentication required"
INTERNAL_ERROR = "INTERNAL_ERROR"
INTERNAL_ERROR_TEXT = "Internal server error"


class Issue(TypedDict):
    """One reason why arguments were refused; `path` leads from the argument to the bad field."""

    path: list[str]
    message: str


class RealtimeError(Exception):
    """Base of every exception that Realtime Toolkit raises on purpose."""


class HookTimeout(RealtimeError, TimeoutError):
    """A hook took longer than it may. A `TimeoutError` that the hook itself raises is none."""


class LiveError(RealtimeError):
    """An error that a client is meant to see: a stable `code`, a text for people, and optional data.

    Codes are free strings; the framework's own are listed in live-api 28. `message` defaults to the code.
    `issues` says which fields were wrong (`VALIDATION`), `retry_after` in how many seconds to try again.
    """

    def __init__(self, code: str, message: str | None = None, data: Any = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = code if message is None else message
        self.data = data
        self.issues: list[Issue] | None = None
        self.retry_after: float | None = None

    def __str__(self) -> str:
        return self.code if self.message == self.code else f"{self.code}: {self.message}"

    @classmethod
    def validation(cls, issues: list[Issue]) -> LiveError:
        """Return the error for arguments that do not fit their annotations. Spec: live-api 5.1."""
        error = cls("VALIDATION", "Validation failed")
        error.issues = issues
        return error


class PlatformError(RealtimeError):
    """Base of what the platform's methods raise. `code` is stable; a client does not see it (`to_wire`)."""

    code: ClassVar[str] = "INTERNAL_ERROR"


class PlatformNotReady(PlatformError, RuntimeError):
    """The platform does not exist yet: the app has not been started."""

    code = "PLATFORM_NOT_READY"


class PayloadTooLarge(PlatformError, ValueError):
    """An envelope is larger than any client would accept. Spec: platform 2.2."""

    code = "PAYLOAD_TOO_LARGE"


class ConnectionClosed(PlatformError):
    """The peer went away while its answer was awaited."""

    code = "CONNECTION_CLOSED"


class RequestFailed(PlatformError):
    """The peer answered a request with an error text."""

    code = "REQUEST_FAILED"


class RequestTimeout(PlatformError):
    """The peer did not answer a request in time."""

    code = "TIMEOUT"


class CapacityExceeded(PlatformError):
    """A bounded structure is full and refuses more."""

    code = "CAPACITY"


class ConnectionBusy(PlatformError):
    """The request could not be sent because the peer's buffer is full."""

    code = "CONNECTION_BUSY"


@dataclass(slots=True, frozen=True)
class WireError:
    """What of an exception goes to the client. Spec: wire 4.2."""

    code: str
    message: str
    issues: list[Issue] | None = None
    retry_after_ms: int | None = None
    data: Any = None


def to_wire(error: BaseException, traceback_of: Callable[[BaseException], str] | None) -> WireError:
    """Return what the client may see of `error`.

    A `LiveError` passes as it is. Anything else is `INTERNAL_ERROR` with a fixed text; only in dev, where
    `traceback_of` is given, does it carry `{"traceback": text}`, secrets redacted. Spec: wire 4.3, live-api 3.2.
    """
    if isinstance(error, LiveError):
        retry = None if error.retry_after is None else max(1, round(error.retry_after * 1000))
        return WireError(error.code, error.message, error.issues, retry, error.data)
    data = {"traceback": redact_text(traceback_of(error))} if traceback_of is not None else None
    return WireError(INTERNAL_ERROR, INTERNAL_ERROR_TEXT, data=data)


def denial_error(reason: str) -> LiveError:
    """Return the error for a stream whose subscription the gate refused. Spec: wire 5.1 step 6."""
    if reason == "CONNECTION_CLOSED":
        return LiveError(reason, "WebSocket closed")
    return LiveError(reason, AUTHENTICATION_REQUIRED if reason == "UNAUTHENTICATED" else ACCESS_DENIED)
