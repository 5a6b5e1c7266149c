"""What of a new version of an app breaks programs that were written for an old one.

Arguments may become wider and results narrower, never the other way round: whatever an old program sends must be
taken, and whatever it gets must be what it expects. New paths, optional arguments, further keys of a result and new
error codes break nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from realtime_cli.typegen.assignable import Mismatch, Place, mismatch
from realtime_cli.typegen.typescript import type_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from realtime_cli.typegen.contract import Argument, Contract, ModuleContract, PathContract
    from realtime_cli.typegen.nodes import Node

__all__ = ["Change", "ChangeKind", "breaking_changes"]

ChangeKind = Literal[
    "removed-path",
    "changed-kind",
    "removed-argument",
    "required-argument",
    "changed-argument",
    "changed-result",
]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that old programs cannot cope with."""

    path: str
    kind: ChangeKind
    message: str


def breaking_changes(old: Contract, new: Contract, unknown: Iterable[str] = ()) -> list[Change]:
    """Compare two versions of an app; give back what breaks programs of the old one, by path.

    Args:
        old: the version that programs were written for.
        new: the version that they would meet.
        unknown: modules of which nothing is known now, as they do not import: nothing is said of them.
    """
    left_out = frozenset(unknown)
    found: list[Change] = []
    for name, module in old.modules.items():
        if name in left_out:
            continue
        after = new.modules.get(name)
        for path, was in module.paths.items():
            now = after.paths.get(path) if after is not None else None
            if after is None or now is None:
                found.append(Change(path, "removed-path", "is gone"))
            else:
                found += _of_path(path, was, now, module, after)
    return sorted(found, key=lambda change: (change.path, change.kind, change.message))


_WHAT = {"rpc": "a call", "binary": "a call with bytes", "upload": "an upload", "stream": "a stream"}


def _of_path(
    path: str, was: PathContract, now: PathContract, before: ModuleContract, after: ModuleContract
) -> Iterator[Change]:
    if was.kind != now.kind:
        what = f"was {_WHAT.get(was.kind, was.kind)} and is {_WHAT.get(now.kind, now.kind)} now"
        yield Change(path, "changed-kind", what)
        return
    if was.dynamic != now.dynamic:
        what = (
            "was a store and is a function that gives one now"
            if now.dynamic
            else "was a function that gives a store and is a store now"
        )
        yield Change(path, "changed-kind", f"{what}, in pages")
    yield from _of_arguments(path, was.arguments, now.arguments, before, after)
    result = mismatch(now.result, after.types, was.result, before.types)
    if result is not None:
        what = "the value" if was.kind == "stream" else "the result"
        yield Change(path, "changed-result", f"{what}{_of_result(result)}")


def _of_arguments(
    path: str,
    was: tuple[Argument, ...],
    now: tuple[Argument, ...],
    before: ModuleContract,
    after: ModuleContract,
) -> Iterator[Change]:
    rest = next((one for one in now if one.variadic), None)
    for position, old in enumerate(was):
        fixed = now[position] if position < len(now) and not now[position].variadic else None
        takers = [*((one for one in now[position:]) if old.variadic else ()), *([fixed] if fixed else [])]
        if old.variadic and rest is None:
            yield Change(path, "removed-argument", f"takes no number of '{old.name}' any more")
            continue
        if not old.variadic and fixed is None:
            takers = [rest] if rest is not None else []
            if not takers:
                yield Change(path, "removed-argument", f"takes no argument '{old.name}' any more")
                continue
        if fixed is not None and fixed.required and not old.required and not old.variadic:
            yield Change(path, "required-argument", f"argument '{old.name}' is required now")
        for taker in dict.fromkeys(takers):
            wrong = mismatch(old.type, before.types, taker.type, after.types, all_keys=True)
            if wrong is not None:
                yield Change(path, "changed-argument", f"argument '{old.name}'{_of_argument(wrong)}")
                break
    fixed_before = sum(not one.variadic for one in was)
    for new in now[fixed_before:]:
        if new.required:
            yield Change(path, "required-argument", f"needs a further argument '{new.name}' now")


def _of_argument(wrong: Mismatch) -> str:
    sent, taken = _text(wrong.source), _text(wrong.target)
    match wrong.what:
        case "missing":
            return f"{_in(wrong.place)} needs '{wrong.key}' now"
        case "optional":
            return f"{_in(wrong.place)} needs '{wrong.key}' always now"
        case "extra":
            return f"{_in(wrong.place)} takes no '{wrong.key}' any more"
        case "type":
            return f"{_in(wrong.place)} took {sent} and takes {taken} now"


def _of_result(wrong: Mismatch) -> str:
    given, expected = _text(wrong.source), _text(wrong.target)
    match wrong.what:
        case "missing" | "extra":
            return f"{_in(wrong.place)} has no '{wrong.key}' any more"
        case "optional":
            return f"{_in(wrong.place)} may be without '{wrong.key}' now"
        case "type":
            return f"{_in(wrong.place)} was {expected} and is {given} now"


def _text(node: Node) -> str:
    return type_text(node, integer="integer")


def _in(place: Place) -> str:
    return "".join(f"[{key!r}]" if isinstance(key, str) else "[...]" for key in place)
