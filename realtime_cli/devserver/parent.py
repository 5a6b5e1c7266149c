"""The decisions of the parent of `realtime dev`: which worker serves, when a new one is tried, when one must go.

No process, socket, thread or clock is touched here; `Outside` does that, and tests put a list in its place.
One worker *serves*. A change that only a new process can take in *starts* another beside it, which takes over when
it is ready; the old one then *retires*. If the new one fails, the old one stays and shows why. A worker that does not
answer, because a handler or an import never ends, is replaced too, unless somebody types into its debugger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from realtime_cli.devserver.changes import Changes, Layout
from realtime_cli.devserver.channel import (
    Alive,
    Assets,
    Debugging,
    Hold,
    Imported,
    LoadFailed,
    Probe,
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
from realtime_cli.devserver.supervised import Role, Worker
from realtime_cli.exitcodes import COULD_NOT_START, INTERRUPTED, OK

if TYPE_CHECKING:
    from collections.abc import Callable

    from realtime_cli.devserver.channel import Message
    from realtime_cli.devserver.supervised import Outside

__all__ = ["Supervision"]

STOP_ANSWER = 0.7
"""Seconds in which a worker's loop must take note of the order to stop; a loop that is blocked is killed."""

STOP_LIMIT = 20.0
"""Seconds in which a worker that stops must be gone; its `shutdown` hook has 10 by default."""

STOP_NOTE = 1.0
"""Seconds after which the user is told what is being waited for."""

RETIRE_LIMIT = 20.0
"""Seconds in which a retired worker must be gone, from when it was told to retire and again from when it stopped
accepting. One that stands in a debugger is left alone."""

REPORT_LIMIT = 1.0
"""Seconds after which a takeover is reported although the old worker did not say that it stopped accepting."""

ANSWER_LIMIT = 3.0
"""Seconds in which a worker must have loaded changed code; one that has not is stuck, and another is started."""

START_NOTE = 5.0
"""Seconds after which the user is told that a worker is still not up."""

MAX_CRASHES = 3
"""Workers that may end by themselves soon after their start before a change of the project is waited for."""

STEADY = 5.0
"""Seconds of serving after which a worker's end is no longer counted as a failed start."""


class Supervision:
    """The state of `realtime dev`; every method is called from one thread.

    `exit_code` is set once it is known; the program ends with it when `is_done`. `answer_limit` is in seconds.
    """

    def __init__(
        self, outside: Outside, clock: Callable[[], float], *, answer_limit: float = ANSWER_LIMIT
    ) -> None:
        self._outside = outside
        self._answer_limit = answer_limit
        self._clock = clock
        self._workers: dict[int, Worker] = {}
        self._number = 0
        self._asked: Changes | None = None
        self._reloading = False
        self._pending = Changes()
        self._is_broken = False  # only a new worker can put it right
        self._has_live_problems = False  # loading again may put it right
        self._is_held = False
        self._report_at: float | None = None
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
        times = [self._note_at, self._report_at]
        for worker in self._workers.values():
            times += (worker.kill_at, worker.answer_by, worker.note_at)
        return min((time for time in times if time is not None), default=None)

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
        starting = self.starting
        if starting is not None:
            starting.later.add(changes)
            if starting.answer_by is None and not starting.is_debugging:  # it may be what an import waits for
                self._ask(starting, Probe())
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
            case Reloaded() | Imported() if self.exit_code is not None:
                pass  # the answer came behind Ctrl-C: it must not start anything any more
            case Released() if worker.role is Role.RETIRING:
                worker.kill_at = self._clock() + RETIRE_LIMIT
                self._set_debugging(worker, False)
                self._report_takeover()
            case Debugging():
                self._set_debugging(worker, message.active)
            case Alive() if worker.role is Role.STARTING:
                worker.answer_by = None
            case Ready() if worker.role is Role.STARTING and self.exit_code is None:
                self._took_over(worker, message)
            case LoadFailed() if worker.role is Role.STARTING:
                worker.role = Role.ABANDONED
                self._failed(worker, message.problems, message.exit_code)
            case Reloaded() if worker.role is Role.SERVING:
                self._reloading = False
                self._has_live_problems, worker.failing = not message.ok, message.failing
                self._set_debugging(worker, False)
                self._has_answered(worker)
                self._next_batch()
            case Imported() if worker.role is Role.SERVING and self._asked is not None:
                self._has_answered(worker)
                self._answered(worker, set(message.paths))
            case _:  # said before the worker was told that it is not needed any more
                pass

    def exited(self, number: int, status: int) -> None:
        """Take in that a worker process is gone; a negative status is the signal that ended it."""
        worker = self._workers.pop(number, None)
        self._share_terminal()
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
        for worker in list(self._workers.values()):
            if worker.kill_at is not None and worker.kill_at <= now:
                worker.kill_at = None
                self._outside.kill(worker.number)
            if worker.note_at is not None and worker.note_at <= now:
                worker.note_at = None
                self._outside.note("wait", "the worker is not up yet: an import or the init hook takes long")
            if worker.answer_by is not None and worker.answer_by <= now:
                worker.answer_by = None
                self._unanswered(worker)
        if self._report_at is not None and self._report_at <= now:
            self._report_takeover()
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
            self._ask(serving, WhichImported(paths=sorted(changes.python)))
            return
        self._load_again(serving, changes, changes.live)

    def _load_again(self, serving: Worker, changes: Changes, modules: set[str]) -> None:
        """Have the serving worker take in `changes`, of which `modules` are code."""
        if modules:
            self._reloading = True
            self._ask(serving, Reload(paths=sorted(modules)))
        if changes.css or changes.page:
            self._outside.send(serving.number, Assets(css=sorted(changes.css), page=bool(changes.page)))

    def _answered(self, serving: Worker, imported: set[str]) -> None:
        changes, self._asked = self._asked or Changes(), None
        if changes.python & imported:
            changes.python &= imported
            self._spawn(changes, held=Changes(live=changes.live, css=changes.css, page=changes.page))
        else:
            # What a live module fails to import is not imported, but it is why that module fails.
            wanted = changes.python if self._has_live_problems else set()
            self._load_again(serving, changes, changes.live | wanted)
        self._next_batch()

    def _next_batch(self) -> None:
        if self._asked is None and not self._reloading and self._pending:
            changes, self._pending = self._pending, Changes()
            self._deliver(changes)

    # ------------------------------------------------------------ answers, and workers that give none

    def _ask(self, worker: Worker, question: Message) -> None:
        if not worker.is_debugging:
            worker.answer_by = self._clock() + self._answer_limit
        self._outside.send(worker.number, question)

    def _has_answered(self, worker: Worker) -> None:
        worker.answer_by = None
        starting = self.starting
        if worker.is_stuck and starting is not None and starting.is_rescue:
            self._outside.note("wait", "the worker answers again and keeps serving")
            self._abandon(starting)
        worker.is_stuck = False

    def _unanswered(self, worker: Worker) -> None:
        if self.exit_code is not None or worker.role not in (Role.SERVING, Role.STARTING):
            return
        text = f"no answer from the worker for {self._answer_limit:.0f} s: a call or an import does not end"
        worker.is_stuck = True
        if worker.role is Role.SERVING and self.starting is not None:
            self._outside.note("stuck", f"{text}; the next worker is on its way")
            return
        self._outside.note("stuck", f"{text}; starting another worker")
        self._spawn(Changes(), is_rescue=worker.role is Role.SERVING or worker.is_rescue)

    def _set_debugging(self, worker: Worker, active: bool) -> None:
        """Take in that somebody begins or ends to type into a worker's debugger: nothing is due meanwhile."""
        if active == worker.is_debugging:
            return
        worker.is_debugging = active
        if active:
            worker.answer_by = worker.note_at = None
        elif worker.role is Role.SERVING and (self._reloading or self._asked is not None):
            worker.answer_by = self._clock() + self._answer_limit
        if worker.role is Role.RETIRING and self.exit_code is None:  # behind Ctrl-C its end stays due
            worker.kill_at = None if active else self._clock() + RETIRE_LIMIT
        self._share_terminal()

    def _share_terminal(self) -> None:
        """Keep everybody but the debugger off the terminal while there is one."""
        is_held = any(worker.is_debugging for worker in self._workers.values())
        if is_held == self._is_held:
            return
        self._is_held = is_held
        self._outside.hold(is_held)
        for worker in self._workers.values():
            if not worker.is_debugging:
                self._outside.send(worker.number, Hold(active=is_held))

    # ------------------------------------------------------------ workers

    def _spawn(self, changes: Changes, held: Changes | None = None, *, is_rescue: bool = False) -> None:
        self._number += 1
        now, serving = self._clock(), self.serving
        worker = Worker(self._number, Role.STARTING, now, changes.copy(), held or Changes())
        worker.note_at, worker.is_rescue = now + START_NOTE, is_rescue
        replaced = self.starting
        if replaced is not None:  # it may have read what is old by now
            worker.batch.add(replaced.batch)
            worker.batch.add(replaced.later)
            worker.held.add(replaced.held)
            self._abandon(replaced)
        self._workers[worker.number] = worker
        if self._has_served and not is_rescue:
            self._outside.note(
                "restart", f"{_names(worker.causes)} changed, starting a new worker", files=worker.causes
            )
        self._outside.spawn(
            worker.number,
            may_degrade=serving is None or serving.is_stuck,
            changed=sorted(worker.batch.python),
            excused=[] if serving is None else serving.failing,
        )
        if self._is_held:
            self._outside.send(worker.number, Hold(active=True))

    def _abandon(self, starting: Worker) -> None:
        starting.role = Role.ABANDONED
        starting.answer_by = starting.note_at = None
        self._tell_to_stop(starting)

    def _took_over(self, worker: Worker, ready: Ready) -> None:
        old = self.serving
        now = self._clock()
        self._took = now - worker.since
        worker.role = Role.SERVING
        worker.since = now
        worker.answer_by = worker.note_at = None
        worker.failing, self._has_live_problems = ready.failing, bool(ready.failing)
        self._asked, self._reloading, self._pending = None, False, Changes()
        self._is_broken = ready.degraded
        is_first, self._has_served = not self._has_served, True
        self._outside.use_layout(Layout(ready.live, ready.web, ready.hooks))
        if old is not None:
            batch = worker.batch
            old.role, old.answer_by = Role.RETIRING, None
            if not old.is_debugging:
                old.kill_at = now + (STOP_ANSWER if old.is_stuck else RETIRE_LIMIT)
            self._report_at = now + REPORT_LIMIT
            self._outside.send(old.number, Retire(page=bool(batch.page or batch.css or batch.live)))
        else:
            self._report_takeover(first=is_first)
        later, worker.later = worker.later, Changes()
        self.changed(later)

    def _report_takeover(self, *, first: bool = False) -> None:
        self._report_at = None
        if self._took is not None:
            self._outside.serves(first=first, duration=self._took)
            self._took = None

    def _failed(self, worker: Worker, problems: list[dict[str, Any]], exit_code: int) -> None:
        self._is_broken = True
        worker.answer_by = worker.note_at = None
        serving = self.serving
        if serving is not None:
            self._outside.send(serving.number, RestartFailed(paths=worker.causes, problems=problems))
            self._deliver(worker.held)
            if serving.is_stuck:
                self._outside.show(problems)
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
        self._report_at = None
        for worker in self._workers.values():
            worker.answer_by = worker.note_at = None
            self._tell_to_stop(worker)
        self._note_at = now + STOP_NOTE if self._workers else None

    def _tell_to_stop(self, worker: Worker) -> None:
        worker.kill_at = self._clock() + STOP_ANSWER
        self._outside.send(worker.number, Stop())


def _names(paths: list[str]) -> str:
    if len(paths) <= 3:
        return ", ".join(paths) or "the project"
    return f"{', '.join(paths[:2])} and {len(paths) - 2} more files"
