"""The parent process of `realtime dev`: it carries out what `Supervision` decides.

One thread decides. Everything else (file events, what workers say, their end, signals) comes to it through a queue:
two threads per worker, one for its channel and one that waits for its end, and the threads of the file watcher.
The parent owns the listening socket, so that connections wait in it while no worker accepts; it never reads from the
terminal, which belongs to the worker and its debugger.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from realtime_cli.devserver.bytecode import forget_bytecode
from realtime_cli.devserver.changes import classify
from realtime_cli.devserver.channel import Connection, FromWorker, Load, Message
from realtime_cli.devserver.fingerprints import FileIndex
from realtime_cli.devserver.keyboard import blocked_signals
from realtime_cli.devserver.parent import Supervision
from realtime_cli.devserver.watch import FileWatcher, Grouper, find_git_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from realtime_cli.devserver.changes import Layout
    from realtime_cli.devserver.channel import Problem
    from realtime_cli.devserver.terminal import Terminal

__all__ = ["DevServer"]

STALE_LOCK = 10.0
"""Seconds after which git's lock file is taken for one that a crash left behind."""

LAST_WORDS = 1.0
"""Seconds that the channel of a worker that ended is listened to."""

_TROUBLE = frozenset({"crash", "stuck", "wait"})
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


@dataclass(slots=True)
class _Process:
    """A worker process and the parent's end of its channel."""

    popen: subprocess.Popen[bytes]
    channel: Connection
    threads: list[threading.Thread] = field(default_factory=list)


class DevServer:
    """Runs workers on `listening` until it is told to stop.

    Args:
        project: the project's folder, without symbolic links.
        listening: a listening socket; it stays open until `run` returns.
        address: what the settings asked for, as `host:port`; a worker says when they ask for another.
        flags: settings of the command line by `section.key`, for the workers.
        on_ready: called once, when the first worker serves, with the seconds that its start took.
    """

    def __init__(
        self,
        project: Path,
        layout: Layout,
        listening: socket.socket,
        terminal: Terminal,
        *,
        address: str,
        flags: dict[str, Any],
        reload: bool,
        on_ready: Callable[[float], None],
    ) -> None:
        self._project = project
        self._listening = listening
        self._terminal = terminal
        self._address = address
        self._flags = flags
        self._reload = reload
        self._on_ready = on_ready
        self._started = time.monotonic()
        self._events: queue.SimpleQueue[tuple[Callable[..., None], tuple[Any, ...]]] = queue.SimpleQueue()
        self._supervision = Supervision(self, time.monotonic)
        self._processes: dict[int, _Process] = {}
        self._index = FileIndex(project, layout)
        self._grouper = Grouper()
        self._emptied: set[str] = set()
        self._git_lock = find_git_lock(project)
        self._waiting: list[tuple[int, Load]] | None = []

    def run(self) -> int:
        """Serve until Ctrl-C or a start that cannot succeed; return the exit code."""
        with _signals(self._interrupted), _terminal_modes():
            watcher = None
            try:
                self._supervision.start()
                watcher = self._start_watching()
                self._release_loads()
                self._loop()
            finally:
                for process in self._processes.values():  # only if something went wrong here
                    process.popen.kill()
                if watcher is not None:
                    watcher.close()
        return self._supervision.exit_code or 0

    # ------------------------------------------------------------ the loop

    def _loop(self) -> None:
        while not self._supervision.is_done:
            wait = self._wait()
            with contextlib.suppress(queue.Empty):
                while True:  # all that is there before a batch is said to be complete
                    handle, values = self._events.get(timeout=wait)
                    handle(*values)
                    wait = 0.0
            self._supervision.tick()
            if self._grouper.due_in(time.monotonic(), git_busy=self._is_git_busy()) == 0.0:
                self._take_batch()

    def _wait(self) -> float | None:
        now = time.monotonic()
        deadline = self._supervision.next_deadline()
        waits = [] if deadline is None else [max(0.0, deadline - now)]
        due = self._grouper.due_in(now, git_busy=self._is_git_busy())
        return min([*waits, *([] if due is None else [due])], default=None)

    def _later(self, handle: Callable[..., None], *values: Any) -> None:
        """Have the deciding thread call `handle(*values)`; from any thread, and from signal handlers."""
        self._events.put((handle, values))

    def _interrupted(self) -> None:
        self._later(self._supervision.interrupt)

    # ------------------------------------------------------------ files

    def _start_watching(self) -> FileWatcher | None:
        if not self._reload:
            return None
        watcher = FileWatcher(
            self._project,
            self._index.layout,
            lambda paths: self._later(self._files_changed, paths),
            lambda text: self._later(self._watching_failed, text),
        )
        try:
            watcher.start()
            self._index.scan()
        except OSError as error:
            self._watching_failed(str(error))
            return None
        return watcher

    def _watching_failed(self, text: str) -> None:
        self._terminal.important("warning", f"{text}; changes are taken in when you start realtime dev again")

    def _files_changed(self, paths: set[str]) -> None:
        self._grouper.feed(paths, time.monotonic())

    def _take_batch(self) -> None:
        now = time.monotonic()
        # Behind a storm the whole project is looked at: its last events may be late.
        everything = {""} if self._grouper.is_storm else set()
        difference = self._index.update(self._grouper.take(now) | everything)
        # A file that was just emptied is often about to be written: look again when it had the time.
        emptied = difference.emptied - self._emptied
        if emptied:
            self._index.forget(emptied)
            self._grouper.feed(emptied, now, hold=True)
        changed = difference.changed - emptied
        self._emptied = (self._emptied | emptied) - changed
        self._supervision.changed(classify(changed, self._index.layout))

    def _is_git_busy(self) -> bool:
        if self._git_lock is None or not len(self._grouper):
            return False
        try:
            return time.time() - self._git_lock.stat().st_mtime < STALE_LOCK
        except OSError:
            return False

    # ------------------------------------------------------------ what Supervision asks for

    def spawn(
        self, worker: int, *, may_degrade: bool, changed: Iterable[str], excused: Iterable[str]
    ) -> None:
        """Start a worker process and let it load the project."""
        for path in changed:
            forget_bytecode(self._project / path)
        ours, theirs = socket.socketpair()
        with theirs, blocked_signals():
            popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "realtime_cli.devserver.worker", str(theirs.fileno())],
                pass_fds=(theirs.fileno(), self._listening.fileno()),
            )
        process = _Process(popen, Connection(ours, FromWorker))
        self._processes[worker] = process
        for name, target in (("channel", self._read_channel), ("end", self._await_end)):
            thread = threading.Thread(
                target=target, args=(worker, process), name=f"worker-{worker}-{name}", daemon=True
            )
            process.threads.append(thread)
            thread.start()
        load = Load(
            project=str(self._project),
            listen_fd=self._listening.fileno(),
            address=self._address,
            flags=self._flags,
            may_degrade=may_degrade,
            terminal=msgspec.to_builtins(self._terminal.options),
            excused=list(excused),
        )
        if self._waiting is None:
            process.channel.send(load)
        else:
            self._waiting.append((worker, load))

    def send(self, worker: int, message: Message) -> None:
        """Send a message to a worker that may be gone."""
        if worker in self._processes:
            self._processes[worker].channel.send(message)

    def kill(self, worker: int) -> None:
        """End a worker process by force."""
        if worker in self._processes:
            self._processes[worker].popen.kill()

    def use_layout(self, layout: Layout) -> None:
        """Sort changes by these folders from now on."""
        if layout != self._index.layout:
            self._index.layout = layout
            self._index.scan()

    def serves(self, *, first: bool, duration: float) -> None:
        """Greet, or say that the new worker is there."""
        if first:
            self._on_ready(time.monotonic() - self._started)
        else:
            ms = duration * 1000
            self._terminal.event("ready", f"the new worker serves, after {ms:.0f} ms", ms=round(ms, 1))

    def hold(self, active: bool) -> None:
        """Keep off the terminal while a debugger has it."""
        self._terminal.hold(active)

    def note(self, event: str, text: str, **fields: Any) -> None:
        """Show a line; ``--quiet`` does not hide that a worker is in trouble."""
        tell = self._terminal.important if event in _TROUBLE else self._terminal.event
        tell(event, text, **fields)

    def show(self, problems: list[Problem]) -> None:
        """Show mistakes that no worker can show."""
        self._terminal.problems("the project cannot be served", problems)

    # ------------------------------------------------------------ workers

    def _release_loads(self) -> None:
        """Let the first worker load, now that no change can go unseen; it imported the server meanwhile."""
        waiting, self._waiting = self._waiting or [], None
        for worker, load in waiting:
            self.send(worker, load)

    def _read_channel(self, worker: int, process: _Process) -> None:
        try:
            while (message := process.channel.receive()) is not None:
                self._later(self._supervision.received, worker, message)
        except msgspec.DecodeError:  # only if the package was upgraded while we run
            process.popen.kill()

    def _await_end(self, worker: int, process: _Process) -> None:
        status = process.popen.wait()
        # What it said last comes before its end. A child of the worker may hold the channel open.
        process.threads[0].join(timeout=LAST_WORDS)
        self._later(self._ended, worker, status)

    def _ended(self, worker: int, status: int) -> None:
        process = self._processes.pop(worker)
        process.channel.close()
        self._supervision.exited(worker, status)


@contextlib.contextmanager
def _signals(interrupted: Callable[[], None]) -> Iterator[None]:
    before = {}
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            before[number] = signal.signal(number, lambda *_: interrupted())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _terminal_modes() -> Iterator[None]:
    """Put the terminal back as it was: a worker that is killed in a debugger leaves it without echo."""
    import termios

    try:
        fd = sys.stdin.fileno()
        before = termios.tcgetattr(fd)
    except (termios.error, OSError, ValueError, AttributeError):  # no terminal
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(termios.error, OSError):
            if os.getpgrp() == os.tcgetpgrp(fd):  # else writing to it would stop us
                termios.tcsetattr(fd, termios.TCSADRAIN, before)
