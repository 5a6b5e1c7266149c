"""Signals that the terminal sends to all processes in it: the parent decides what they mean, workers ignore them.

A worker begins with them blocked, as its imports come before it can say that it ignores them.
"""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["blocked_signals", "silence_signals"]

_SIGNALS = {getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)}


@contextlib.contextmanager
def blocked_signals() -> Iterator[None]:
    """Have processes that are started here begin with the signals blocked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def silence_signals() -> None:
    """Let the signals pass without effect from now on, those that came while they were blocked too."""
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
