"""How the memory that a server has freed is kept: by us, not by the operating system.

glibc gives the end of its heap back as soon as 128 KiB of it are free, and asks for it again with the next message. For
messages of some 64 KiB that is a system call and a dozen page faults each, which halved what a worker takes in.
"""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["KEPT_BYTES", "keep_freed_memory"]

KEPT_BYTES = 16 * 1024 * 1024  # of freed memory that stay with the process
MAPPED_BYTES = (
    8 * 1024 * 1024
)  # from which on a piece of memory is mapped on its own and given back when it is freed

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# Who set one of these knows better.
_CHOSEN_BY = (
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "GLIBC_TUNABLES",
    "LD_PRELOAD",
)


def keep_freed_memory() -> bool:
    """Keep up to `KEPT_BYTES` of freed memory in this process; return whether that could be arranged.

    Only glibc has the switch, and it is left alone where the environment chose its settings or another allocator.
    """
    if sys.platform != "linux" or any(os.environ.get(name) for name in _CHOSEN_BY):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES) and mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES))
