"""Log records in the dev server's terminal: one line each, tracebacks cut to the user's own frames."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from realtime_cli.plaintext import plain_lines
from runtime.live.problems import user_traceback

if TYPE_CHECKING:
    from pathlib import Path

    from realtime_cli.devserver.terminal import Terminal

__all__ = ["adopt_server_logs", "set_up_logging"]

_QUIETER = ("uvicorn", "asyncio", "watchfiles", "httptools", "websockets")


def set_up_logging(terminal: Terminal, level: str, project: Path) -> None:
    """Show records of `level` (lower case name) and above; libraries of the server only from warnings on."""
    root = logging.getLogger()
    root.handlers[:] = [_TerminalHandler(terminal, project)]
    root.setLevel(level.upper())
    for name in _QUIETER:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def adopt_server_logs() -> None:
    """Send uvicorn's records our way too; it puts handlers of its own in place when a server is made."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


class _TerminalHandler(logging.Handler):
    def __init__(self, terminal: Terminal, project: Path) -> None:
        super().__init__()
        self._terminal = terminal
        self._project = project

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            error = record.exc_info[1] if record.exc_info else None
            trace = user_traceback(error, self._project) if error is not None else record.exc_text or ""
            trace = trace.rstrip("\n")
            is_bad = record.levelno >= logging.WARNING
            event = record.levelname.lower() if is_bad else "log"
            shown = _indented(plain_lines(f"{text}\n{trace}" if trace else text))
            fields = {"logger": record.name, "level": record.levelname.lower(), "traceback": trace}
            if self._terminal.options.json_log:
                self._terminal.event("log", text, message=text, **fields)
            elif is_bad:
                self._terminal.important(event, shown)
            else:
                self._terminal.event(event, shown)
        except Exception:
            self.handleError(record)


def _indented(text: str) -> str:
    """Indent every line but the first."""
    return "\n    ".join(text.rstrip("\n").split("\n"))
