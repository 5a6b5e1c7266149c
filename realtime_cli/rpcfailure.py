"""Showing an error that the server answered with: code, message, fields, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from realtime_cli.exitcodes import FAILED
from realtime_cli.jsontext import one_line, plain_text

if TYPE_CHECKING:
    from realtime_cli.console import Console
    from runtime.client import RpcError

__all__ = ["answered_with", "error_as_data"]

_WHO = "say who you are with --cookie NAME=VALUE, --header 'NAME: VALUE' or --auth"
_OTHER_KIND = (
    "a stream is read with `realtime watch PATH`; bytes are sent with --binary FILE, files with --upload FILE"
)
_HINTS = {
    "UNAUTHENTICATED": _WHO,
    "FORBIDDEN": f"this user may not; {_WHO}",
    "NOT_FOUND": "`realtime routes` lists the paths of a project",
    "INVALID_REQUEST": "`realtime routes` lists the paths of a project",
    "VALIDATION": "`realtime routes` shows the arguments; '\"3\"' is the text 3, and 3 the number",
    "TIMEOUT": "--timeout SECONDS waits longer; the function may still run",
    "DISCONNECTED": "the function may have run all the same; look at the log of the server",
    "INTERNAL_ERROR": "the log of the server has the traceback",
    "OVERLOADED": "try again in a moment",
}


def answered_with(console: Console, error: RpcError) -> typer.Exit:
    """Print an error of the server, as JSON too under ``--json``; give back what ends the command with 1."""
    text = f"{console.paint(plain_text(error.code), 'bold')}"
    if error.message != error.code:
        text += f": {plain_text(error.message)}"
    lines = [f"  {_issue_text(issue)}" for issue in error.issues or ()]
    traceback = error.data.get("traceback") if isinstance(error.data, dict) else None
    if isinstance(traceback, str):
        lines.append(plain_text(traceback))
    elif error.data is not None:
        lines.append(f"  data: {one_line(error.data)}")
    hint = _hint(error, has_traceback=isinstance(traceback, str))
    console.error(text, hint=hint, detail="\n".join(lines))
    if console.json:
        console.emit({"ok": False, "error": {**error_as_data(error), "hint": hint, "exit": FAILED}})
    return typer.Exit(FAILED)


def error_as_data(error: RpcError) -> dict[str, Any]:
    """Give back an error for ``--json``: code and message, and what else it carries."""
    data: dict[str, Any] = {"code": error.code, "message": error.message}
    data |= {"issues": error.issues} if error.issues else {}
    data |= {"data": error.data} if error.data is not None else {}
    return data | ({"retry_after": error.retry_after} if error.retry_after is not None else {})


def _issue_text(issue: Any) -> str:
    """Say where something is wrong and what; an issue that is none, of an odd server, is shown as it is."""
    if not isinstance(issue, dict) or not isinstance(issue.get("path", []), list | None):
        return one_line(issue)
    place = plain_text(".".join(map(str, issue.get("path") or ())))
    return f"{place}{': ' if place else ''}{plain_text(str(issue.get('message', '')))}"


def _hint(error: RpcError, *, has_traceback: bool) -> str:
    if error.retry_after is not None:
        return f"try again in {error.retry_after:g} seconds"
    if has_traceback:
        return ""
    if error.code == "INVALID_REQUEST" and "endpoint" in error.message:
        return _OTHER_KIND
    return _HINTS.get(error.code, "")
