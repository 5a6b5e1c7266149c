"""`platform.subscribe`, `platform.check_subscribe` and `start()` of an app are coroutines. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.definitions import called_with
from realtime_cli.codemods.finding import Change, Finding, Severity
from realtime_cli.codemods.waiting import awaited_splices, is_awaited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["Awaits"]

_PLATFORM = ("subscribe", "check_subscribe")
_SERVERS = (
    "runtime.create_app().start",
    "runtime.RealtimeApp().start",
    "runtime.create_server().start",
    "runtime.Server().start",
    "runtime.server.Server().start",
    "runtime.server.create_app().start",
    "runtime.server.RealtimeApp().start",
    "runtime.server.start",
    "runtime.start",
)
_RUNNERS = (
    "gather",
    "create_task",
    "ensure_future",
    "wait_for",
    "run",
    "wait",
    "shield",
    "run_until_complete",
)


class Awaits(Codemod):
    """What returned an answer in 0.4 returns a coroutine, which is true whatever the answer is."""

    id: ClassVar[str] = "UPG113"
    title: ClassVar[str] = "await platform.subscribe and start()"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-24", "S-25", "S-27")
    tokens: ClassVar[tuple[bytes, ...]] = (
        b"check_subscribe",
        b".subscribe",
        b"create_app",
        b"RealtimeApp",
        b"server.start(",
        b"app.start(",
    )

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield each call that is not awaited, and each subscription around the gate."""
        for call in file.calls(*_PLATFORM):
            if not isinstance(call.func, cst.Attribute):
                continue
            name = call.func.attr.value
            if file.names.is_a(call.func, f"@platform.{name}"):
                yield from self._unawaited(file, call, "S-24", f"platform.{name}()", proved=True)
            elif file.names.is_a(call.func, f"@platform.{name}", f"@platform?.{name}"):
                yield from self._unawaited(file, call, "S-24", f"platform.{name}()", proved=False)
            elif name == "subscribe" and file.names.is_a(call.func, "@ws.subscribe"):
                yield from self._direct(file, call, call.func)
        for call in file.calls("start"):
            if file.names.is_a(call.func, *_SERVERS):
                yield from self._unawaited(file, call, "S-27", "start()", proved=True)

    def _unawaited(
        self, file: PythonFile, call: cst.Call, row: str, what: str, *, proved: bool
    ) -> Iterator[Finding]:
        if is_awaited(file, call) or called_with(file, call, *_RUNNERS):
            return
        if file.is_async(call) and proved:
            yield self.auto(file, call, row, f"{what} is a coroutine now", awaited_splices(file, call))
        elif file.is_async(call):
            yield self.flag(
                file,
                call,
                row,
                f"{what} is a coroutine now, and only its name says that this is our platform",
                "if it is, await it",
                severity=Severity.ERROR,
            )
        else:
            yield self.flag(
                file,
                call,
                row,
                f"{what} is a coroutine now, and this is no async function",
                "make the function async and await the call; the callers have to await it then",
                severity=Severity.ERROR,
            )

    def _direct(self, file: PythonFile, call: cst.Call, func: cst.Attribute) -> Iterator[Finding]:
        """A handler that subscribes its connection itself, past the subscribe hook."""
        function = file.function_around(call)
        if function is None or not any(
            isinstance(above, cst.FunctionDef | cst.Lambda) and file.names.contexts.is_live(above)
            for above in file.around(call)
        ):
            return
        ws = func.value
        if (
            file.is_async(call)
            and isinstance(ws, cst.Attribute)
            and file.names.is_a(ws.value, "@ctx")
            and call.args
            and not is_awaited(file, call)
        ):
            context = file.text(ws.value)
            splices = [
                *awaited_splices(file, call),
                file.replace(func, f"{context}.platform.subscribe"),
                file.before(call.args[0], f"{file.text(ws)}, "),
            ]
            yield self.assisted(
                file,
                call,
                "S-25",
                "ws.subscribe() goes past the subscribe hook",
                "now goes through the subscribe hook; a non-None result is a denial",
                splices,
            )
        else:
            yield self.flag(
                file,
                call,
                "S-25",
                "ws.subscribe() goes past the subscribe hook",
                "await ctx.platform.subscribe(ctx.ws, topic) ; a result that is not None is a denial",
            )
