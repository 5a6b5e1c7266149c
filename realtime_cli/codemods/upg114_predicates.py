"""Async predicates that allowed everybody in 0.4: every one of them is told, none is edited. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.arguments import argument
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.definitions import called_with, function_of
from realtime_cli.codemods.finding import Change, Finding, Severity
from realtime_cli.codemods.waiting import awaited_splices, is_awaited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import Function, PythonFile

__all__ = ["Predicates"]

_COROUTINES = ("asyncio.sleep", "anyio.sleep", "asyncio.wait_for", "asyncio.to_thread", "asyncio.gather")
_COMPOSED = ("runtime.live.access.any", "runtime.live.access.all")
_ROWS = {
    "C-01": "the access or filter of a stream",
    "C-02": "a gate",
    "C-03": "a part of any or all",
    "C-05": "the filter of send_to",
}


class Predicates(Codemod):
    """In 0.4 a coroutine counted as true; in 0.5 it is awaited, so what should have been denied is."""

    id: ClassVar[str] = "UPG114"
    title: ClassVar[str] = "async predicates (report)"
    change: ClassVar[Change] = Change.FLAG
    rows: ClassVar[tuple[str, ...]] = ("C-01", "C-02", "C-03", "C-04", "C-05")
    tokens: ClassVar[tuple[bytes, ...]] = (
        b"access",
        b"filter=",
        b"filter =",
        b".gate",
        b"send_to",
        b"def subscribe",
        b"@live",
    )

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield each async predicate with where it is used, async hooks, and calls of composed predicates."""
        found: dict[tuple[str, object], list[tuple[cst.CSTNode, Function | None, str]]] = {}
        for row, value, user in self._given(file):
            function, name = self._async(file, value)
            if name:
                key: object = function if function is not None else name
                found.setdefault((row, key), []).append((value, function, user))
        for (row, _), uses in found.items():
            yield self._told(file, row, uses)
        for function in file.nodes(cst.FunctionDef):
            hook = file.names.contexts.hook(function)
            if hook in ("subscribe", "subscribe_batch") and function.asynchronous is not None:
                yield self.flag(
                    file,
                    function.name,
                    "C-04",
                    f"the hook {hook} is async: in 0.4 it allowed every subscription, whatever it returned",
                    "check what it returns: False or a reason denies now, and so does an exception",
                )
        yield from self._calls(file)

    def _given(self, file: PythonFile) -> Iterator[tuple[str, cst.BaseExpression, str]]:
        """Yield row, predicate and user of each place that takes a predicate."""
        names = file.names
        for call in file.nodes(cst.Call):
            if not isinstance(call.func, cst.Attribute | cst.Name):
                continue
            if names.is_a(call.func, "runtime.live.gate"):
                if call.args and not call.args[0].star:
                    yield "C-02", call.args[0].value, _user(file, call)
                continue
            if names.is_a(call.func, *_COMPOSED):
                for one in call.args:
                    if not one.star:
                        yield "C-03", one.value, _user(file, call)
                continue
            if names.is_a(call.func, "@platform.send_to", "@platform?.send_to", "@ctx.send_to"):
                given = argument(call, "filter", 0)
                if given is not None:
                    yield "C-05", given.value, _user(file, call)
                continue
            for one in call.args:
                if (
                    one.keyword is not None
                    and one.keyword.value in ("access", "filter")
                    and _declares(file, call.func)
                ):
                    yield "C-01", one.value, _user(file, call)

    def _async(self, file: PythonFile, value: cst.BaseExpression) -> tuple[Function | None, str]:
        """Return the async function that a predicate is and its name; no name if it is not known to be async."""
        found = function_of(file, value)
        if found is None:
            return None, ""
        where, function = found
        if isinstance(function, cst.FunctionDef):
            return function, function.name.value if function.asynchronous is not None else ""
        body = function.body
        if not isinstance(body, cst.Call):
            return function, ""
        if where.names.is_a(body.func, *_COROUTINES) or where.names.made_by(body, *_COMPOSED):
            return function, "a lambda"
        called = function_of(where, body.func)
        is_coroutine = (
            called is not None
            and isinstance(called[1], cst.FunctionDef)
            and called[1].asynchronous is not None
        )
        return function, "a lambda" if is_coroutine else ""

    def _told(
        self, file: PythonFile, row: str, uses: list[tuple[cst.CSTNode, Function | None, str]]
    ) -> Finding:
        value, function, _ = uses[0]
        name = function.name.value if isinstance(function, cst.FunctionDef) else "this lambda"
        by = ", ".join(dict.fromkeys(user for _, _, user in uses))
        place = value
        if isinstance(function, cst.FunctionDef) and file.scope(function) is not None:
            place = function.name
        if row == "C-05":
            return self.flag(
                file,
                place,
                row,
                f"{name} is async, as the filter of send_to (used by {by}): it never matches",
                "make it a plain function; look up what it needs before the call",
                severity=Severity.ERROR,
            )
        return self.flag(
            file,
            place,
            row,
            f"{name} is async, as {_ROWS[row]} (used by {by}): it denied nobody in 0.4, now it does",
            "check that the people who should pass do; a denial is FORBIDDEN or UNAUTHENTICATED",
        )

    def _calls(self, file: PythonFile) -> Iterator[Finding]:
        """Yield calls by hand of what any or all made: it returns a coroutine now."""
        for call in file.nodes(cst.Call):
            if not isinstance(call.func, cst.Name | cst.Attribute | cst.Call):
                continue
            if not file.names.made_by(call.func, *_COMPOSED) or is_awaited(file, call):
                continue
            if called_with(file, call, "gather", "create_task", "wait_for", "run", "ensure_future"):
                continue
            if file.is_async(call):
                yield self.auto(
                    file,
                    call,
                    "C-03",
                    "a predicate of any or all is async now",
                    awaited_splices(file, call),
                )
            else:
                yield self.flag(
                    file,
                    call,
                    "C-03",
                    "a predicate of any or all is async now, and this is no async function",
                    "make the function async and await the predicate",
                    severity=Severity.ERROR,
                )


def _declares(file: PythonFile, func: cst.BaseExpression) -> bool:
    found = file.names.of(func)
    return bool(found) and all(
        one in ("runtime.live", "runtime.pipe.filter") or one.startswith("runtime.live.") for one in found
    )


def _user(file: PythonFile, call: cst.Call) -> str:
    """Return the name of what a call is made for: the function it decorates, the name it is given, the one around."""
    for above in file.around(call):
        if isinstance(above, cst.FunctionDef):
            return above.name.value
        if isinstance(above, cst.Assign) and isinstance(above.targets[0].target, cst.Name):
            return above.targets[0].target.value
    return file.module or file.path
