"""What the parent and a worker of `realtime dev` say to each other: JSON lines over a pair of sockets.

The channel is also the bond: when the parent is gone, the worker reads the end of the stream and ends.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.live.problems import LoadProblem

__all__ = [
    "Alive",
    "Assets",
    "Connection",
    "Debugging",
    "FromWorker",
    "Hold",
    "Imported",
    "Load",
    "LoadFailed",
    "Message",
    "Probe",
    "Problem",
    "Ready",
    "Released",
    "Reload",
    "Reloaded",
    "RestartFailed",
    "Retire",
    "Stop",
    "Stopping",
    "ToWorker",
    "WhichImported",
    "distinct",
    "problem_of",
]

Problem = dict[str, Any]
"""A mistake in the project as the dev channel sends it: file, line, column, errorType, message, hint, excerpt,
traceback."""


def problem_of(problem: LoadProblem) -> Problem:
    """Return a problem of the runtime in the words of the dev channel."""
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "errorType": problem.kind,
        "message": problem.message,
        "hint": problem.hint,
        "excerpt": [list(row) for row in problem.excerpt],
        "traceback": problem.traceback,
    }


def distinct(problems: Iterable[Problem]) -> list[Problem]:
    """Return each problem once: several modules may fail for one mistake."""
    found: list[Problem] = []
    for problem in problems:
        if problem not in found:
            found.append(problem)
    return found


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of the messages; the class name is on the wire as `type`."""


# ---------------------------------------------------------------- parent to worker


class Load(Message, frozen=True, kw_only=True, tag=True):
    """Load the project and serve it on the inherited socket `listen_fd`.

    `flags` are settings of the command line by `section.key`. `may_degrade`: nobody serves yet, so a broken
    project is served too, with its mistakes as overlay. `terminal` is how to print. `address` is what the settings
    asked for when the socket was opened, as `host:port`. `excused` are broken files of live modules that
    have no working code in the worker that serves now either; any other one keeps this worker from taking over.
    """

    project: str
    listen_fd: int
    address: str
    flags: dict[str, Any]
    may_degrade: bool
    terminal: dict[str, Any]
    excused: list[str] = []


class Reload(Message, frozen=True, kw_only=True, tag=True):
    """Load live modules again, and those that failed; answered with `Reloaded`.

    `paths` that are no live modules are files that were not imported, which may be why a module failed.
    """

    paths: list[str]


class Assets(Message, frozen=True, kw_only=True, tag=True):
    """Files of the web folder changed: style sheets by URL path, and whether pages have to load again."""

    css: list[str]
    page: bool


class WhichImported(Message, frozen=True, kw_only=True, tag=True):
    """Ask which of these project files are imported; answered with `Imported`, in a debugger's hands too."""

    paths: list[str]


class Probe(Message, frozen=True, kw_only=True, tag=True):
    """Ask a worker that starts whether its loop runs; answered with `Alive`."""


class Hold(Message, frozen=True, kw_only=True, tag=True):
    """Keep off the terminal while another worker's debugger has it, or come back with what was kept."""

    active: bool


class RestartFailed(Message, frozen=True, kw_only=True, tag=True):
    """A new worker was tried because of `paths` and did not come up, for these reasons."""

    paths: list[str]
    problems: list[Problem]


class Retire(Message, frozen=True, kw_only=True, tag=True):
    """Another worker serves: stop accepting, close connections with 1012, end. `page`: pages load again."""

    page: bool


class Stop(Message, frozen=True, kw_only=True, tag=True):
    """The dev server ends: close connections with 1001, end. Answered with `Stopping`."""


# ---------------------------------------------------------------- worker to parent


class Ready(Message, frozen=True, kw_only=True, tag=True):
    """The worker accepts connections. `degraded`: with a broken project. The folders are those of its settings.

    `failing` are the files whose mistakes keep live modules from being there.
    """

    live: str
    web: str
    hooks: str
    degraded: bool
    failing: list[str] = []


class LoadFailed(Message, frozen=True, kw_only=True, tag=True):
    """The worker could not start and ends now; `exit_code` is what `realtime dev` should end with if it must."""

    problems: list[Problem]
    exit_code: int


class Reloaded(Message, frozen=True, kw_only=True, tag=True):
    """A `Reload` is done, with or without problems; `failing` as in `Ready`."""

    ok: bool
    failing: list[str] = []


class Alive(Message, frozen=True, kw_only=True, tag=True):
    """The loop runs."""


class Debugging(Message, frozen=True, kw_only=True, tag=True):
    """Somebody types into the worker's debugger now, or does no longer. The answer to a `Reload` says so, too."""

    active: bool


class Imported(Message, frozen=True, kw_only=True, tag=True):
    """Those of the asked paths that the worker has imported."""

    paths: list[str]


class Released(Message, frozen=True, kw_only=True, tag=True):
    """The worker retires: it accepts no connection any more, whoever comes now comes to the new one."""


class Stopping(Message, frozen=True, kw_only=True, tag=True):
    """The loop took note of the order to stop, and ends by itself."""


ToWorker = Load | Reload | Assets | WhichImported | Probe | Hold | RestartFailed | Retire | Stop
FromWorker = Ready | LoadFailed | Reloaded | Imported | Alive | Debugging | Released | Stopping


class Connection:
    """One end of the channel, with blocking calls; `send` may be called from any thread.

    Args:
        end: a connected stream socket, which the channel owns from now on.
        incoming: the union of the messages that the other end may send.
    """

    _MAX_READ: ClassVar[int] = 65536

    def __init__(self, end: socket.socket, incoming: Any) -> None:
        end.setblocking(True)
        self._socket = end
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(incoming)
        self._rest = b""
        self._lock = threading.Lock()

    def send(self, message: Message) -> bool:
        """Send a message; `False` when the other end is gone."""
        data = msgspec.json.encode(message) + b"\n"
        try:
            with self._lock:
                self._socket.sendall(data)
        except OSError:
            return False
        return True

    def receive(self) -> Any:
        """Wait for the next message and return it; `None` when the other end is gone.

        Raises:
            msgspec.DecodeError: the other end is of another version.
        """
        while b"\n" not in self._rest:
            try:
                data = self._socket.recv(self._MAX_READ)
            except OSError:
                data = b""
            if not data:
                return None
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return self._decoder.decode(line)

    def close(self) -> None:
        """Hang up; a thread in `receive` gets `None`."""
        with contextlib.suppress(OSError):  # the other end may have been faster
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
