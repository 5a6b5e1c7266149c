"""Whether every value of one type is a value of another one, and if not, where it fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from realtime_cli.typegen.nodes import (
    NULL,
    UNKNOWN,
    Alias,
    Array,
    Basic,
    Literals,
    Node,
    ObjectType,
    Record,
    Ref,
    Tuple,
    Union,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from realtime_cli.typegen.nodes import Declaration

__all__ = ["Mismatch", "Place", "mismatch"]

Place = tuple[str | None, ...]
"""The way into a value: keys, and `None` for the items of a list or record."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Where and how a value of `source` is none of `target`.

    `what` is `type`, or says of `key`: the source has none (`missing`), may have none (`optional`), or has one that
    the target does not know (`extra`).
    """

    what: Literal["type", "missing", "optional", "extra"]
    source: Node
    target: Node
    place: Place = ()
    key: str = ""


def mismatch(
    source: Node,
    source_types: Mapping[str, Declaration],
    target: Node,
    target_types: Mapping[str, Declaration],
    *,
    all_keys: bool = False,
) -> Mismatch | None:
    """Give back why not every value of `source` is one of `target`; `None` if it is.

    Args:
        source: the type of what is given.
        source_types: the named types in it.
        target: the type of what is expected.
        target_types: the named types in that.
        all_keys: a key that the target does not know is wrong too, as it would be ignored.
    """
    return _Check(source_types, target_types, all_keys=all_keys).run(source, target, ())


class _Check:
    def __init__(
        self,
        source_types: Mapping[str, Declaration],
        target_types: Mapping[str, Declaration],
        *,
        all_keys: bool,
    ) -> None:
        self._source_types = source_types
        self._target_types = target_types
        self._all_keys = all_keys
        # Types may contain themselves: what is being compared is taken to fit.
        self._begun: set[tuple[str, str]] = set()

    def run(self, source: Node, target: Node, place: Place) -> Mismatch | None:
        if isinstance(source, Ref) and isinstance(target, Ref):
            pair = (source.name, target.name)
            if pair in self._begun:
                return None
            self._begun.add(pair)
            try:
                return self._compare(source, target, place)
            finally:
                self._begun.discard(pair)
        return self._compare(source, target, place)

    def _compare(self, source: Node, target: Node, place: Place) -> Mismatch | None:
        given, wanted = _resolve(source, self._source_types), _resolve(target, self._target_types)
        if wanted == UNKNOWN:
            return None
        wrong = Mismatch("type", _shown(source, given), _shown(target, wanted), place)
        if isinstance(given, Union):
            return self._each(given, target, wrong)
        if isinstance(given, Literals) and not isinstance(wanted, Literals):
            fits = all(self._literal_fits(value, wanted) for value in given.values)
            return None if fits else wrong
        if isinstance(wanted, Union):
            return self._any(source, wanted, wrong)
        match given, wanted:
            case Basic("integer"), Basic("number"):
                fits = True
            case (Basic(), Basic()):
                fits = given == wanted
            case Literals(values), Literals(allowed):
                fits = all(any(_same(value, one) for one in allowed) for value in values)
            case Array(item), Array(other):
                return self.run(item, other, (*place, None))
            case Tuple(items), Array(other):
                return next(filter(None, (self.run(item, other, (*place, None)) for item in items)), None)
            case Tuple(items), Tuple(others) if len(items) == len(others):
                pairs = zip(items, others, strict=True)
                return next(filter(None, (self.run(a, b, (*place, None)) for a, b in pairs)), None)
            case Record(value), Record(other):
                return self.run(value, other, (*place, None))
            case ObjectType(), Record(other):
                found = (self.run(one.type, other, (*place, one.name)) for one in given.fields)
                return next(filter(None, found), None)
            case ObjectType(), ObjectType():
                return self._object(given, wanted, source, target, place)
            case _:
                fits = False
        return None if fits else wrong

    def _each(self, given: Union, target: Node, wrong: Mismatch) -> Mismatch | None:
        found = [self.run(member, target, wrong.place) for member in given.members]
        inside = [one for one in found if one is not None and _is_deeper(one, wrong)]
        if inside:
            return inside[0]
        return wrong if any(found) else None

    def _any(self, source: Node, wanted: Union, wrong: Mismatch) -> Mismatch | None:
        found = []
        for member in wanted.members:
            one = self.run(source, member, wrong.place)
            if one is None:
                return None
            found.append(one)
        # One member alone that is more than null can tell more precisely what is wrong.
        likely = [one for member, one in zip(wanted.members, found, strict=True) if member != NULL]
        if len(likely) == 1 and _is_deeper(likely[0], wrong):
            return likely[0]
        return wrong

    def _literal_fits(self, value: object, wanted: _Resolved) -> bool:
        if isinstance(wanted, Union):
            return any(self._literal_fits(value, self._target(member)) for member in wanted.members)
        if isinstance(wanted, Literals):
            return any(_same(value, one) for one in wanted.values)
        return isinstance(wanted, Basic) and wanted.name in _names_of(value)

    def _target(self, node: Node) -> _Resolved:
        return _resolve(node, self._target_types)

    def _object(
        self, given: ObjectType, wanted: ObjectType, source: Node, target: Node, place: Place
    ) -> Mismatch | None:
        has = {one.name: one for one in given.fields}
        for one in wanted.fields:
            own = has.pop(one.name, None)
            if own is None:
                if one.required:
                    return Mismatch("missing", source, target, place, one.name)
                continue
            if one.required and not own.required:
                return Mismatch("optional", source, target, place, one.name)
            wrong = self.run(own.type, one.type, (*place, one.name))
            if wrong is not None:
                return wrong
        if has and self._all_keys:
            return Mismatch("extra", source, target, place, next(iter(has)))
        return None


_Resolved = Basic | Literals | Array | Tuple | Record | Union | ObjectType


def _resolve(node: Node, types: Mapping[str, Declaration]) -> _Resolved:
    """Give back what a name stands for; an unknown one stands for anything."""
    seen = set()
    while isinstance(node, Ref):
        declared = types.get(node.name)
        if isinstance(declared, ObjectType):
            return declared
        if declared is None or node.name in seen:
            return Basic("unknown")
        seen.add(node.name)
        node = declared.type if isinstance(declared, Alias) else UNKNOWN
    return node


def _shown(node: Node, resolved: _Resolved) -> Node:
    """Give back what is shown of a type: its name if it is an object, else what the name stands for."""
    return node if isinstance(resolved, ObjectType) else resolved


def _is_deeper(found: Mismatch, wrong: Mismatch) -> bool:
    return found.place != wrong.place or found.what != "type"


def _same(value: object, other: object) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _names_of(value: object) -> tuple[str, ...]:
    if value is None:
        return ("null",)
    if isinstance(value, bool):
        return ("boolean",)
    if isinstance(value, int):
        return ("integer", "number")
    return ("number",) if isinstance(value, float) else ("string",)
