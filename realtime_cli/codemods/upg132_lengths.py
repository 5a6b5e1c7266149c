"""Keys have at most 256 characters. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.arguments import argument
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.literals import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["MAX_KEY", "KeyLengths"]

MAX_KEY = 256
_STORES = (
    "runtime.cluster.IdempotencyStore()",
    "runtime.cluster.PgIdempotencyStore()",
    "runtime.MemoryIdempotencyStore()",
    "runtime.plugins.MemoryIdempotencyStore()",
)
_KEYED = tuple(
    f"{package}{name}()"
    for package in ("runtime.", "runtime.plugins.", "runtime.cluster.")
    for name in ("Dedup", "Lock", "RedisLock", "Queue", "Throttle", "Debounce")
)
_FUNCTIONS = ("runtime.plugins.throttle", "runtime.plugins.debounce")
_DUMPS = ("json.dumps", "builtins.str", "builtins.repr", "orjson.dumps", "base64.b64encode")


class KeyLengths(Codemod):
    """Keys that are too long, and keys made of a whole message, which sooner or later is."""

    id: ClassVar[str] = "UPG132"
    title: ClassVar[str] = "length of keys (report)"
    change: ClassVar[Change] = Change.FLAG
    rows: ClassVar[tuple[str, ...]] = ("C-07", "C-15", "D-15")
    tokens: ClassVar[tuple[bytes, ...]] = (
        b"idempotency_key",
        b"Idempotency",
        b"idem",
        b"TaskRunner",
        b"with_lock",
        b"Dedup",
        b"dedup",
        b".claim(",
        b"runtime.plugins",
    )

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield each key that is too long or may be."""
        for call in file.nodes(cst.Call):
            if not isinstance(call.func, cst.Name | cst.Attribute):
                continue
            row, given = self._key(file, call)
            if row == "behaviour":
                yield self.behaviour(
                    "C-15",
                    "keys of tasks carry the task's name: a task that was under way at the deploy may run again",
                    "deploy when few tasks are under way; keys have at most 256 characters",
                )
            if given is None:
                continue
            text = text_of(given.value)
            if text is not None and len(text) > MAX_KEY:
                yield self.flag(
                    file,
                    given,
                    row,
                    f"a key of {len(text)} characters is refused; {MAX_KEY} is the most",
                    "use a shorter key, for instance hashlib.sha256(...).hexdigest()",
                )
            elif self._is_whole(file, given.value):
                yield self.flag(
                    file,
                    given,
                    row,
                    f"a key made of {file.text(given.value)} may have more than {MAX_KEY} characters",
                    "use an id, or hashlib.sha256(...).hexdigest() of it",
                )

    def _key(self, file: PythonFile, call: cst.Call) -> tuple[str, cst.Arg | None]:
        func, names = call.func, file.names
        if names.is_a(func, *_FUNCTIONS):
            return "D-15", argument(call, "key", 0)
        if names.is_a(func, "runtime.cluster.TaskRunner"):
            return "behaviour", None
        if isinstance(func, cst.Attribute):
            if names.is_a(func.value, *_STORES):
                return "C-07", argument(call, "idempotency_key", 0) or argument(call, "key")
            if names.is_a(func.value, "runtime.cluster.TaskRunner()"):
                return "C-15", argument(call, "idempotency_key")
            if names.is_a(func.value, *_KEYED):
                return "D-15", argument(call, "key", 0)
            if names.is_a(func.value, "runtime.client.connect()"):
                return "C-07", argument(call, "idempotency_key")
        return "", None

    def _is_whole(self, file: PythonFile, node: cst.BaseExpression) -> bool:
        """Say whether a key is a whole text or message: dumped, turned into a string, decoded."""
        if not isinstance(node, cst.Call):
            return False
        if isinstance(node.func, cst.Attribute) and node.func.attr.value in ("decode", "read"):
            return True
        if not file.names.is_a(node.func, *_DUMPS) or not node.args:
            return False
        if isinstance(node.func, cst.Name) and node.func.value == "str":
            last = node.args[0].value
            name = last.attr.value if isinstance(last, cst.Attribute) else getattr(last, "value", "")
            return isinstance(name, str) and name in ("body", "data", "msg", "message", "payload", "frame")
        return True
