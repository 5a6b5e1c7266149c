"""Declarations that 0.5 refuses or runs differently. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.arguments import argument, has_stars
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.contexts import positional
from realtime_cli.codemods.cronperiod import period_of
from realtime_cli.codemods.definitions import body_nodes, class_of
from realtime_cli.codemods.finding import Change, Finding, Severity
from realtime_cli.codemods.flow import most_calls
from realtime_cli.codemods.literals import number, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["Declarations"]

_WARNINGS = {
    "runtime.live.publish_rate_warning": ("threshold", "interval"),
    "runtime.live.silent_topic_warning": ("threshold",),
}
_SCHEMA_BASES = (
    "msgspec.Struct",
    "pydantic.BaseModel",
    "typing.TypedDict",
    "typing_extensions.TypedDict",
    "typing.NamedTuple",
    "enum.Enum",
    "enum.IntEnum",
    "enum.StrEnum",
)
_SLEEPS = ("asyncio.sleep", "anyio.sleep", "time.sleep", "trio.sleep")


class Declarations(Codemod):
    """Schemas without a validator, a second `next()`, bad thresholds, slow cron jobs, empty `configure_push`."""

    id: ClassVar[str] = "UPG131"
    title: ClassVar[str] = "declarations (report)"
    change: ClassVar[Change] = Change.FLAG
    rows: ClassVar[tuple[str, ...]] = ("D-25", "D-30", "D-31", "R-12", "S-17")
    tokens: ClassVar[tuple[bytes, ...]] = (
        b"validated",
        b"schema",
        b".middleware",
        b"publish_rate_warning",
        b"silent_topic_warning",
        b".cron",
        b"configure_push",
    )

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield each of them."""
        for call in file.nodes(cst.Call):
            if not isinstance(call.func, cst.Name | cst.Attribute):
                continue
            found = file.names.of(call.func)
            if len(found) != 1:
                continue
            (meaning,) = found
            if meaning in _WARNINGS:
                yield from self._thresholds(file, call, meaning)
            elif meaning == "runtime.live.configure_push" and not call.args:
                yield self.flag(
                    file,
                    call,
                    "R-12",
                    "configure_push() without arguments is an error",
                    "give it identify= or remote_registry=, or take the line away",
                    severity=Severity.ERROR,
                )
            elif meaning == "runtime.live.validated":
                yield from self._schema(file, argument(call, "schema", 0))
            elif meaning == "runtime.live" or meaning.startswith("runtime.live."):
                yield from self._schema(file, argument(call, "schema"))
        for function in file.nodes(cst.FunctionDef):
            yield from self._middleware(file, function)
            yield from self._cron(file, function)

    def _thresholds(self, file: PythonFile, call: cst.Call, meaning: str) -> Iterator[Finding]:
        for name in _WARNINGS[meaning]:
            given = argument(call, name)
            if given is None:
                continue
            value = number(given.value)
            is_text = text_of(given.value) is not None
            is_flag = isinstance(given.value, cst.Name) and given.value.value in ("True", "False")
            if is_text or is_flag or (value is not None and value <= 0):
                yield self.flag(
                    file,
                    given,
                    "D-30",
                    f"{name}={file.text(given.value)} is an error: the app does not start",
                    "give a number above 0, or False as the first argument to turn the warning off",
                    severity=Severity.ERROR,
                )

    def _schema(self, file: PythonFile, given: cst.Arg | None) -> Iterator[Finding]:
        if given is None or given.star:
            return
        value = given.value
        is_object = isinstance(value, cst.Call)
        found = class_of(file, value.func if isinstance(value, cst.Call) else value)
        if found is None:
            return
        where, kind = found
        problem = (
            _object_problem(kind) if is_object else ("" if _is_schema(where, kind) else "is no known schema")
        )
        if problem:
            yield self.flag(
                file,
                value,
                "S-17",
                f"{file.text(value)} {problem}: every call is refused, where 0.4 let all of them through",
                "make it a dataclass, a msgspec.Struct, a TypedDict or a pydantic model, "
                "or an object with a plain validate(value)",
            )

    def _middleware(self, file: PythonFile, function: cst.FunctionDef) -> Iterator[Finding]:
        if not any(
            file.names.is_a(_bare(one.decorator), "runtime.live.middleware") for one in function.decorators
        ):
            return
        taken = positional(function)
        if len(taken) < 2:
            return
        name = taken[1].name.value
        if most_calls(function, name) > 1:
            yield self.flag(
                file,
                function.name,
                "D-25",
                f"{function.name.value} may call {name}() twice for one call: the second raises",
                f"call {name}() once, and keep what it returns",
            )

    def _cron(self, file: PythonFile, function: cst.FunctionDef) -> Iterator[Finding]:
        for one in function.decorators:
            call = one.decorator
            if (
                not isinstance(call, cst.Call)
                or has_stars(call)
                or not file.names.is_a(call.func, "runtime.live.cron")
            ):
                continue
            given = argument(call, "schedule", 0)
            period = period_of(text_of(given.value) or "") if given is not None else None
            if period is None:
                continue
            slept = 0.0
            for sleep in body_nodes(file, function, cst.Call):
                if isinstance(sleep, cst.Call) and sleep.args and file.names.is_a(sleep.func, *_SLEEPS):
                    slept += number(sleep.args[0].value) or 0
            if slept > period:
                yield self.flag(
                    file,
                    function.name,
                    "D-31",
                    f"{function.name.value} sleeps {slept:g} s and is due every {period} s: "
                    "overlapping runs are skipped",
                    "make it shorter or rarer; skipped runs are counted as skipped",
                )


def _bare(node: cst.BaseExpression) -> cst.BaseExpression:
    return node.func if isinstance(node, cst.Call) else node


def _object_problem(kind: cst.ClassDef) -> str:
    for method in kind.body.body:
        if isinstance(method, cst.FunctionDef) and method.name.value == "validate":
            return "validates asynchronously" if method.asynchronous is not None else ""
    return "" if kind.bases else "has no validate(value)"


def _is_schema(file: PythonFile, kind: cst.ClassDef, depth: int = 0) -> bool:
    """Say whether a class is of a kind that values can be checked against; True also where that is not known."""
    for one in kind.decorators:
        found = file.names.of(_bare(one.decorator))
        if any(
            meaning.startswith(("dataclasses.", "attr.", "attrs.", "pydantic.", "?")) for meaning in found
        ):
            return True
    for base in kind.bases:
        value = base.value.value if isinstance(base.value, cst.Subscript) else base.value
        if file.names.is_a(value, *_SCHEMA_BASES):
            return True
        inner = class_of(file, value)
        if inner is None and not file.names.is_a(value, "builtins.object"):
            return True
        if inner is not None and depth < 8 and _is_schema(*inner, depth + 1):
            return True
    return False
