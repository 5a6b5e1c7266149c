"""Exit codes of every command, and the exception that ends a command with one of them.

Spec: platform 8.7.
"""

from __future__ import annotations

__all__ = [
    "BUSY",
    "COULD_NOT_START",
    "FAILED",
    "INTERRUPTED",
    "NOTHING_CHANGED",
    "NOT_CLEAN",
    "OK",
    "USAGE",
    "CommandFailed",
]

OK = 0
"""Done and nothing found; also a server that was told to stop and stopped."""

FAILED = 1
"""Findings, or work that failed."""

USAGE = 2
"""Wrong usage, no project, an unreadable setting: only an edit helps."""

COULD_NOT_START = 3
"""Port in use, ``hooks.py`` or a live module that does not import, ``init`` that raised."""

NOT_CLEAN = 3
"""`realtime upgrade`: the work tree has changes that are not committed."""

NOTHING_CHANGED = 4
"""`realtime upgrade`: the writing failed and everything was put back, or an edit could not be proved."""

BUSY = 5
"""`realtime upgrade`: another run is at work here, or one was killed and has to be undone."""

INTERRUPTED = 130
"""Ctrl-C before the end, or a second signal during shutdown."""


class CommandFailed(Exception):
    """End the running command with a message and an exit code.

    Args:
        message: what was wrong and where, one sentence.
        hint: what to do next: a command to run or a key to set.
        code: one of the constants of this module.
        detail: more lines (a traceback), printed under the message.
    """

    def __init__(self, message: str, *, hint: str = "", code: int = FAILED, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.detail = detail
