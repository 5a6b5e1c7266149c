"""The bounds of one upload handler. Spec: live-api 7."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.core import capacity

__all__ = ["UploadOptions"]


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """What `live.upload` was given; `None` stands for the usual bound, that of `runtime.core.capacity`."""

    max_size: int | None = None
    max_concurrent_per_session: int | None = None
    max_concurrent_total: int | None = None
    max_buffered_chunks: int | None = None
    reauth_every: float | None = None

    @property
    def size_limit(self) -> int:
        """Bytes of one upload."""
        return capacity.get("UPLOAD_MAX_SIZE") if self.max_size is None else self.max_size

    @property
    def session_limit(self) -> int:
        """Uploads of one connection at a time."""
        given = self.max_concurrent_per_session
        return capacity.get("UPLOAD_MAX_CONCURRENT_PER_SESSION") if given is None else given

    @property
    def total_limit(self) -> int:
        """Uploads of all connections of the worker at a time."""
        given = self.max_concurrent_total
        return capacity.get("UPLOAD_MAX_CONCURRENT_TOTAL") if given is None else given

    @property
    def chunk_limit(self) -> int:
        """Pieces that the handler has not read yet."""
        given = self.max_buffered_chunks
        return capacity.get("UPLOAD_MAX_BUFFERED_CHUNKS") if given is None else given
