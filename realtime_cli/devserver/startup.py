"""Bring the project up inside a worker, or say exactly what is in the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime_cli.devserver.channel import distinct, problem_of
from realtime_cli.devserver.projectsettings import CannotStart
from realtime_cli.exitcodes import COULD_NOT_START
from runtime.live.problems import LoadProblem, problem_from
from runtime.server.app import RealtimeApp, create_app
from runtime.server.assembly import StartupError
from runtime.server.importmap import PREFIX_PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from starlette.routing import BaseRoute

    from realtime_cli.devserver.overlay import DevChannel
    from runtime.core.settings import Settings

__all__ = ["Started", "start_app"]

SNIPPET = f'<script type="module" src="{PREFIX_PLACEHOLDER}/__realtime/dev.js"></script>'


@dataclass(slots=True)
class Started:
    """A running app. `degraded`: its hooks do not work, so it takes no connections and only shows why."""

    app: RealtimeApp
    degraded: bool


async def start_app(
    project: Path,
    settings: Settings,
    channel: DevChannel,
    *,
    may_degrade: bool,
    excused: Collection[str],
    prepare: Callable[[RealtimeApp], None],
) -> Started:
    """Make the app, load the project's code and run its `init` hook.

    With `may_degrade` live modules that fail are shown and do not stop the others, and broken hooks do not stop the
    pages: the app then refuses every upgrade. Without it another app serves with working code, and stays.

    Args:
        excused: files of live modules whose mistakes do not count: the other app does not have them either.
        prepare: called with each app that is made, before anything of the project runs.

    Raises:
        CannotStart: see above.
    """
    routes: list[BaseRoute] = channel.routes()

    def make(of: Settings) -> RealtimeApp:
        made = create_app(project, settings=of, routes=routes, lifespan="manual", page_snippets=[SNIPPET])
        prepare(made)
        return made

    app = make(settings)
    problems = await _start(project, settings, app)
    if not problems and not may_degrade:
        problems = [p for p in app.runtime.live.registry.problems if p.file not in excused]
    if not problems:
        return Started(app, degraded=False)
    if not may_degrade:
        await app.stop("restart")
        raise CannotStart(distinct(problem_of(problem) for problem in problems), COULD_NOT_START)
    if app.runtime.is_ready:  # hooks.py does not load, all else works
        return Started(app, degraded=True)
    bare = make(settings)
    bare.runtime.leave_out_hooks(problems[0])
    if await _start(project, settings, bare) and not bare.runtime.is_ready:
        raise CannotStart(distinct(problem_of(problem) for problem in problems), COULD_NOT_START)
    return Started(bare, degraded=True)


async def _start(project: Path, settings: Settings, app: RealtimeApp) -> list[LoadProblem]:
    """Start the app; return what keeps it from serving connections, nothing if it serves them."""
    hooks = project / settings.server.hooks
    try:
        await app.start()
    except StartupError as error:
        if error.problems:
            return error.problems
        return [LoadProblem(settings.server.live, None, "StartupError", str(error))]
    except SystemExit as error:
        hint = "modules of the project must not end the process while they are imported"
        return [problem_from(error, project, hooks, hint=hint)]
    problem = app.runtime.hooks_problem
    return [problem] if problem is not None else []
