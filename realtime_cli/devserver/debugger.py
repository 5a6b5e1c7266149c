"""`breakpoint()` in a handler: the terminal belongs to the debugger while somebody types into it."""

from __future__ import annotations

import os
import pdb
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

    from realtime_cli.devserver.screen import Screen

__all__ = ["install_breakpoint_hook"]


def install_breakpoint_hook(screen: Screen) -> None:
    """Let `breakpoint()` open pdb with the status line away; `PYTHONBREAKPOINT` keeps its meaning.

    Ctrl-C stays with the dev server: pdb's own handler, which `continue` would put in place, is not installed.
    """

    class QuietPdb(pdb.Pdb):
        def interaction(self, *args: Any, **kwargs: Any) -> None:
            with screen.paused():
                super().interaction(*args, **kwargs)

    def hook(*args: Any, **kwargs: Any) -> Any:
        wanted = os.environ.get("PYTHONBREAKPOINT", "")
        if wanted not in ("", "pdb.set_trace") or args or kwargs:
            with screen.paused():
                return sys.__breakpointhook__(*args, **kwargs)
        frame: FrameType = sys._getframe(1)
        QuietPdb(nosigint=True).set_trace(frame)
        return None

    sys.breakpointhook = hook
