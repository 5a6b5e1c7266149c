"""What stands in the text of pages and scripts, without their comments. Spec: platform 8.5."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Edit, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project

__all__ = ["WebText", "web_texts"]

_PARTS = re.compile(
    r"""(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)"""
    r"""|(?P<comment>/\*.*?\*/|<!--.*?-->|(?<![:\w])//[^\n]*)""",
    re.DOTALL,
)
_CLIENT = re.compile(r"""import\s*\{(?P<names>[^}]*)\}\s*from\s*["'](?P<from>[^"']+)["']""")


@dataclass(frozen=True)
class WebText:
    """A page or script: its path below the project, and its text as it is and with spaces for comments."""

    path: str
    text: str

    @cached_property
    def code(self) -> str:
        """The text with spaces where comments stand, so that every place is the same."""

        def blanked(match: re.Match[str]) -> str:
            return match[0] if match["text"] else re.sub(r"[^\n]", " ", match[0])

        return _PARTS.sub(blanked, self.text)

    def find(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Yield where a pattern stands outside of comments."""
        return pattern.finditer(self.code)

    def code_matches(self, pattern: re.Pattern[str]) -> bool:
        """Return whether a pattern stands anywhere outside of comments."""
        return pattern.search(self.code) is not None

    def span(self, start: int, end: int) -> Span:
        """Return the place of a stretch of the text."""
        return Span(*self._place(start), *self._place(end))

    def edit(self, start: int, end: int, text: str) -> Edit:
        """Return the edit that puts `text` in the place of a stretch."""
        return Edit(self.path, self.span(start, end), text)

    def _place(self, at: int) -> tuple[int, int]:
        return self.text.count("\n", 0, at) + 1, at - (self.text.rfind("\n", 0, at) + 1) + 1

    def imported(self, name: str) -> list[str]:
        """Return what a name of the browser client is called here."""
        found = []
        for match in self.find(_CLIENT):
            if not re.search(r"client|realtime", match["from"]):
                continue
            for one in match["names"].split(","):
                parts = one.split(" as ")
                if parts[0].strip() == name:
                    found.append(parts[-1].strip())
        return found


def web_texts(project: Project) -> Iterator[WebText]:
    """Yield the pages and scripts of a project."""
    yield from project.pages
