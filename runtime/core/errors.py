"""The exception tree, and the one place that turns an exception into what a client may see.

Spec: live-api 3.2 and 28, wire 4.2 and 4.3, platform 9.2.
"""

from __future__ import annotations

import math
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
    "IdempotencyPendingError",
    "IdempotencySlotLostError",
    "Issue",
    "LiveError",
    "LockCleared",
    "LockError",
    "LockLost",
    "LockQueueFull",
    "LockReentry",
    "LockTimeout",
    "OfflineError",
    "PayloadTooLarge",
    "PlatformError",
    "PlatformNotReady",
    "QueueCleared",
    "QueueFull",
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
#: Characters of a traceback that a client in dev gets.
MAX_TRACEBACK = 32 * 1024
#: The largest whole number that JavaScript has.
MAX_SAFE_INTEGER = 2**53 - 1
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

    Raises:
        TypeError: the code is no text, or an empty one.
    """

    # A class of the app's own may set code and message by itself.
    data: Any = None
    issues: list[Issue] | None = None
    retry_after: float | None = None

    def __init__(self, code: str, message: str | None = None, data: Any = None) -> None:
        if not isinstance(code, str) or not code:
            raise TypeError(f"LiveError: code must be a text that clients can tell apart, not {code!r}")
        super().__init__(code, message)
        self.code = code
        #: Something else than a text, an exception for instance, is taken as what it says.
        self.message = code if message is None else text_of(message)
        self.data = data

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
    """A bounded structure is full and refuses more: `cap` names its bound, `limit` is it, where that is known."""

    code = "CAPACITY"

    def __init__(self, *args: object, cap: str | None = None, limit: float | None = None) -> None:
        super().__init__(*args)
        self.cap = cap
        self.limit = limit


class ConnectionBusy(PlatformError):
    """The request could not be sent because the peer's buffer is full."""

    code = "CONNECTION_BUSY"


class OfflineError(PlatformError):
    """Nobody is connected as the user that was asked for; a registry of `configure_push` raises it."""

    code = "OFFLINE"


class LockError(RealtimeError):
    """Base of what locks raise. `key` is the key that was asked for. Spec: platform 7.1 and 9.2, cluster 25.

    One that leaves a live function reaches the client as its `code`, without the key.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"
    #: What a client is told; `None` keeps the error from clients.
    public_text: ClassVar[str | None] = None

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.key = key

    @property
    def data(self) -> dict[str, Any]:
        """The attributes, for logs and replies that want them."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


class LockTimeout(LockError):
    """The lock was not free within `max_wait` seconds; `waited` is how long that was."""

    code = "LOCK_TIMEOUT"
    public_text = "The lock was not free in time"

    def __init__(self, key: str, max_wait: float, waited: float) -> None:
        super().__init__(f"lock: {key!r} was not free within {max_wait:g} s", key)
        self.max_wait = max_wait
        self.waited = waited


class LockQueueFull(LockError):
    """`max_waiters_per_key` wait for this key already."""

    code = "LOCK_QUEUE_FULL"
    public_text = "Too many wait for the lock"

    def __init__(self, key: str, max_waiters_per_key: float) -> None:
        super().__init__(f"lock: {max_waiters_per_key:g} wait for {key!r} already", key)
        self.max_waiters_per_key = max_waiters_per_key


class LockCleared(LockError):
    """`clear()` or `close()` was called while this one waited."""

    code = "LOCK_CLEARED"
    public_text = "The lock was cleared"

    def __init__(self, key: str) -> None:
        super().__init__(f"lock: {key!r} was cleared while it was waited for", key)


class LockLost(LockError):
    """The lock was held for longer than it could be kept, and may belong to somebody else now."""

    code = "LOCK_LOST"
    public_text = "The lock was lost"

    def __init__(self, key: str) -> None:
        super().__init__(f"lock: {key!r} was lost while it was held", key)


class LockReentry(LockError, RuntimeError):
    """The task holds this key already and would wait for itself."""

    code = "LOCK_REENTRY"

    def __init__(self, key: str) -> None:
        super().__init__(
            f"lock: this task holds {key!r} already and would wait for itself; take it once, further out", key
        )


class QueueFull(PlatformError):
    """A queue takes no more tasks: of this key (`max_size`), or no more keys. Spec: platform 7.10."""

    code = "QUEUE_FULL"

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.key = key


class QueueCleared(PlatformError):
    """`clear()` or `close()` was called while the task waited for its turn."""

    code = "QUEUE_CLEARED"


class IdempotencyPendingError(PlatformError):
    """The same work is still running elsewhere."""

    code = "IDEMPOTENCY_PENDING"


class IdempotencySlotLostError(PlatformError):
    """The slot belongs to somebody else by now; `result` is what was stored, where something was."""

    code = "IDEMPOTENCY_SLOT_LOST"

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


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

    A `LiveError` passes as it is, what a lock raised as its code with a fixed text. Anything else is `INTERNAL_ERROR`
    with a fixed text; only in dev, where `traceback_of` is given, does it carry `{"traceback": text}`, without secrets.
    Spec: wire 4.3, live-api 3.2, platform 9.2.
    """
    if isinstance(error, LiveError):
        # The attributes of an error can be set to anything, and its caller gets a reply all the same.
        retry = _milliseconds(error.retry_after)
        return WireError(text_of(error.code), text_of(error.message), error.issues, retry, error.data)
    if isinstance(error, LockError) and error.public_text is not None:
        return WireError(error.code, error.public_text)
    data = {"traceback": redact_text(_shortened(traceback_of(error)))} if traceback_of is not None else None
    return WireError(INTERNAL_ERROR, INTERNAL_ERROR_TEXT, data=data)


def text_of(value: object) -> str:
    """Return `value` if it is a text, else what it says of itself; never raises."""
    if isinstance(value, str):
        return value
    try:
        return str(value)
    except Exception:
        return type(value).__name__


def _shortened(text: str) -> str:
    """Return a traceback without the middle of what is too long to be looked through for secrets, in whole lines."""
    if len(text) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 2
    head = text[: text.rfind("\n", 0, half) + 1]
    start = text.find("\n", len(text) - half) + 1
    tail = text[start:] if start else ""
    return f"{head}[{len(text) - len(head) - len(tail):,} characters are left out]\n{tail}"


def _milliseconds(seconds: object) -> int | None:
    """Return a wait as clients get it, `None` for what is none."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds < math.inf:
        return None
    return min(max(1, round(seconds * 1000)), MAX_SAFE_INTEGER) if seconds > -math.inf else 1


def denial_error(reason: str) -> LiveError:
    """Return the error for a stream whose subscription the gate refused. Spec: wire 5.1 step 6."""
    if reason == "CONNECTION_CLOSED":
        return LiveError(reason, "WebSocket closed")
    return LiveError(reason, AUTHENTICATION_REQUIRED if reason == "UNAUTHENTICATED" else ACCESS_DENIED)
