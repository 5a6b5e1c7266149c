"""What tests of 0.4 say about frames, timing and messages that changed. Spec: upgrade 3.4."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.literals import number, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["TestExpectations"]

_LEADER = "config must include a leader field"
_SOONEST, _LATEST = 0.05, 0.2
_OLD_CAP = 30


class TestExpectations(Codemod):
    """Nothing is rewritten: only the person who wrote a test knows what it is about."""

    __test__: ClassVar[bool] = False
    id: ClassVar[str] = "UPG129"
    title: ClassVar[str] = "expectations of tests"
    change: ClassVar[Change] = Change.FLAG
    rows: ClassVar[tuple[str, ...]] = ("C-23", "D-07", "D-11", "D-12", "D-27")
    tokens: ClassVar[tuple[bytes, ...]] = (
        b'"subscribe"',
        b"'subscribe'",
        b"x-no-dedup",
        b"X-No-Dedup",
        b"reconnect",
        b"config must include a leader",
    )
    alone: ClassVar[tuple[bytes, ...]] = (b"x-no-dedup", b"X-No-Dedup")

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield the header wherever it stands, the rest in tests."""
        for string in file.nodes(cst.SimpleString):
            if str(string.evaluated_value).lower() == "x-no-dedup":
                yield self.flag(
                    file,
                    string,
                    "C-23",
                    "the header x-no-dedup is ignored",
                    "take it away; requests that must not be joined need another path or method",
                )
        if not _is_test(file.path):
            return
        for string in file.nodes(cst.SimpleString):
            if _LEADER in str(string.evaluated_value):
                yield self.flag(
                    file,
                    string,
                    "D-27",
                    "the message of configure_cron without a leader has another text",
                    "compare the type of the error; a bus is enough instead of a leader now",
                )
        yield from self._subscribes(file)
        yield from self._times(file)

    def _subscribes(self, file: PythonFile) -> Iterator[Finding]:
        for node in file.nodes(cst.List):
            words = [text_of(one.value) for one in node.elements]
            if words.count("subscribe") < 2:
                continue
            if any(isinstance(above, cst.Assert) for above in file.around(node)):
                yield self.flag(
                    file,
                    node,
                    "D-07",
                    "a frame for each subscription is expected",
                    "subscriptions of one turn are one frame subscribe-batch, with a list of topics",
                )

    def _times(self, file: PythonFile) -> Iterator[Finding]:
        for node in (*file.nodes(cst.Float), *file.nodes(cst.Integer)):
            function = next(
                (above for above in file.around(node) if isinstance(above, cst.FunctionDef)), None
            )
            if function is None or "reconnect" not in file.text(function).lower():
                continue
            value = number(node)
            if value is None or not _is_time(file, node):
                continue
            if _SOONEST <= value <= _LATEST:
                yield self.flag(
                    file,
                    node,
                    "D-12",
                    f"a stream is expected to be back after {value} s",
                    "two attempts come after 0.02 to 0.1 s, later ones up to 5 minutes apart: wait for the state",
                )
            elif value == _OLD_CAP:
                yield self.flag(
                    file,
                    node,
                    "D-11",
                    "30 s was the longest pause between two attempts to connect",
                    "pauses grow by 2.2 to at most 300 s, give or take 25 %",
                )


def _is_test(path: str) -> bool:
    pure = PurePosixPath(path)
    return "tests" in pure.parts[:-1] or pure.name.startswith("test_") or pure.name == "conftest.py"


def _is_time(file: PythonFile, node: cst.CSTNode) -> bool:
    """Say whether a number is slept, or is a bound: in a comparison, or a timeout."""
    for above in file.around(node):
        if isinstance(above, cst.Comparison):
            return True
        if isinstance(above, cst.Arg) and above.keyword is not None:
            return "time" in above.keyword.value
        if isinstance(above, cst.Call):
            name = above.func.attr if isinstance(above.func, cst.Attribute) else above.func
            return isinstance(name, cst.Name) and name.value in ("sleep", "wait_for", "fail_after", "timeout")
        if isinstance(above, cst.SimpleStatementLine | cst.BaseCompoundStatement):
            return False
    return False
