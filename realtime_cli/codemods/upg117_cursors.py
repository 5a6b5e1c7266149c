"""Cursors are delivered to who is attached, no longer by the subscribe hook. Spec: upgrade 3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

import libcst as cst

from realtime_cli.codemods.arguments import argument, has_stars
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.definitions import body_nodes, made_objects
from realtime_cli.codemods.finding import Change, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.project import Project
    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["Cursors"]

_CURSOR = "runtime.cluster.Cursor"
_PRESENCE = ("runtime.cluster.Presence()", "runtime.plugins.Presence()")
_TODO = "cursors need {what}() beside presence.{beside}(); check the topic"

_wanted: WeakKeyDictionary[Project, tuple[bool, frozenset[str]]] = WeakKeyDictionary()


class Cursors(Codemod):
    """`cursor.attach` goes beside `presence.join` and `cursor.detach` beside `presence.leave`."""

    id: ClassVar[str] = "UPG117"
    title: ClassVar[str] = "cursors are attached"
    change: ClassVar[Change] = Change.ASSISTED
    rows: ClassVar[tuple[str, ...]] = ("S-21",)
    tokens: ClassVar[tuple[bytes, ...]] = (b".hooks.subscribe", b"presence", b"Presence", b"@live")

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield each use of the old hook, and each join or leave that has no cursor call beside it."""
        for node in file.attributes("subscribe"):
            if file.names.is_a(node, f"{_CURSOR}().hooks.subscribe"):
                yield self.assisted(
                    file,
                    node,
                    "S-21",
                    "the subscribe hook of cursors does nothing now",
                    "no-op in 0.5; call cursor.attach() where the user joins",
                )
        for call in file.calls("join", "leave"):
            if isinstance(call.func, cst.Attribute) and file.names.is_a(call.func.value, *_PRESENCE):
                yield from self._beside(file, call, call.func.attr.value)

    def _beside(self, file: PythonFile, call: cst.Call, name: str) -> Iterator[Finding]:
        trackers = made_objects(file.project, _CURSOR)
        function = file.function_around(call)
        if (
            len(trackers) != 1
            or not isinstance(function, cst.FunctionDef)
            or not any(
                isinstance(above, cst.FunctionDef) and file.names.contexts.is_live(above)
                for above in file.around(call)
            )
            or has_stars(call)
        ):
            return
        joins = name == "join"
        ws = argument(call, "ws", 0)
        topic = argument(call, "topic", 1 if joins else 2)
        platform = argument(call, "platform", 2 if joins else 1)
        if ws is None or topic is None or platform is None:
            return
        is_wired, updated = _uses(file.project)
        text = file.text(topic.value)
        if not is_wired and text not in updated:
            return
        what = "attach" if joins else "detach"
        around = file.parents.get(call)
        statement = file.parents.get(around) if isinstance(around, cst.Await) else around
        if _has_side_effect(file, topic.value):
            yield self.flag(
                file,
                topic.value,
                "S-21",
                f"the topic of presence.{name}() is made by a call",
                f"give it a name, and {what} the cursor with the same topic",
            )
            return
        line = file.parents.get(statement) if statement is not None else None
        is_plain = isinstance(around, cst.Await) or not joins
        if (
            not isinstance(statement, cst.Expr)
            or not file.is_alone(statement)
            or line is None
            or not is_plain
            or not file.is_async(call)
        ):
            yield self.flag(
                file,
                call,
                "S-21",
                f"presence.{name}() is no statement of its own in an async function, and awaited",
                f"await cursor.{what}(ws, topic, platform) beside it",
            )
            return
        path, module, local = trackers[0]
        name_here, imports = _name_of(file, call, path, module, local)
        if name_here is None:
            yield self.flag(
                file,
                call,
                "S-21",
                f"{local} is something else here than the cursors of {module}",
                f"import the cursors of {module}, and await their {what}(ws, topic, platform)",
            )
            return
        done = self._done(file, function, f"{name_here}.{what}", text)
        if done is not None:
            if file.has_todo(file.statement(done), self.id):
                yield self.assisted(file, done, "S-21", f"check the topic of {what}()", "check the topic")
            return
        arguments = f"{file.text(ws.value)}, {text}, {file.text(platform.value)}"
        yield self.assisted(
            file,
            call,
            "S-21",
            f"cursors are delivered to who is attached, and nothing is beside presence.{name}()",
            "",
            [
                file.replace(statement, file.text(statement)),  # the block around it ends elsewhere
                file.lines_below(
                    line,
                    [
                        f"# TODO(realtime-upgrade {self.id}): {_TODO.format(what=what, beside=name)}",
                        f"await {name_here}.{what}({arguments})",
                    ],
                ),
            ],
            advice=f"check that the topic of {what}() is the one that clients show cursors for",
            imports=imports,
        )

    def _done(self, file: PythonFile, function: cst.FunctionDef, written: str, topic: str) -> cst.Call | None:
        """Return the call of the same function that attaches or detaches the same topic."""
        for call in body_nodes(file, function, cst.Call):
            if (
                isinstance(call, cst.Call)
                and isinstance(call.func, cst.Attribute)
                and file.text(call.func) == written
            ):
                given = argument(call, "topic", 1)
                if given is not None and file.text(given.value) == topic:
                    return call
        return None


def _name_of(
    file: PythonFile, at: cst.CSTNode, path: str, module: str, local: str
) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """Return the name of the cursors where a node stands, and the import that it needs."""
    scope = file.scope(file.tree)
    top = sorted({one.name for one in scope.assignments}) if scope is not None else []
    for name in (local, *(one for one in top if one != local)):
        if file.names.in_scope(at, name) == {f"{_CURSOR}()"}:
            return name, ()
    if path == file.path or file.names.is_bound(at, local):
        return None, ()
    return local, ((module, local),)


def _has_side_effect(file: PythonFile, topic: cst.BaseExpression) -> bool:
    if isinstance(topic, cst.Call | cst.Await | cst.NamedExpr):
        return True
    return any(body_nodes(file, topic, kind) for kind in (cst.Call, cst.Await, cst.NamedExpr, cst.Yield))


def _uses(project: Project) -> tuple[bool, frozenset[str]]:
    """Return whether the old hook of the cursors is wired anywhere, and the topics that updates are given."""
    known = _wanted.get(project)
    if known is None:
        is_wired, topics = False, set()
        for path in project.imports.reaching_with(b".hooks.subscribe", b".update("):
            file = project.file(path)
            if file is None:
                continue
            is_wired |= any(
                file.names.is_a(node, f"{_CURSOR}().hooks.subscribe") for node in file.attributes("subscribe")
            )
            for call in file.calls("update"):
                if file.names.is_a(call.func, f"{_CURSOR}().update"):
                    given = argument(call, "topic", 1)
                    if given is not None:
                        topics.add(file.text(given.value))
        known = _wanted[project] = is_wired, frozenset(topics)
    return known
