"""`on_cron_error` is `on_error`, which hears of effects and derived streams, too. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.renames import Rename, renamed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["OnError"]

_RENAME = Rename("runtime.on_cron_error", "runtime", "on_error", "R-04")


class OnError(Codemod):
    """The name changes, the handler does not: it was called with path and error before."""

    id: ClassVar[str] = "UPG107"
    title: ClassVar[str] = "on_cron_error is on_error"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("R-04",)
    tokens: ClassVar[tuple[bytes, ...]] = (b"on_cron_error",)

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield every use, and both registrations where there are two."""
        old = [node for node in self._reads(file) if file.names.is_a(node, _RENAME.old)]
        new = [node for node in self._reads(file) if file.names.is_a(node, "runtime.on_error")]
        if old and new:
            yield self.flag(
                file,
                old[0],
                "R-04",
                "on_error and on_cron_error are both registered",
                "there is one handler for everything in 0.5, and the last registration wins: make it one function",
            )
        yield from renamed(self, file, _RENAME)

    def _reads(self, file: PythonFile) -> list[cst.CSTNode]:
        """Return what is called or decorates."""
        found: list[cst.CSTNode] = [call.func for call in file.nodes(cst.Call)]
        found += [
            one.decorator for one in file.nodes(cst.Decorator) if not isinstance(one.decorator, cst.Call)
        ]
        return [one for one in found if isinstance(one, cst.Name | cst.Attribute)]
