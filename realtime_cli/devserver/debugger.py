"""`breakpoint()` in a handler: the terminal belongs to the debugger while somebody types into it."""

from __future__ import annotations

import contextlib
import os
import pdb
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from realtime_cli.devserver.screen import Screen

__all__ = ["install_breakpoint_hook", "is_in_debugger"]

_DEBUGGERS = frozenset({"pdb", "bdb"})


def is_in_debugger() -> bool:
    """Whether the main thread stands in pdb or one that is built on it, however it came there; from any thread."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        if frame.f_globals.get("__name__") in _DEBUGGERS:
            return True
        frame = frame.f_back
    return False


def install_breakpoint_hook(screen: Screen, tell: Callable[[bool], object]) -> None:
    """Let `breakpoint()` open pdb with the status line away; `PYTHONBREAKPOINT` keeps its meaning.

    Ctrl-C stays with the dev server: pdb's own handler, which `continue` would put in place, is not installed.

    Args:
        tell: called with `True` when somebody begins to type into the debugger, and with `False` at the end of it.
    """

    @contextlib.contextmanager
    def typing() -> Iterator[None]:
        tell(True)
        try:
            with screen.paused():
                yield
        finally:
            tell(False)

    class QuietPdb(pdb.Pdb):
        def interaction(self, *args: Any, **kwargs: Any) -> None:
            with typing():
                super().interaction(*args, **kwargs)

    def hook(*args: Any, **kwargs: Any) -> Any:
        wanted = os.environ.get("PYTHONBREAKPOINT", "")
        if wanted not in ("", "pdb.set_trace") or args or kwargs:
            with typing():
                return sys.__breakpointhook__(*args, **kwargs)
        frame: FrameType = sys._getframe(1)
        QuietPdb(nosigint=True).set_trace(frame)
        return None

    sys.breakpointhook = hook
