"""Replay: wrappers that write twice, storage errors, and frames that changed. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.contexts import positional
from realtime_cli.codemods.definitions import body_nodes
from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.framechecks import compared_with_none, event_comparisons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["Replays"]

_MAKERS = ("runtime.cluster.Replay", "runtime.cluster.PgReplay", "runtime.plugins.Replay")
_PUBLISH = tuple(f"{maker}().publish" for maker in _MAKERS)
_STORE_ERRORS = ("OSError", "IOError", "ConnectionError", "TimeoutError")
_STORES = ("redis.", "asyncpg.", "psycopg.", "runtime.cluster.")
_TASKS = (
    "asyncio.create_task",
    "asyncio.ensure_future",
    "asyncio.get_event_loop().create_task",
    "asyncio.get_running_loop().create_task",
)


class Replays(Codemod):
    """0.5 routes topics with `replay=True` itself, wraps storage errors, and has a frame for a denial."""

    id: ClassVar[str] = "UPG120"
    title: ClassVar[str] = "replay: wrappers, errors, frames"
    change: ClassVar[Change] = Change.ASSISTED
    rows: ClassVar[tuple[str, ...]] = ("C-12", "C-13", "D-23", "D-35", "D-36")
    tokens: ClassVar[tuple[bytes, ...]] = (
        b"replay",
        b"Replay",
        b'"end"',
        b"'end'",
        b'"truncated"',
        b"'truncated'",
        b"def resume",
    )
    alone: ClassVar[tuple[bytes, ...]] = (
        b'"truncated"',
        b"'truncated'",
        b'event == "end"',
        b"event == 'end'",
        b"__replay:",
    )

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield wrappers, clauses, frames and detached work."""
        yield from self._wrappers(file)
        yield from self._clauses(file)
        yield from self._ends(file)
        yield from self._truncated(file)
        yield from self._detached(file)

    def _wrappers(self, file: PythonFile) -> Iterator[Finding]:
        message = "this wrapper writes to the replay buffer what 0.5 writes by itself"
        todo = "0.5 routes replay=True topics itself; drop this wrapper"
        for kind in file.nodes(cst.ClassDef):
            publish = next((one for one in _methods(kind) if one.name.value == "publish"), None)
            if (
                publish is None
                or not isinstance(kind.body, cst.IndentedBlock)
                or not self._replays(file, publish)
                or not _is_proxy(file, kind)
                or b"wrapped_for_replay" in file.data[slice(*file.span(kind))]
            ):
                continue
            body = kind.body.body
            doc = isinstance(body[0], cst.SimpleStatementLine) and isinstance(body[0].body[0], cst.Expr)
            if doc:
                splice = file.lines_below(body[0], ["", "wrapped_for_replay = True"])
            else:
                splice = file.lines_above(body[0], ["wrapped_for_replay = True", ""])
                at = file.comment_lines_above(body[0])
                splice = type(splice)(at, at, splice.text)
            yield self.assisted(file, kind, "D-23", message, todo, [splice])
        for assign in file.nodes(cst.Assign):
            target = assign.targets[0].target
            function = file.function_around(assign)
            if (
                not isinstance(target, cst.Attribute)
                or target.attr.value != "publish"
                or not isinstance(target.value, cst.Name)
                or not isinstance(function, cst.FunctionDef)
                or not positional(function)
                or not file.is_alone(assign)
                or not self._replays(file, function)
                or b"wrapped_for_replay" in file.data[slice(*file.span(function))]
            ):
                continue
            line = f"{target.value.value}.wrapped_for_replay = True"
            splices = [
                file.replace(assign, file.text(assign)),
                file.lines_below(file.parents[assign], [line]),
            ]
            yield self.assisted(file, assign, "D-23", message, todo, splices)

    def _replays(self, file: PythonFile, function: cst.FunctionDef) -> bool:
        return any(
            isinstance(call, cst.Call) and file.names.is_a(call.func, *_PUBLISH)
            for call in body_nodes(file, function, cst.Call)
        )

    def _clauses(self, file: PythonFile) -> Iterator[Finding]:
        for block in file.nodes(cst.Try):
            start, end = file.span(block.body)
            calls = [
                call
                for call in file.calls("publish")
                if start <= file.span(call)[0] < end and file.names.is_a(call.func, *_PUBLISH)
            ]
            if not calls or "ReplayStorageError" in "".join(
                file.text(one.type) for one in block.handlers if one.type is not None
            ):
                continue
            for handler in block.handlers:
                kinds = _caught(handler)
                if not any(self._is_store_error(file, one) for one in kinds):
                    continue
                assert handler.type is not None  # noqa: S101 - something is caught
                if isinstance(handler.type, cst.Tuple):
                    splice = file.after(handler.type.elements[-1].value, ", ReplayStorageError")
                else:
                    splice = file.replace(handler.type, f"({file.text(handler.type)}, ReplayStorageError)")
                yield self.assisted(
                    file,
                    handler,
                    "D-36",
                    "errors of the store arrive as ReplayStorageError",
                    "store errors now arrive as ReplayStorageError; look at err.cause",
                    [splice],
                    imports=(("runtime.cluster", "ReplayStorageError"),),
                )

    def _is_store_error(self, file: PythonFile, node: cst.BaseExpression) -> bool:
        found = file.names.of(node)
        return any(one.removeprefix("builtins.") in _STORE_ERRORS or one.startswith(_STORES) for one in found)

    def _ends(self, file: PythonFile) -> Iterator[Finding]:
        for node in event_comparisons(file, "end"):
            holder = next(
                (
                    above
                    for above in (node, *file.around(node))
                    if isinstance(above, cst.If | cst.MatchCase | cst.IfExp)
                ),
                None,
            )
            if holder is None:
                continue
            place = compared_with_none(file, holder, "data")
            if place is not None:
                yield self.flag(
                    file,
                    place,
                    "D-35",
                    "the data of the event end is no longer None",
                    'it is {"reqId": ...}, with "truncated": true after a hole: look at the event alone',
                )

    def _truncated(self, file: PythonFile) -> Iterator[Finding]:
        told = set()
        for node in event_comparisons(file, "truncated"):
            around = file.function_around(node) or file.tree
            text = file.text(around) if around is not file.tree else file.data.decode()
            if around in told or '"denied"' in text or "'denied'" in text:
                continue
            told.add(around)
            yield self.flag(
                file,
                node,
                "C-12",
                "replay frames are read here, and the event denied is not",
                "the gate is asked before the buffer is read: handle denied with its code and reqId",
            )

    def _detached(self, file: PythonFile) -> Iterator[Finding]:
        for call in file.calls("create_task", "ensure_future"):
            if not file.names.is_a(call.func, *_TASKS):
                continue
            if any(
                isinstance(above, cst.FunctionDef) and file.names.contexts.hook(above) == "resume"
                for above in file.around(call)
            ):
                yield self.flag(
                    file,
                    call,
                    "C-13",
                    "resume starts a task, and the client is told that it has caught up before that is done",
                    "await the work: resume is awaited before the client is told",
                )


def _is_proxy(file: PythonFile, kind: cst.ClassDef) -> bool:
    """Say whether a class stands for a platform: hands on what it has not, or is made with one."""
    for method in _methods(kind):
        if method.name.value == "__getattr__":
            return True
        if method.name.value == "__init__" and any(_is_platform(file, one) for one in positional(method)):
            return True
    around = file.function_around(kind)
    return isinstance(around, cst.FunctionDef) and any(_is_platform(file, one) for one in positional(around))


def _is_platform(file: PythonFile, param: cst.Param) -> bool:
    return file.names.contexts.parameter(param) <= {"@platform", "@platform?"}


def _methods(kind: cst.ClassDef) -> list[cst.FunctionDef]:
    return [one for one in kind.body.body if isinstance(one, cst.FunctionDef)]


def _caught(handler: cst.ExceptHandler) -> list[cst.BaseExpression]:
    if handler.type is None:
        return []
    if isinstance(handler.type, cst.Tuple):
        return [one.value for one in handler.type.elements]
    return [handler.type]
