"""What the replays of a project keep when they are full. Spec: platform 8.6."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime_cli.rules.source import Source
from runtime.core.capacity import COSTS, DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project

__all__ = ["Kept", "number", "replay_bytes", "replays"]

PAYLOAD = 200  # bytes of the data of an event where nothing says how many


@dataclass(frozen=True, slots=True)
class Kept:
    """One replay: where it is made, how many events of how many topics are asked for, and its bound in bytes."""

    source: Source
    node: ast.AST
    size: int
    topics: int
    bound: int

    def wanted(self, payload: int = PAYLOAD) -> int:
        """Return the bytes of all events that are asked for."""
        return self.size * self.topics * (payload + COSTS["replay_event"])

    def held(self, payload: int = PAYLOAD) -> int:
        """Return the bytes that it has in memory at most."""
        return min(self.wanted(payload), self.bound)


def number(source: Source, node: ast.expr | None) -> int | None:
    """Return the whole number that an expression is: a constant, also of the module, or a product of such."""
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return value
        case ast.BinOp(left=left, op=ast.Mult() | ast.Pow() as op, right=right):
            one, other = number(source, left), number(source, right)
            if one is None or other is None or (isinstance(op, ast.Pow) and other > 64):
                return None
            return one * other if isinstance(op, ast.Mult) else one**other
        case ast.Name(id=name):
            found = source.scope(node).find(name)
            values = [binding.value for binding in found[1]] if found else []
            return number(source, values[0]) if len(values) == 1 and values[0] is not node else None
        case _:
            return None


def replays(project: Project) -> Iterator[Kept]:
    """Yield the replays that a project makes, then the one of its streams."""
    bounds = {**DEFAULTS, **project.settings.settings.capacity}
    size, topics, most = (bounds[f"MAX_REPLAY_{name}"] for name in ("SIZE", "TOPICS", "BYTES"))
    for source in project.code:
        for call in source.calls_of("runtime.Replay"):
            given = {one.arg: number(source, one.value) for one in call.keywords}
            yield Kept(
                source,
                call,
                given.get("size") or size,
                given.get("max_topics") or topics,
                given.get("max_bytes") or most,
            )
    for handler in project.handlers:
        option = handler.option("replay") if handler.kind == "stream" else None
        if option is not None and not (isinstance(option, ast.Constant) and not option.value):
            yield Kept(handler.source, option, size, topics, most)
            return  # all streams share one


def replay_bytes(project: Project, payload: int = PAYLOAD) -> int:
    """Return the bytes that all replays of a project have in memory at most."""
    return sum(kept.held(payload) for kept in replays(project))
