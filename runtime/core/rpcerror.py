"""`RpcError`: what a call of a client fails with. Servers know it too: a page may show one of another server's.

Spec: live-api 19.1, 26 and 28; wire 4.2.
"""

from __future__ import annotations

from typing import Any

from runtime.core.errors import Issue, RealtimeError

__all__ = ["CONNECTION_CLOSED", "DISCONNECTED", "UNKNOWN", "RpcError"]

CONNECTION_CLOSED = "CONNECTION_CLOSED"
DISCONNECTED = "DISCONNECTED"
UNKNOWN = "UNKNOWN"
UNKNOWN_TEXT = "Unknown error"


class RpcError(RealtimeError):
    """A call or a stream failed: the server said so, or the answer never came.

    `code` is stable (live-api 28), `message` is for people. `issues` says which arguments were refused
    (`VALIDATION`), `retry_after` in how many seconds to try again (`RATE_LIMITED`), `data` is what the
    handler attached; in dev it holds `{"traceback": text}` for an unexpected exception.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        issues: list[Issue] | None = None,
        data: Any = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = code if message is None else message
        self.issues = issues
        self.data = data
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.code if self.message == self.code else f"{self.code}: {self.message}"

    @classmethod
    def from_reply(cls, reply: dict[str, Any]) -> RpcError:
        """Return the error in a failed reply, whatever is missing or wrong in it. Spec: wire 4.2."""
        code, text, issues = reply.get("code"), reply.get("error"), reply.get("issues")
        return cls(
            code if isinstance(code, str) and code else UNKNOWN,
            text if isinstance(text, str) and text else UNKNOWN_TEXT,
            issues=issues if isinstance(issues, list) else None,
            data=reply.get("data"),
            retry_after=_seconds(reply.get("retryAfter")),
        )

    @classmethod
    def disconnected(cls, why: str = "") -> RpcError:
        """Return the error of a call whose connection was lost; the server may have run it all the same."""
        return cls(DISCONNECTED, f"connection lost{f': {why}' if why else ' before the answer came'}")

    @classmethod
    def closed(cls, why: str = "") -> RpcError:
        """Return the error of a call on a connection that ended for good."""
        return cls(CONNECTION_CLOSED, f"the connection is closed{why and f' ({why})'}; connect again")


def _seconds(milliseconds: Any) -> float | None:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    try:
        return milliseconds / 1000
    except OverflowError:  # a whole number that no float holds
        return None
