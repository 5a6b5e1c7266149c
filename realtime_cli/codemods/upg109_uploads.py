"""`chunk_size` of the upload options is `frame_size`; chunks by hand can be one upload. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.arguments import argument
from realtime_cli.codemods.clientobjects import is_client_configure
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.contexts import positional
from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["Uploads"]

_TELLING = ("chunk", "index", "offset", "last", "final", "total")
_APPENDS = ("append", "extend", "setdefault")


class Uploads(Codemod):
    """The number stays the same: it was the size of a frame all along."""

    id: ClassVar[str] = "UPG109"
    title: ClassVar[str] = "frame_size of uploads, chunks by hand"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("R-05", "R-06")
    tokens: ClassVar[tuple[bytes, ...]] = (b"chunk_size", b"live.binary", b".binary")

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield upload options of the client, and functions that put chunks together."""
        for call in file.calls("configure"):
            given = argument(call, "upload")
            if given is not None and is_client_configure(file, call):
                yield from self._options(file, given.value)
        for function in file.nodes(cst.FunctionDef):
            if any(self._is_binary(file, one.decorator) for one in function.decorators):
                yield from self._by_hand(file, function)

    # frame_size

    def _options(self, file: PythonFile, value: cst.BaseExpression) -> Iterator[Finding]:
        if isinstance(value, cst.Dict):
            yield from self._dict(file, value)
        elif isinstance(value, cst.Call) and file.names.is_a(value.func, "builtins.dict"):
            old, new = argument(value, "chunk_size"), argument(value, "frame_size")
            if old is not None and old.keyword is not None:
                if new is not None:
                    yield self._both(file, old, self._without(file, list(value.args), old))
                else:
                    yield self._renamed(file, old, file.replace(old.keyword, "frame_size"))

    def _dict(self, file: PythonFile, value: cst.Dict) -> Iterator[Finding]:
        entries = {
            one.key.evaluated_value: one
            for one in value.elements
            if isinstance(one, cst.DictElement) and isinstance(one.key, cst.SimpleString)
        }
        old = entries.get("chunk_size")
        if old is None:
            return
        if "frame_size" in entries:
            yield self._both(file, old, self._without(file, list(value.elements), old))
        else:
            assert isinstance(old.key, cst.SimpleString)  # noqa: S101 - only such are in the table
            new = old.key.value.replace("chunk_size", "frame_size")
            yield self._renamed(file, old, file.replace(old.key, new))

    def _renamed(self, file: PythonFile, node: cst.CSTNode, splice: Splice) -> Finding:
        return self.auto(file, node, "R-06", "chunk_size is frame_size", [splice])

    def _both(self, file: PythonFile, node: cst.CSTNode, splice: Splice) -> Finding:
        return self.auto(file, node, "R-06", "chunk_size is ignored beside frame_size", [splice])

    def _without(self, file: PythonFile, items: list[cst.CSTNode], gone: cst.CSTNode) -> Splice:
        index = next(at for at, one in enumerate(items) if one is gone)
        start, end = file.span(gone)
        if index + 1 < len(items):
            return Splice(start, file.span(items[index + 1])[0], b"")
        if index:
            return Splice(file.span(items[index - 1])[1], end, b"")
        return Splice(start, end, b"")

    # Chunks by hand

    def _is_binary(self, file: PythonFile, decorator: cst.BaseExpression) -> bool:
        function = decorator.func if isinstance(decorator, cst.Call) else decorator
        return file.names.is_a(function, "runtime.live.binary")

    def _by_hand(self, file: PythonFile, function: cst.FunctionDef) -> Iterator[Finding]:
        parameters = [one.name.value for one in positional(function)]
        telling = [
            name for name in parameters[1:] if any(part in name.lower().split("_") for part in _TELLING)
        ]
        if not telling and not self._collects(file, function):
            return
        name = function.name.value
        why = f"takes {', '.join(telling)}" if telling else "collects buffers outside of the function"
        options = [one for one in parameters[2:] if one not in telling]
        arguments = "".join(f", {one}" for one in options)
        skeleton = "\n".join(
            [
                "from runtime import live",
                "",
                "",
                "@live.upload",
                f"async def {name}(ctx{arguments}):",
                "    async for chunk in ctx.stream:",
                "        ...  # what was done with each buffer",
                "    ...  # what was done at the last one",
            ]
        )
        yield self.flag(
            file,
            function.name,
            "R-05",
            f"{name} puts chunks together by hand ({why}): it can be an upload",
            skeleton,
        )

    def _collects(self, file: PythonFile, function: cst.FunctionDef) -> bool:
        """Say whether a function appends to something that outlives the call."""
        for call in file.calls(*_APPENDS):
            if file.function_around(call) is not function or not isinstance(call.func, cst.Attribute):
                continue
            holder: cst.BaseExpression = call.func.value
            while isinstance(holder, cst.Attribute | cst.Subscript | cst.Call):
                holder = holder.func if isinstance(holder, cst.Call) else holder.value
            if not isinstance(holder, cst.Name):
                continue
            scope = file.scope(holder)
            if scope is None or holder.value not in scope:
                continue
            if all(one.scope is file.scope(file.tree) for one in scope[holder.value]):
                return True
        return False
