"""The decisions of the parent of `realtime dev`: which worker serves, when a new one is tried, when one must go.

No process, socket, thread or clock is touched here; `Outside` does that, and tests put a list in its place.
One worker *serves*. A change that only a new process can take in *starts* another beside it, which takes over when
it is ready; the old one then *retires*. If the new one fails, the old one stays and shows why.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from realtime_cli.devserver.changes import Changes, Layout
from realtime_cli.devserver.channel import (
    Assets,
    Imported,
    LoadFailed,
    Message,
    Problem,
    Ready,
    Released,
    Reload,
    Reloaded,
    RestartFailed,
    Retire,
    Stop,
    Stopping,
    WhichImported,
)
from realtime_cli.exitcodes import COULD_NOT_START, INTERRUPTED, OK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Outside", "Role", "Supervision", "Worker"]

STOP_ANSWER = 0.7
"""Seconds in which a worker's loop must take note of the order to stop; a loop that is blocked is killed."""

STOP_LIMIT = 20.0
"""Seconds in which a worker that stops must be gone; its `shutdown` hook has 10 by default."""

STOP_NOTE = 1.0
"""Seconds after which the user is told what is being waited for."""

RETIRE_LIMIT = 20.0
"""Seconds in which a retired worker must be gone, from when it stopped accepting. One whose loop is held up, as by a
debugger, is left alone."""

MAX_CRASHES = 3
"""Workers that may end by themselves soon after their start before a change of the project is waited for."""

STEADY = 5.0
"""Seconds of serving after which a worker's end is no longer counted as a failed start."""


class Role(enum.Enum):
    """What a worker process is for."""

    STARTING = "starting"
    SERVING = "serving"
    RETIRING = "retiring"
    ABANDONED = "abandoned"


class Outside(Protocol):
    """What the supervision asks the world to do. Workers are named by their number."""

    def spawn(self, worker: int, *, may_degrade: bool, changed: Iterable[str]) -> None:
        """Start a worker process; `changed` are the files because of which."""

    def send(self, worker: int, message: Message) -> None:
        """Send a message to a worker; one that is gone is reported as exited anyway."""

    def kill(self, worker: int) -> None:
        """End a worker process by force."""

    def use_layout(self, layout: Layout) -> None:
        """Sort changes by these folders from now on."""

    def serves(self, *, first: bool, duration: float) -> None:
        """Say that a worker serves now, after `duration` seconds; with `first` that the server is up."""

    def note(self, event: str, text: str, **fields: Any) -> None:
        """Show a line on the terminal."""

    def show(self, problems: list[dict[str, Any]]) -> None:
        """Show mistakes on the terminal."""


@dataclass(slots=True)
class Worker:
    """One worker process, as the parent knows it."""

    number: int
    role: Role
    since: float
    batch: Changes = field(default_factory=Changes)
    """What it was started for."""
    held: Changes = field(default_factory=Changes)
    """The part of the batch that the serving worker can take in, and is told of if this one fails."""
    later: Changes = field(default_factory=Changes)
    """What changed while it started."""
    kill_at: float | None = None

    @property
    def causes(self) -> list[str]:
        """The files because of which it was started."""
        return sorted(self.batch.restart | self.batch.python) or sorted(self.batch.live)


class Supervision:
    """The state of `realtime dev`; every method is called from one thread.

    `exit_code` is set once it is known; the program ends with it when `is_done`.
    """

    def __init__(self, outside: Outside, clock: Callable[[], float]) -> None:
        self._outside = outside
        self._clock = clock
        self._workers: dict[int, Worker] = {}
        self._number = 0
        self._asked: Changes | None = None
        self._reloading = False
        self._pending = Changes()
        self._is_broken = False
        self._has_served = False
        self._crashes = 0
        self._note_at: float | None = None
        self._took: float | None = None  # how long the start took that was not reported yet
        self.exit_code: int | None = None

    # ------------------------------------------------------------ state

    @property
    def serving(self) -> Worker | None:
        """The worker that pages talk to."""
        return self._find(Role.SERVING)

    @property
    def starting(self) -> Worker | None:
        """The worker that is to take over."""
        return self._find(Role.STARTING)

    @property
    def is_done(self) -> bool:
        """Whether the program can end."""
        return self.exit_code is not None and not self._workers

    def next_deadline(self) -> float | None:
        """Return when `tick` has something to do, by the clock."""
        times = [worker.kill_at for worker in self._workers.values() if worker.kill_at is not None]
        return min([*times, *([self._note_at] if self._note_at is not None else [])], default=None)

    def _find(self, role: Role) -> Worker | None:
        return next((worker for worker in self._workers.values() if worker.role is role), None)

    # ------------------------------------------------------------ what happens

    def start(self) -> None:
        """Start the first worker."""
        self._spawn(Changes())

    def changed(self, changes: Changes) -> None:
        """Take in a batch of changed files."""
        if self.exit_code is not None or not changes:
            return
        nobody = self.serving is None and self.starting is None
        retry = self._is_broken and bool(changes.live or changes.python)
        if changes.restart or (changes.python and retry) or nobody:
            self._spawn(changes, held=Changes(live=changes.live, css=changes.css, page=changes.page))
            return
        if self.starting is not None:
            self.starting.later.add(changes)
        self._deliver(changes)
        if retry:
            self._spawn(changes)

    def received(self, number: int, message: Message) -> None:
        """Take in what a worker says."""
        worker = self._workers.get(number)
        if worker is None:
            return
        match message:
            case Stopping():
                worker.kill_at = self._clock() + STOP_LIMIT
            case Released() if worker.role is Role.RETIRING:
                worker.kill_at = self._clock() + RETIRE_LIMIT
                self._report_takeover()
            case Ready() if worker.role is Role.STARTING and self.exit_code is None:
                self._took_over(worker, message)
            case LoadFailed() if worker.role is Role.STARTING:
                worker.role = Role.ABANDONED
                self._failed(worker, message.problems, message.exit_code)
            case Reloaded() if worker.role is Role.SERVING:
                self._reloading = False
                self._next_batch()
            case Imported() if worker.role is Role.SERVING and self._asked is not None:
                self._answered(set(message.paths))
            case _:  # said before the worker was told that it is not needed any more
                pass

    def exited(self, number: int, status: int) -> None:
        """Take in that a worker process is gone; a negative status is the signal that ended it."""
        worker = self._workers.pop(number, None)
        if worker is None or self.exit_code is not None:
            return
        end = f"signal {-status}" if status < 0 else f"exit code {status}"
        if worker.role is Role.STARTING:
            text = f"the worker ended with {end} before it was ready"
            hint = "something that is imported ends the process; what it printed is in the terminal"
            problem: Problem = {
                "file": next(iter(worker.causes), "hooks.py"),
                "line": None,
                "column": None,
                "errorType": "WorkerEnded",
                "message": text,
                "hint": hint,
                "excerpt": [],
                "traceback": "",
            }
            self._failed(worker, [problem], COULD_NOT_START)
        elif worker.role is Role.SERVING:
            self._crashed(worker, end)
        elif worker.role is Role.RETIRING:
            self._report_takeover()

    def interrupt(self) -> None:
        """Take in Ctrl-C or SIGTERM: the first ends in order (exit code 0), a second at once (130)."""
        if self.exit_code is not None:
            self.exit_code = INTERRUPTED
            for worker in self._workers.values():
                self._outside.kill(worker.number)
            return
        self._end(OK)

    def tick(self) -> None:
        """Do what is due by the clock."""
        now = self._clock()
        for worker in self._workers.values():
            if worker.kill_at is not None and worker.kill_at <= now:
                worker.kill_at = None
                self._outside.kill(worker.number)
        if self._note_at is not None and self._note_at <= now:
            self._note_at = None
            self._outside.note(
                "stop", "waiting for the shutdown hook and running calls; Ctrl-C again ends at once"
            )

    # ------------------------------------------------------------ changes for the serving worker

    def _deliver(self, changes: Changes) -> None:
        serving = self.serving
        if serving is None or not changes:
            return
        if self._asked is not None or self._reloading:
            self._pending.add(changes)
            return
        if changes.python:
            self._asked = changes
            self._outside.send(serving.number, WhichImported(paths=sorted(changes.python)))
            return
        if changes.live:
            self._reloading = True
            self._outside.send(serving.number, Reload(paths=sorted(changes.live)))
        if changes.css or changes.page:
            self._outside.send(serving.number, Assets(css=sorted(changes.css), page=bool(changes.page)))

    def _answered(self, imported: set[str]) -> None:
        changes, self._asked = self._asked or Changes(), None
        changes.python &= imported
        if changes.python:
            self._spawn(changes, held=Changes(live=changes.live, css=changes.css, page=changes.page))
        else:
            self._deliver(changes)
        self._next_batch()

    def _next_batch(self) -> None:
        if self._asked is None and not self._reloading and self._pending:
            changes, self._pending = self._pending, Changes()
            self._deliver(changes)

    # ------------------------------------------------------------ workers

    def _spawn(self, changes: Changes, held: Changes | None = None) -> None:
        self._number += 1
        worker = Worker(self._number, Role.STARTING, self._clock(), changes.copy(), held or Changes())
        replaced = self.starting
        if replaced is not None:  # it may have read what is old by now
            worker.batch.add(replaced.batch)
            worker.batch.add(replaced.later)
            worker.held.add(replaced.held)
            replaced.role = Role.ABANDONED
            self._tell_to_stop(replaced)
        self._workers[worker.number] = worker
        if self._has_served:
            self._outside.note(
                "restart", f"{_names(worker.causes)} changed, starting a new worker", files=worker.causes
            )
        self._outside.spawn(
            worker.number, may_degrade=self.serving is None, changed=sorted(worker.batch.python)
        )

    def _took_over(self, worker: Worker, ready: Ready) -> None:
        old = self.serving
        if old is not None:
            old.role = Role.RETIRING
        self._took = self._clock() - worker.since
        worker.role = Role.SERVING
        worker.since = self._clock()
        self._asked, self._reloading, self._pending = None, False, Changes()
        self._is_broken = ready.degraded
        is_first, self._has_served = not self._has_served, True
        self._outside.use_layout(Layout(ready.live, ready.web, ready.hooks))
        if old is not None:
            batch = worker.batch
            self._outside.send(old.number, Retire(page=bool(batch.page or batch.css or batch.live)))
        if old is None:
            self._report_takeover(first=is_first)
        later, worker.later = worker.later, Changes()
        self.changed(later)

    def _report_takeover(self, *, first: bool = False) -> None:
        if self._took is not None:
            self._outside.serves(first=first, duration=self._took)
            self._took = None

    def _failed(self, worker: Worker, problems: list[dict[str, Any]], exit_code: int) -> None:
        self._is_broken = True
        serving = self.serving
        if serving is not None:
            self._outside.send(serving.number, RestartFailed(paths=worker.causes, problems=problems))
            self._deliver(worker.held)
            return
        self._outside.show(problems)
        if not self._has_served:
            self._end(exit_code)
        else:
            self._outside.note("wait", "no worker serves; waiting for a change of the project")

    def _crashed(self, worker: Worker, end: str) -> None:
        self._asked, self._reloading, self._pending = None, False, Changes()
        self._crashes = 1 if self._clock() - worker.since >= STEADY else self._crashes + 1
        if self.starting is not None:
            self._outside.note("crash", f"the worker ended with {end}; the next one is on its way")
        elif self._crashes > MAX_CRASHES:
            self._outside.note(
                "wait", f"the worker ended with {end} again; waiting for a change of the project"
            )
        else:
            self._outside.note("crash", f"the worker ended with {end}; starting another")
            self._spawn(Changes())

    def _end(self, exit_code: int) -> None:
        self.exit_code = exit_code
        now = self._clock()
        for worker in self._workers.values():
            self._tell_to_stop(worker)
        self._note_at = now + STOP_NOTE if self._workers else None

    def _tell_to_stop(self, worker: Worker) -> None:
        worker.kill_at = self._clock() + STOP_ANSWER
        self._outside.send(worker.number, Stop())


def _names(paths: list[str]) -> str:
    if len(paths) <= 3:
        return ", ".join(paths) or "the project"
    return f"{', '.join(paths[:2])} and {len(paths) - 2} more files"
