"""Taking a TCP port or a Unix socket, and saying who holds it when it is taken.

The socket is bound *and listening*: with ``SO_REUSEADDR`` two processes could both bind a port that neither
listens on, so only ``listen`` proves that it is ours. Connections made before the server accepts wait in the
backlog.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CannotBind", "PortInUse", "UnixSocket", "bind", "bind_unix", "find_holder"]

BACKLOG = 2048
"""Length of the queue of connections that wait to be accepted."""

PROBE_TIMEOUT = 1.0
"""Seconds in which a Unix socket that is there already has to answer."""

NEXT_FREE_TRIES = 200
"""How many ports above a taken one are tried before the system is asked for any free one."""

_TCP_LISTEN = "0A"


class CannotBind(OSError):
    """The address cannot be taken; the text says why."""

    def __str__(self) -> str:
        """Give back the reason without the error number."""
        return str(self.args[1])


class PortInUse(CannotBind):
    """Somebody else listens on the port.

    Attributes:
        host: the address that was asked for.
        port: the port that was asked for.
        holder: program and process id, such as ``"python3 (pid 4312)"``; ``None`` where it cannot be known.
        next_free: a port that was free a moment ago.
    """

    def __init__(self, host: str, port: int, holder: str | None, next_free: int) -> None:
        by = f" by {holder}" if holder else ""
        super().__init__(errno.EADDRINUSE, f"port {port} on {host} is in use{by}")
        self.host = host
        self.port = port
        self.holder = holder
        self.next_free = next_free


def bind(host: str, port: int) -> socket.socket:
    """Open a listening, non-blocking TCP socket on `host` and `port`.

    Args:
        host: a name or an address; ``"::"`` and other IPv6 addresses work where the system has IPv6.
        port: 0 to 65535; 0 lets the system choose (read it back with ``getsockname()[1]``).

    Raises:
        PortInUse: somebody listens there.
        CannotBind: the name is unknown, the address is not of this machine, or the port needs more rights.
    """
    family, address = _resolve(host, port)
    opened = _listen(family, address)
    if isinstance(opened, socket.socket):
        return opened
    if opened.errno == errno.EADDRINUSE:
        raise PortInUse(host, port, find_holder(port), _next_free(family, address)) from None
    if opened.errno in (errno.EACCES, errno.EPERM):
        raise CannotBind(opened.errno, f"port {port} needs more rights; choose one above 1023") from None
    raise CannotBind(opened.errno, f"cannot listen on {host}:{port}: {opened.strerror}") from None


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """A listening Unix socket and the file that it made."""

    listening: socket.socket
    path: Path
    file: tuple[int, int]

    def close(self) -> None:
        """Close the socket and remove its file, unless another has taken the place of that."""
        self.listening.close()
        with contextlib.suppress(OSError):
            if _identity(self.path) == self.file:
                self.path.unlink()


def bind_unix(path: Path, mode: int) -> UnixSocket:
    """Open a listening, non-blocking Unix socket at `path` with the permissions `mode`.

    A socket that is left over there is replaced if nobody accepts connections on it.

    Raises:
        CannotBind: something else is there, somebody accepts connections there, or the system does not allow it.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise CannotBind(errno.EAFNOSUPPORT, "this system has no Unix sockets; listen on a host and port")
    _remove_stale(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o777)  # so that nobody gets in before the permissions are set
        try:
            made.bind(str(path))
        finally:
            os.umask(before)
        path.chmod(mode)
        made.setblocking(False)
        made.listen(BACKLOG)
        return UnixSocket(made, path, _identity(path))
    except OSError as problem:
        made.close()
        # Python has no number for a path that is too long for a socket.
        number, text = problem.errno or errno.ENAMETOOLONG, problem.strerror or str(problem)
        raise CannotBind(number, f"cannot listen on {path}: {text}") from None


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _remove_stale(path: Path) -> None:
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:  # nothing there, or the bind says what is wrong
        return
    if not is_socket:
        raise CannotBind(errno.EEXIST, f"{path} is no socket; remove it, or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_TIMEOUT)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            with contextlib.suppress(OSError):  # the bind says what is wrong
                path.unlink()
            return
        except PermissionError:
            raise CannotBind(errno.EACCES, f"{path} belongs to somebody else; choose another path") from None
        except OSError:  # its queue is full
            pass
    raise CannotBind(errno.EADDRINUSE, f"somebody accepts connections on {path}; stop them")


def find_holder(port: int) -> str | None:
    """Name the process that listens on `port`, as ``"python3 (pid 4312)"``.

    ``None`` where ``/proc`` does not tell: a process of another user, or another system than Linux.
    """
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(_link(entry) in wanted for entry in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:  # ended meanwhile, or not ours to look at
            continue
    return None


def _link(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:  # closed between listing and looking
        return ""


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    if not 0 <= port <= 65535:
        raise CannotBind(errno.EINVAL, f"port {port} is not between 0 and 65535")
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise CannotBind(errno.EADDRNOTAVAIL, f"host {host!r} is not an address of this machine") from None
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, (str(address[0]), port)


def _listen(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket | OSError:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let us steal a port in use
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setblocking(False)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError as problem:
        made.close()
        return problem
    return made


def _next_free(family: socket.AddressFamily, address: tuple[str, int]) -> int:
    host, port = address
    for candidate in (*range(port + 1, min(port + NEXT_FREE_TRIES, 65535) + 1), 0):
        opened = _listen(family, (host, candidate))
        if isinstance(opened, socket.socket):
            with opened:
                return int(opened.getsockname()[1])
    return 0


def _listening_inodes(port: int) -> set[str]:
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            # sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
            columns = line.split()
            if columns[3] == _TCP_LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(columns[9])
    return inodes
