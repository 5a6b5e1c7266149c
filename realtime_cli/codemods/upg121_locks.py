"""Clearing a lock rejects who waits for it, and waiting can have a limit. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.arguments import argument
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["Locks"]

_LOCKS = ("runtime.plugins.Lock()", "runtime.Lock()", "runtime.default_lock()")


class Locks(Codemod):
    """`clear()` left waiters to run in 0.4; now they get `LOCK_CLEARED`."""

    id: ClassVar[str] = "UPG121"
    title: ClassVar[str] = "locks: clear and max_wait"
    change: ClassVar[Change] = Change.ASSISTED
    rows: ClassVar[tuple[str, ...]] = ("D-19", "D-20")
    tokens: ClassVar[tuple[bytes, ...]] = (b"with_lock", b"Lock", b"lock.clear", b"locks.clear")

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield each clear of a lock, and each wait without a limit in code that clients call."""
        for call in file.calls("clear"):
            if (
                isinstance(call.func, cst.Attribute)
                and isinstance(file.parents.get(call), cst.Expr)
                and file.names.is_a(call.func.value, *_LOCKS)
            ):
                yield self.assisted(
                    file,
                    call,
                    "D-19",
                    "who waits for the lock is rejected by clear()",
                    "waiters are now rejected with LOCK_CLEARED",
                )
        for call in file.calls("with_lock"):
            if (
                isinstance(call.func, cst.Attribute)
                and file.names.is_a(call.func.value, *_LOCKS)
                and argument(call, "max_wait") is None
                and not any(one.star == "**" for one in call.args)
                and self._serves_clients(file, call)
            ):
                yield self.flag(
                    file,
                    call,
                    "D-20",
                    "with_lock waits for as long as the lock is held",
                    "max_wait= in seconds ends the wait with LOCK_TIMEOUT",
                    severity=Severity.INFO,
                )

    def _serves_clients(self, file: PythonFile, call: cst.Call) -> bool:
        if file.module == "live" or file.module.startswith("live."):
            return True
        return any(
            isinstance(above, cst.FunctionDef)
            and (file.names.contexts.is_live(above) or file.names.contexts.hook(above) is not None)
            for above in file.around(call)
        )
