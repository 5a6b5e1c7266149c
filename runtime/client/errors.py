"""What the client raises. Spec: live-api 23, 26 and 28."""

from __future__ import annotations

from runtime.core.errors import RealtimeError
from runtime.core.rpcerror import CONNECTION_CLOSED, DISCONNECTED, RpcError

__all__ = [
    "CANCELLED",
    "CONNECTION_CLOSED",
    "DISCONNECTED",
    "LOAD_MORE_ERROR",
    "PAYLOAD_TOO_LARGE",
    "QUEUE_FULL",
    "SOURCE_ERROR",
    "STREAM_ERROR",
    "TIMEOUT",
    "RpcError",
    "StreamLagged",
]

CANCELLED = "CANCELLED"
LOAD_MORE_ERROR = "LOAD_MORE_ERROR"
PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
QUEUE_FULL = "QUEUE_FULL"
SOURCE_ERROR = "SOURCE_ERROR"
STREAM_ERROR = "STREAM_ERROR"
TIMEOUT = "TIMEOUT"


class StreamLagged(RealtimeError):
    """`events()` was read too slowly and its queue ran full; read `values()` instead, or read faster."""
