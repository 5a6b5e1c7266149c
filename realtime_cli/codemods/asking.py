"""`--interactive`: each group of edits is shown and a person says which are made. Spec: upgrade 4.1 phase 5."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from realtime_cli.codemods.gitdiff import hunks
from realtime_cli.codemods.rows import all_rows
from realtime_cli.codemods.shown import printable
from realtime_cli.codemods.splices import apply_splices

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from realtime_cli.codemods.codemod import Codemod
    from realtime_cli.codemods.finding import Finding
    from realtime_cli.codemods.pythonfile import PythonFile
    from realtime_cli.codemods.scriptfile import ScriptFile
    from realtime_cli.console import Console

__all__ = ["Questions", "Quit"]

CHOICES = "[y]es [n]o [a]ll of this codemod [s]kip codemod [d]etails [q]uit"


class Quit(Exception):
    """The person wants nothing to be written."""


class Questions:
    """Asks for the edits of a codemod in a file, one group of equal findings after the other.

    Args:
        console: where the hunks are shown.
        read: gives back one line of the person, without its line break; raises `EOFError` at the end of input.
    """

    def __init__(self, console: Console, read: Callable[[], str]) -> None:
        self.console = console
        self.read = read
        self.every: set[str] = set()
        self.none: set[str] = set()

    def __call__(
        self, codemod: Codemod, file: PythonFile | ScriptFile, wanted: Sequence[Finding]
    ) -> list[Finding]:
        """Return the edits that shall be made.

        Raises:
            Quit: none at all, in no file.
        """
        if codemod.id in self.none:
            return []
        if codemod.id in self.every:
            return list(wanted)
        chosen: list[Finding] = []
        ordered = sorted(wanted, key=lambda one: (one.row, one.message, one.start))
        for (row, message), group in groupby(ordered, key=lambda one: (one.row, one.message)):
            edits = list(group)
            answer = "n" if codemod.id in self.none else "y" if codemod.id in self.every else ""
            if not answer:
                self._show(codemod, file, row, message, edits)
                answer = self._ask(codemod, row)
            if answer == "y":
                chosen += edits
        return chosen

    def whole(self, codemod: Codemod, changes: Sequence[tuple[str, bytes | None, bytes | None]]) -> bool:
        """Say whether a codemod may do what it does with the whole project: path, before and after of each file.

        Raises:
            Quit: nothing at all, in no file.
        """
        if codemod.id in self.none or codemod.id in self.every:
            return codemod.id in self.every
        say = self.console.say
        say("")
        say(f"{self.console.paint(codemod.id, 'bold')} {codemod.title}")
        for path, before, after in changes:
            say(f"{printable(path)}:{' a new file' if before is None else ' goes' if after is None else ''}")
            if after is not None:
                self._hunks(before or b"", after)
        return self._ask(codemod, "") == "y"

    def _ask(self, codemod: Codemod, row: str) -> str:
        while True:
            self.console.say(CHOICES)
            try:
                answer = self.read().strip().lower()[:1]
            except EOFError:
                raise Quit from None
            except UnicodeDecodeError:
                continue
            if answer in ("y", "n"):
                return answer
            if answer == "a":
                self.every.add(codemod.id)
                return "y"
            if answer == "s":
                self.none.add(codemod.id)
                return "n"
            if answer == "q":
                raise Quit
            if answer == "d":
                self._details(codemod, row)

    def _show(
        self,
        codemod: Codemod,
        file: PythonFile | ScriptFile,
        row: str,
        message: str,
        edits: Sequence[Finding],
    ) -> None:
        say, paint = self.console.say, self.console.paint
        say("")
        say(f"{paint(f'{codemod.id} {row}', 'bold')} {printable(f'{file.path}: {message}')}")
        splices = list(dict.fromkeys(splice for one in edits for splice in one.splices))
        try:
            after = apply_splices(file.data, splices)
        except ValueError:  # two of them need one pass each
            after = apply_splices(file.data, edits[0].splices)
        self._hunks(file.data, after)
        for one in edits:
            if one.todo:
                is_whole = "TODO(realtime-upgrade" in one.todo  # that of a script is a whole line
                mark = one.todo if is_whole else f"# TODO(realtime-upgrade {codemod.id}): {one.todo}"
                say(paint(f"+ {mark}", "green"))

    def _hunks(self, before: bytes, after: bytes) -> None:
        for line in hunks(before, after, context=1):
            text = line.decode(errors="replace").rstrip("\r\n")
            style = {"+": "green", "-": "red", "@": "cyan"}.get(text[:1])
            self.console.say(self.console.paint(text, style) if style else text)

    def _details(self, codemod: Codemod, row: str) -> None:
        known = all_rows().get(row)
        self.console.say(f"{codemod.id}: {codemod.title}")
        if known is not None:
            self.console.say(f"  0.4: {known.before}")
            self.console.say(f"  0.5: {known.after}")
