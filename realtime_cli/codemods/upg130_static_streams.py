"""Streams whose topic takes no argument have no arguments on the client, either. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.arguments import argument, has_stars
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.contexts import positional
from realtime_cli.codemods.definitions import function_of
from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.literals import text_of, text_start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.project import Project
    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["StaticStreams"]


class StaticStreams(Codemod):
    """`conn.stream("m/x", arg)` where nothing takes the argument."""

    id: ClassVar[str] = "UPG130"
    title: ClassVar[str] = "static streams with arguments"
    change: ClassVar[Change] = Change.FLAG
    rows: ClassVar[tuple[str, ...]] = ("D-28",)
    tokens: ClassVar[tuple[bytes, ...]] = (b".stream(",)

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield each call that hands arguments to a stream that takes none."""
        for call in file.calls("stream"):
            if not file.names.is_a(call.func, "runtime.client.connect().stream") or has_stars(call):
                continue
            given = [one for one in call.args if one.keyword is None]
            path = text_of(given[0].value) if given else None
            if path is not None and len(given) > 1 and _takes_nothing(file.project, path):
                yield self.flag(
                    file,
                    call,
                    "D-28",
                    f"the stream {path} has one topic for everybody: its argument is not used",
                    "leave the argument out",
                )


def _takes_nothing(project: Project, path: str) -> bool:
    """Say whether the stream of a path has a fixed topic, or one of the context alone."""
    module, _, name = path.rpartition("/")
    file = project.module(f"live.{module.replace('/', '.')}") if module else None
    if file is None:
        return False
    for function in file.nodes(cst.FunctionDef):
        if function.name.value != name or file.function_around(function) is not None:
            continue
        for decorator in function.decorators:
            call = decorator.decorator
            if not isinstance(call, cst.Call) or not file.names.is_a(call.func, "runtime.live.stream"):
                continue
            topic = argument(call, "topic", 0)
            if topic is None:
                return False
            if text_of(topic.value) is not None:
                return True
            if text_start(topic.value):
                return False
            found = function_of(file, topic.value)
            if found is None:
                return False
            params = found[1].params
            return len(positional(found[1])) == 1 and not isinstance(params.star_arg, cst.Param)
    return False
