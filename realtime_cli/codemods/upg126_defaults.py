"""Defaults that have another value in 0.5: told, or written down as they were. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.arguments import added_keyword, argument
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.tomltext import SETTINGS, noted_table, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.project import Project
    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["Defaults"]

_SELECTING = (
    "runtime.cluster.Presence",
    "runtime.cluster.Cursor",
    "runtime.plugins.Presence",
    "runtime.plugins.Cursor",
)
_OLD_PAYLOAD = 16_384
_CURSOR = (("throttle", "throttle=0.05"), ("topic_throttle", "topic_throttle=0"))


class Defaults(Codemod):
    """`--pin-defaults` writes the old values where nothing else was chosen."""

    id: ClassVar[str] = "UPG126"
    title: ClassVar[str] = "changed defaults"
    change: ClassVar[Change] = Change.BEHAVIOUR
    rows: ClassVar[tuple[str, ...]] = ("D-10", "D-14", "D-18", "D-34")
    tokens: ClassVar[tuple[bytes, ...]] = (b"Queue(", b"Presence(", b"Cursor(")

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield the objects that are made with defaults of which some changed."""
        for call in file.nodes(cst.Call):
            if not isinstance(call.func, cst.Name | cst.Attribute):
                continue
            if file.names.is_a(call.func, "runtime.plugins.Queue", "runtime.Queue"):
                yield from self._queue(file, call)
            elif file.names.is_a(call.func, *_SELECTING):
                if argument(call, "select") is None and not _is_open(call):
                    yield self.flag(
                        file,
                        call,
                        "D-18",
                        f"{file.text(call.func)}() without select: keys that look like secrets are no longer shown",
                        "select= says which user data others see",
                    )
                if file.names.is_a(call.func, "runtime.cluster.Cursor"):
                    yield from self._cursor(file, call)

    def _queue(self, file: PythonFile, call: cst.Call) -> Iterator[Finding]:
        if argument(call, "max_size") is not None or _is_open(call):
            return
        message = "Queue(max_size) was unlimited; it is 1,000,000, and what is too much goes to on_drop"
        if file.project.options.pin_defaults:
            yield self.auto(file, call, "D-14", message, added_keyword(file, call, "max_size=None"))
        else:
            yield self.behaviour("D-14", message, "--pin-defaults writes max_size=None")

    def _cursor(self, file: PythonFile, call: cst.Call) -> Iterator[Finding]:
        missing = [text for name, text in _CURSOR if argument(call, name) is None]
        if not missing or _is_open(call):
            return
        message = "Cursor(throttle, topic_throttle) were 0.05 s and 0; both are 0.016 s"
        if file.project.options.pin_defaults:
            yield self.auto(file, call, "D-34", message, added_keyword(file, call, ", ".join(missing)))
        else:
            yield self.behaviour("D-34", message, "--pin-defaults writes throttle=0.05, topic_throttle=0")

    def project(self, project: Project) -> Iterator[Finding]:
        """Tell of the largest message, or write the old bound down."""
        if project.kind == "javascript" or (project.hooks_path is None and SETTINGS not in project.tree):
            return
        settings = settings_of(project)
        websocket = settings.get("websocket", {})
        if "max_payload_length" in websocket:
            return
        message = "[websocket] max_payload_length was 16 KiB; it is 1 MiB"
        if project.options.pin_defaults and SETTINGS in project.tree:
            raw = project.tree.read(SETTINGS)
            wanted = {**settings, "websocket": {**websocket, "max_payload_length": _OLD_PAYLOAD}}
            noted = noted_table(raw, "websocket", [f"max_payload_length = {_OLD_PAYLOAD}"], wanted)
            if noted is not None:
                after, place = noted
                project.tree.write(SETTINGS, after)
                yield self.in_text(SETTINGS, "D-10", Change.AUTO, message, start=place, end=place, raw=after)
                return
        yield self.behaviour("D-10", message, "--pin-defaults writes max_payload_length = 16384")


def _is_open(call: cst.Call) -> bool:
    """Say whether a call hands on a dictionary in which the option may be."""
    return any(one.star == "**" for one in call.args)
