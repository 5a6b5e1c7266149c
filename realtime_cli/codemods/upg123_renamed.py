"""Names of the cluster half and of internals that have moved. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.arguments import argument
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.framechecks import is_field
from realtime_cli.codemods.renames import Rename, renamed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["RenamedNames"]

_RENAMES = (
    Rename("runtime.cluster.lock.HEARTBEAT_SCRIPT", "runtime.cluster.lease", "LEASE_RENEW_SCRIPT", "S-29"),
    Rename("runtime.cluster.lock.RELEASE_SCRIPT", "runtime.cluster.lease", "LEASE_RELEASE_SCRIPT", "S-29"),
    Rename("runtime.live.room._MAX_PRESENCE_REF", "runtime", "MAX_PRESENCE_REF", "D-29"),
)
_STORES = (
    "runtime.cluster.IdempotencyStore",
    "runtime.cluster.PgIdempotencyStore",
    "runtime.MemoryIdempotencyStore",
    "runtime.plugins.MemoryIdempotencyStore",
    "runtime.plugins.IdempotencyStore",
)
_METHODS = ("acquire", "purge")


class RenamedNames(Codemod):
    """Lease scripts, `idempotency_key=`, `ws.subscriptions`, and the bound of presence."""

    id: ClassVar[str] = "UPG123"
    title: ClassVar[str] = "renamed names"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("D-29", "R-16", "S-29", "S-30", "S-31")
    tokens: ClassVar[tuple[bytes, ...]] = (
        b"HEARTBEAT_SCRIPT",
        b"RELEASE_SCRIPT",
        b"_MAX_PRESENCE_REF",
        b"acquire",
        b"purge",
        b"__subscriptions",
        b"__coalesced",
        b"JOIN_SCRIPT",
    )

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield each use of an old name."""
        for rename in _RENAMES:
            yield from renamed(self, file, rename)
        yield from self._keys(file)
        yield from self._overrides(file)
        yield from self._slots(file)
        yield from self._scripts(file)

    def _keys(self, file: PythonFile) -> Iterator[Finding]:
        for call in file.calls(*_METHODS):
            if not isinstance(call.func, cst.Attribute):
                continue
            given = argument(call, "key")
            if given is None or given.keyword is None or not file.names.made_by(call.func.value, *_STORES):
                continue
            yield self.auto(
                file,
                call,
                "S-30",
                f"{call.func.attr.value}(key=) is {call.func.attr.value}(idempotency_key=)",
                [file.replace(given.keyword, "idempotency_key")],
            )

    def _overrides(self, file: PythonFile) -> Iterator[Finding]:
        for kind in file.nodes(cst.ClassDef):
            if not any(file.names.is_a(base.value, *_STORES) for base in kind.bases):
                continue
            for method in kind.body.body:
                if not isinstance(method, cst.FunctionDef) or method.name.value not in _METHODS:
                    continue
                if any(param.name.value == "key" for param in method.params.params):
                    yield self.flag(
                        file,
                        method.name,
                        "S-30",
                        f"{kind.name.value}.{method.name.value} has a parameter key",
                        "call it idempotency_key, as the store does",
                    )

    def _slots(self, file: PythonFile) -> Iterator[Finding]:
        for node in (*file.nodes(cst.Subscript), *file.calls("get")):
            slot = next((one for one in ("__subscriptions", "__coalesced") if is_field(node, one)), None)
            base: cst.BaseExpression | None = None
            if isinstance(node, cst.Subscript):
                base = node.value
            elif isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
                base = node.func.value
            if slot is None or not isinstance(base, cst.Attribute) or base.attr.value != "user_data":
                continue
            if not file.names.is_a(base.value, "@ws", "@ws?"):
                continue
            message = f'user_data["{slot}"] is no longer there'
            if slot == "__subscriptions" and not _is_written(file, node):
                yield self.assisted(
                    file,
                    node,
                    "S-31",
                    message,
                    "internals moved; ws.subscriptions is public",
                    [file.replace(node, f"{file.text(base.value)}.subscriptions")],
                )
            else:
                yield self.flag(
                    file,
                    node,
                    "S-31",
                    message,
                    "it was internal; leave it to the server, which keeps it apart now",
                )

    def _scripts(self, file: PythonFile) -> Iterator[Finding]:
        for call in file.calls("eval", "evalsha"):
            if not isinstance(call.func, cst.Attribute):
                continue
            is_ours = file.names.made_by(call.func.value, "runtime.cluster.RedisClient")
            for one in call.args:
                name = one.value.attr if isinstance(one.value, cst.Attribute) else one.value
                if not isinstance(name, cst.Name) or name.value != "JOIN_SCRIPT":
                    continue
                found = file.names.of(one.value)
                if is_ours or all(meaning.startswith("runtime.cluster.") for meaning in found):
                    yield self.flag(
                        file,
                        call,
                        "R-16",
                        "the script that joins a group gives back status and members, no status alone",
                        "use the group of runtime.cluster, or read the first of both",
                    )


def _is_written(file: PythonFile, node: cst.CSTNode) -> bool:
    parent = file.parents.get(node)
    return isinstance(parent, cst.AssignTarget | cst.AugAssign | cst.Del) or (
        isinstance(parent, cst.AnnAssign) and parent.target is node
    )
