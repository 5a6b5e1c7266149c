"""What `realtime check` finds while one edits: after each save, what was not there before.

A process of its own looks at the files, with the lowest priority, so that a large project does not slow its server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from realtime_cli.startcheck import check_command, lowest_priority

if TYPE_CHECKING:
    from pathlib import Path

    from realtime_cli.devserver.terminal import Terminal
    from runtime.core.tasks import TaskOwner

__all__ = ["FindingsWatch"]

DELAY = 0.5
"""Seconds after a save before the files are looked at, so that replies and type declarations come first."""

TIME_LIMIT = 60.0
"""Seconds that a look may take."""

MAX_SHOWN = 5
"""New findings that are shown after one save; of more only the number is said."""


class FindingsWatch:
    """Looks at a project again and again. All methods belong to the loop's thread."""

    def __init__(self, project: Path, terminal: Terminal, tasks: TaskOwner) -> None:
        self._project = project
        self._terminal = terminal
        self._tasks = tasks
        #: What was found at the last look: rule, path and message; None before the first one.
        self._known: set[tuple[str, str, str]] | None = None
        self._is_old = False
        self._looking: asyncio.Task[None] | None = None

    def look_soon(self) -> None:
        """Look once the files have settled; more calls until then are one."""
        self._is_old = True
        if self._looking is None or self._looking.done():
            with contextlib.suppress(RuntimeError):  # we end
                self._looking = self._tasks.start(self._look(), name="check")

    async def _look(self) -> None:
        while self._is_old:
            await asyncio.sleep(DELAY)
            self._is_old = False
            findings = await self._run()
            if findings is not None:
                self._tell(findings)

    async def _run(self) -> list[dict[str, Any]] | None:
        """Return what is found, None if the look itself did not work: that is for `realtime check` to tell."""
        process = await asyncio.create_subprocess_exec(
            *check_command("dev"),
            cwd=self._project,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the server
            preexec_fn=lowest_priority,
        )
        try:
            async with asyncio.timeout(TIME_LIMIT):
                out, _ = await process.communicate()
            found = json.loads(out)["findings"]
        except (TimeoutError, ValueError, KeyError, TypeError):
            return None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return found if isinstance(found, list) else None

    def _tell(self, findings: list[dict[str, Any]]) -> None:
        before, now = self._known, {_identity(one) for one in findings}
        self._known = now
        if before is None:
            heavy = [one for one in findings if one["severity"] != "info"]
            if heavy:
                number = f"{len(heavy)} finding{'s' if len(heavy) > 1 else ''}"
                self._terminal.event("check", f"{number}: realtime check shows them", findings=len(heavy))
            return
        fresh = [one for one in findings if _identity(one) not in before]
        for one in fresh[:MAX_SHOWN]:
            place = f"{one['path']}:{one['line']}"
            text = f"{place} {one['severity']} {one['rule']} {one['message']}\n  fix: {one['fix']}"
            self._terminal.event("check", text, finding=one)
        if len(fresh) > MAX_SHOWN:
            self._terminal.event(
                "check", f"and {len(fresh) - MAX_SHOWN} more: realtime check", findings=len(fresh)
            )
        if before and not now:
            self._terminal.event("check", "nothing is found any more", findings=0)


def _identity(finding: dict[str, Any]) -> tuple[str, str, str]:
    return finding["rule"], finding["path"], finding["message"]
