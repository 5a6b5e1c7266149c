"""`pipe.filter(transform_event=)` never did anything; `transform=` of the stream does. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.arguments import argument, without_argument
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["Transforms"]


class Transforms(Codemod):
    """The argument goes, and a TODO says where its function belongs."""

    id: ClassVar[str] = "UPG124"
    title: ClassVar[str] = "pipe.filter(transform_event=)"
    change: ClassVar[Change] = Change.ASSISTED
    rows: ClassVar[tuple[str, ...]] = ("R-08",)
    tokens: ClassVar[tuple[bytes, ...]] = (b"transform_event",)

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield each call that gives the option."""
        for call in file.calls("filter"):
            if not file.names.is_a(call.func, "runtime.pipe.filter"):
                continue
            given = argument(call, "transform_event")
            if given is not None:
                yield self.assisted(
                    file,
                    call,
                    "R-08",
                    f"transform_event={' '.join(file.text(given.value).split())} did nothing in 0.4",
                    "transform_event was ignored in 0.4; pass transform= to live.stream",
                    [without_argument(file, call, given)],
                )
            elif any(one.star == "**" for one in call.args):
                yield self.flag(
                    file,
                    call,
                    "R-08",
                    "pipe.filter gets its options from a dictionary that may have transform_event",
                    "it did nothing in 0.4, and is an error now: pass transform= to live.stream",
                )
