"""Ctrl-C and SIGTERM while files are written: the run ends by an exception, after which everything is put back."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Terminated", "terminating"]


class Terminated(BaseException):
    """The process was told to end."""


@contextlib.contextmanager
def terminating() -> Iterator[None]:
    """Raise `Terminated` in the block when the process is told to end (SIGTERM, SIGHUP)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, _raise) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, frame: object) -> NoReturn:
    del number, frame
    raise Terminated
