"""What a running worker does about changed files: new live code, new files for pages, fresh type declarations."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from typing import TYPE_CHECKING

from realtime_cli.devserver.bytecode import forget_bytecode
from realtime_cli.devserver.changes import Layout
from realtime_cli.devserver.channel import distinct, problem_of
from realtime_cli.devserver.findings import FindingsWatch
from realtime_cli.devserver.fingerprints import FileIndex

if TYPE_CHECKING:
    from pathlib import Path

    from realtime_cli.devserver.channel import Problem
    from realtime_cli.devserver.overlay import DevChannel
    from realtime_cli.devserver.terminal import Terminal
    from runtime.core.tasks import TaskOwner
    from runtime.live.reload import ReloadResult
    from runtime.server.app import RealtimeApp

__all__ = ["Reloading"]

TYPES_DELAY = 0.3
"""Seconds after a reload before type declarations are written, so that replies come first."""

LIVE, RESTART = "live", "restart"
"""Who finds something wrong: the live modules and hooks as they are loaded here, or a worker that did not come up."""


class Reloading:
    """The part of a worker that follows the files. All methods belong to the loop's thread."""

    def __init__(
        self,
        app: RealtimeApp,
        project: Path,
        pages: DevChannel,
        terminal: Terminal,
        tasks: TaskOwner,
        *,
        types: bool,
    ) -> None:
        self._app = app
        self._project = project
        self._pages = pages
        self._terminal = terminal
        self._tasks = tasks
        wanted = app.runtime.settings.dev.check
        self._findings = FindingsWatch(project, terminal, tasks) if wanted else None
        self._types = types
        self._types_are_old = False
        self._writing: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._never_loaded: set[str] = set()

    @property
    def failing(self) -> list[str]:
        """The files whose mistakes keep live modules away that were never loaded here: no older code stands in."""
        return sorted(self._never_loaded)

    async def start(self) -> None:
        """Show what is wrong with the project as it was loaded, and write the type declarations."""
        await self._look_at_web()
        problems = self._present()
        self._never_loaded = {problem.file for problem in self._app.runtime.live.registry.problems}
        self._pages.set_problems(LIVE, problems)
        if problems:
            self._terminal.problems(self._title(problems), problems)
        self._write_types_soon()
        self._check_soon()

    async def live(self, paths: list[str]) -> bool:
        """Load live modules that changed or failed again; return whether all of the new code is in force.

        `paths` may hold other modules too, which no live module could import so far.
        """
        async with self._lock:
            before = self._present()
            files = [self._project / path for path in paths]
            for file in files:
                forget_bytecode(file)
            importlib.invalidate_caches()  # a module may be there now that was looked for a moment ago
            result = await self._app.runtime.live.reload(files)
            problems = self._present()
            self._never_loaded &= {problem.file for problem in self._app.runtime.live.registry.problems}
            self._pages.set_problems(LIVE, problems)
            self._tell_pages(result)
            self._tell_terminal(result, paths, before, problems)
            self._write_types_soon()
            self._check_soon()
            return not problems

    async def assets(self, css: list[str], *, page: bool) -> None:
        """Serve changed web files and let pages swap style sheets or load again."""
        async with self._lock:
            static = self._app.runtime.static
            if static is not None:
                await asyncio.to_thread(static.refresh)
            await self._look_at_web()
        if page:
            self._check_soon()
            self._pages.page_changed()
            self._terminal.event("reload", "pages", page=True, css=css)
        else:
            self._pages.css_changed(css)
            self._terminal.event("reload", f"styles {', '.join(css)}", page=False, css=css)

    async def _look_at_web(self) -> None:
        server = self._app.runtime.settings.server
        index = FileIndex(self._project, Layout(server.live, server.web, server.hooks))
        self._pages.web = await asyncio.to_thread(index.fingerprint, server.web)

    def restart_failed(self, paths: list[str], problems: list[Problem]) -> None:
        """Show why a new worker did not come up, until another takes over from this one."""
        self._pages.set_problems(RESTART, problems)
        because = f" (because of {', '.join(paths)})" if paths else ""
        self._terminal.problems(
            f"the new worker{because} did not start; the old code keeps serving", problems
        )

    def _present(self) -> list[Problem]:
        return distinct(problem_of(problem) for problem in self._app.runtime.problems)

    def _tell_pages(self, result: ReloadResult) -> None:
        modules = [*result.modules, *result.removed]
        if modules:
            self._pages.stubs_changed(modules)
        if result.page_reload:
            self._pages.page_changed()

    def _tell_terminal(
        self, result: ReloadResult, paths: list[str], before: list[Problem], problems: list[Problem]
    ) -> None:
        ms = result.duration * 1000
        live = self._app.runtime.settings.server.live
        if result.modules or result.removed:
            files = [f"{live}/{name}.py" for name in result.modules]
            files += [f"{live}/{name}.py (removed)" for name in result.removed]
            shown = (
                ", ".join(files) if len(files) <= 3 else f"{', '.join(files[:2])} and {len(files) - 2} more"
            )
            fields = {"modules": result.modules, "removed": result.removed, "ms": round(ms, 2)}
            self._terminal.event("reload", f"{shown} in {ms:.0f} ms", **fields)
        changed = set(paths)
        if problems and (problems != before or any(problem["file"] in changed for problem in problems)):
            self._terminal.problems(self._title(problems), problems)
        elif before and not problems:
            self._terminal.event("reload", "all is right again", problems=0)

    def _title(self, problems: list[Problem]) -> str:
        if self._app.runtime.hooks_problem is not None:
            return "the project does not load; connections are refused until it does"
        if self._never_loaded.issuperset(problem["file"] for problem in problems):
            return "live code does not load; what it declares is missing until it does"
        return "live code does not load; what was loaded before keeps serving"

    def _check_soon(self) -> None:
        if self._findings is not None:
            self._findings.look_soon()

    def _write_types_soon(self) -> None:
        if not self._types:
            return
        self._types_are_old = True
        if self._writing is None or self._writing.done():
            with contextlib.suppress(RuntimeError):  # we end
                self._writing = self._tasks.start(self._write_types(), name="types")

    async def _write_types(self) -> None:
        from realtime_cli import typegen

        while self._types_are_old:
            await asyncio.sleep(TYPES_DELAY)
            self._types_are_old = False
            registry = self._app.runtime.live.registry
            try:
                await asyncio.to_thread(typegen.write_types, self._project, registry)
            except OSError as error:
                self._terminal.important("warning", f"type declarations were not written: {error}")
