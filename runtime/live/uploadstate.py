"""What is known of one upload, and of the uploads of one connection. Spec: wire 4.7."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.core.signal import Signal

if TYPE_CHECKING:
    from runtime.core.clock import TimerHandle
    from runtime.core.connection import Connection
    from runtime.live.registry import Endpoint
    from runtime.live.uploadoptions import UploadOptions
    from runtime.live.uploadstream import UploadCtx, UploadStream
    from runtime.wire.binary import UploadHeader

__all__ = ["PeerUploads", "UploadState"]


class UploadState:
    """One upload that has not settled, and its handler, which may go on for a while after that."""

    __slots__ = (
        "connection",
        "ctx",
        "endpoint",
        "expected",
        "header",
        "is_checking",
        "is_complete",
        "is_held",
        "is_impatient",
        "is_settled",
        "options",
        "pending_bytes",
        "signal",
        "started",
        "stream",
        "stream_id",
        "timer",
        "total",
        "unchecked",
    )

    def __init__(self, connection: Connection, stream_id: int, header: UploadHeader, started: float) -> None:
        self.connection = connection
        self.stream_id = stream_id
        self.header = header
        self.started = started
        self.signal = Signal()
        self.stream: UploadStream
        self.endpoint: Endpoint | None = None
        self.ctx: UploadCtx | None = None
        #: What the handler was declared with; `None` while the upload is pending.
        self.options: UploadOptions | None = None
        self.expected = 1
        self.total = 0
        self.pending_bytes = 0
        #: Bytes that came since the guard was last asked.
        self.unchecked = 0
        self.is_checking = False
        self.is_complete = False
        self.is_settled = False
        #: Whether reading from its connection stops for it, and whether that has taken long enough.
        self.is_held = False
        self.is_impatient = False
        self.timer: TimerHandle | None = None


class PeerUploads:
    """The uploads of one connection by stream id, and whether it has been told the size of frames."""

    __slots__ = ("holds", "is_told", "running", "uploads")

    def __init__(self) -> None:
        self.uploads: dict[int, UploadState] = {}
        self.running = 0
        self.holds = 0
        self.is_told = False
