"""A room with actions says how many arguments its topic takes. Spec: upgrade 3.4, 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding, Severity
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptnames import arguments
from realtime_cli.codemods.scriptobjects import added_entry, entry, has_spread, value_of
from realtime_cli.codemods.scriptscopes import parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["TopicArgs"]


class TopicArgs(ScriptCodemod):
    """The count was guessed in 0.4 and is asked for in 0.5."""

    id: ClassVar[str] = "UPJ12"
    title: ClassVar[str] = "live.room: topicArgs"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-14", "S-16")
    tokens: ClassVar[tuple[bytes, ...]] = (b"room",)

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield each room."""
        for call, _ in file.names.calls("server#live.room"):
            given = arguments(call)
            if not given or given[0].type != "object":
                continue
            room = given[0]
            if entry(room, "onJoin") is not None:
                yield self.told(
                    file,
                    call,
                    "S-16",
                    "onJoin ran before init in 0.4, and runs after an init that worked in 0.5",
                    "see that onJoin does not prepare what init reads",
                )
            if entry(room, "actions") is None or entry(room, "topicArgs") is not None:
                continue
            count = self._count(file, room)
            if count is None or has_spread(room):
                yield self.told(
                    file,
                    call,
                    "S-14",
                    "a room with actions and without topicArgs",
                    "add topicArgs: the number of arguments of topic, without the context",
                    severity=Severity.ERROR,
                )
                continue
            splices = added_entry(file, room, f"topicArgs: {count}")
            yield self.rewritten(
                file, call, "S-14", f"the arguments of the room's topic are told: {count}", splices
            )

    def _count(self, file: ScriptFile, room: Node) -> int | None:
        topic = value_of(entry(room, "topic"))
        if topic is None:
            return None
        if topic.type == "string":
            return 0
        found = file.names.function_of(topic)
        if found is None:
            return None
        given = parameters(found[1])
        plain = ("identifier", "object_pattern", "required_parameter")
        for one in given:
            inner = one.child_by_field_name("pattern") if one.type == "required_parameter" else one
            if one.type not in plain or inner is None or inner.type == "rest_pattern":
                return None
            if one.child_by_field_name("value") is not None:
                return None
        return max(0, len(given) - 1)
