"""What is left of 0.4 in Python code. Spec: platform 8.5, upgrade 1.2 to 1.4."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from realtime_cli.rules.families.awaiting import is_left, is_old_answer
from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.upgraded import upgraded_edits
from realtime_cli.rules.webtext import web_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project
    from realtime_cli.rules.source import Source

__all__ = ["CapturedPlatform", "ExportedHooks", "OldName", "SilentClear", "SynchronousGate", "WrappedTwice"]

LIVE_HOOKS = ("close", "message", "unsubscribe")
GATES = tuple(
    f"{holder}.{method}"
    for holder in ("@platform", "runtime.get_platform()")
    for method in ("subscribe", "check_subscribe")
)
_CHUNK_OPTION = re.compile(r"""["']?upload["']?\s*:\s*\{[^{}]*?\b(?P<name>chunkSize)\b""")
WIRING = re.compile(r"(^|\.)(set_cron_platform|activate_derived|configure_push|activate)$")


class CapturedPlatform(Rule):
    """UPG002."""

    id = "UPG002"
    severity = Severity.WARNING
    title = "the app is set up when the first client connects"
    why = "Until somebody connects nothing runs, and every connection after that does it again."
    how = "do it in the init hook, which is given the platform before anybody connects"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at what the open hook keeps beyond the connection."""
        source = project.hooks
        for node in source.functions if source is not None else ():
            assert source is not None  # noqa: S101
            if node.name != "open" or source.function(node) is not None:
                continue
            declared = {name for one in source.own(node) if isinstance(one, ast.Global) for name in one.names}
            for one in source.own(node):
                if isinstance(one, ast.Assign) and source.name(one.value) == "@platform":
                    kept = [target for target in one.targets if _is_kept(target, declared)]
                    if kept:
                        yield self.at(source, one, f"open keeps the platform in {source.segment(kept[0])}")
                elif isinstance(one, ast.Call) and _is_given_platform(source, one):
                    yield self.at(source, one, f"open calls {source.segment(one.func)} for each connection")


def _is_kept(target: ast.expr, declared: set[str]) -> bool:
    if isinstance(target, ast.Name):
        return target.id in declared
    return isinstance(target, ast.Attribute | ast.Subscript) and not ast.unparse(target).startswith("ws.")


def _is_given_platform(source: Source, call: ast.Call) -> bool:
    name = source.name(call.func) or source.segment(call.func)
    if not WIRING.search(name) or ".hooks." in name:
        return False
    return name.endswith("configure_push") or any(source.name(one) == "@platform" for one in call.args)


class ExportedHooks(Rule):
    """UPG003."""

    id = "UPG003"
    severity = Severity.ERROR
    title = "hooks.py takes over hooks that the framework has already"
    why = "The framework takes its own messages first; exported once more they would be dispatched twice."
    how = "remove the line"
    fixes = True

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for imports and assignments of the hooks of live modules."""
        source = project.hooks
        if source is None:
            return
        for node in source.nodes(ast.ImportFrom):
            if node.module not in {"runtime", "runtime.live", "runtime.server"} or node.level:
                continue
            ours = [
                one for one in node.names if (one.asname or one.name) in LIVE_HOOKS and one.name in LIVE_HOOKS
            ]
            if ours:
                names = ", ".join(one.name for one in ours)
                message = f"{names} of the framework: it is in front of hooks.py anyway"
                edits = upgraded_edits(project, source.path, ("UPG104",), source.span(node))
                yield self.at(source, node, message, edits=edits)
        for assign in source.nodes(ast.Assign):
            target = assign.targets[0]
            if source.function(assign) is None and isinstance(target, ast.Name) and target.id in LIVE_HOOKS:
                name = source.name(assign.value) or ""
                hook = name.rpartition(".")[2]
                if hook == target.id and name.startswith(("runtime.", "@")):
                    message = f"{hook} of the framework: it is in front of hooks.py anyway"
                    yield self.at(source, assign, message)


class SynchronousGate(Rule):
    """UPG004."""

    id = "UPG004"
    severity = Severity.ERROR
    title = "the answer of subscribe or check_subscribe is used without waiting for it"
    why = "In 0.4 they answered at once; now they give a coroutine, which counts as a denial, or as true, always."
    how = "await it"
    fixes = True

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for answers that are used and not awaited."""
        for source in project.code:
            for call in source.calls_of(*GATES):
                if is_left(source, call) and is_old_answer(source, call):
                    name = (source.name(call.func) or "").replace("@", "")
                    message = f"the answer of {name} is a coroutine that nobody awaits"
                    edits = upgraded_edits(project, source.path, ("UPG113",), source.span(call))
                    yield self.at(source, call, message, edits=edits)


class SilentClear(Rule):
    """UPG009."""

    id = "UPG009"
    severity = Severity.WARNING
    title = "a lock is cleared while nobody expects it"
    why = (
        "In 0.4 those who waited went on; now they get LockCleared, which reaches clients as INTERNAL_ERROR."
    )
    how = "catch LockCleared where the lock is taken, or do not clear it"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for `clear` in a project that names `LockCleared` nowhere."""
        if any("LockCleared" in source.text for source in project.code):
            return
        for source in project.code:
            for call in source.calls_of("runtime.Lock().clear", "runtime.default_lock().clear"):
                message = "those who wait for the lock get LockCleared, and nothing expects it"
                yield self.at(source, call, message)


class OldName(Rule):
    """UPG012."""

    id = "UPG012"
    severity = Severity.WARNING
    title = "a name of 0.4"
    why = "The name does not exist any more, so that the module does not import or the option is refused."
    how = "write the name that it has now"
    fixes = True

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for `on_cron_error`, and for `chunk_size` in the options of uploads."""
        for source in project.sources.values():
            if "on_cron_error" in source.text:
                yield from self._cron_errors(project, source)
            if "chunk_size" in source.text:
                yield from self._chunk_sizes(project, source)
        for page in web_texts(project):
            for match in page.find(_CHUNK_OPTION):
                span = page.span(*match.span("name"))
                edits = upgraded_edits(project, page.path, ("UPJ05",), span)
                message = "chunkSize of an upload is frameSize now"
                yield self.on(page.path, span, message, "write frameSize", edits)

    def _cron_errors(self, project: Project, source: Source) -> Iterator[Finding]:
        """Yield one finding for a file: its names are changed together."""
        places: list[ast.AST] = [
            node
            for node in source.nodes(ast.ImportFrom)
            if (node.module or "").partition(".")[0] == "runtime"
            and any(one.name == "on_cron_error" for one in node.names)
        ]
        places += [
            use
            for use in source.nodes(ast.Attribute)
            if use.attr == "on_cron_error" and (source.name(use) or "").startswith("runtime.")
        ]
        if places:
            edits = upgraded_edits(project, source.path, ("UPG107",))
            yield self.at(source, places[0], "on_cron_error is on_error now", "write on_error", edits)

    def _chunk_sizes(self, project: Project, source: Source) -> Iterator[Finding]:
        for keyword in source.nodes(ast.keyword):
            if keyword.arg != "upload" or not isinstance(keyword.value, ast.Dict):
                continue
            for key in keyword.value.keys:
                if isinstance(key, ast.Constant) and key.value == "chunk_size":
                    edits = upgraded_edits(project, source.path, ("UPG109",), source.span(key))
                    message = "chunk_size of an upload is frame_size now"
                    yield self.at(source, key, message, "write frame_size", edits)


class WrappedTwice(Rule):
    """UPG013."""

    id = "UPG013"
    severity = Severity.WARNING
    title = "a bus is wrapped around the platform by hand"
    why = "The framework does it with the bus of the settings: each publish would reach the other workers twice."
    how = "remove it, and set [redis] bus"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for `bus.wrap` in the message hook and in what makes one."""
        for source in project.code:
            for call in source.methods.get("wrap", ()):
                assert isinstance(call.func, ast.Attribute)  # noqa: S101 - `methods` has no others
                holder = source.segment(call.func.value).rpartition(".")[2].lower()
                is_bus = holder.endswith("bus") or any(source.name(one) == "@platform" for one in call.args)
                if is_bus and _in_message(source, call):
                    yield self.at(source, call, f"{source.segment(call)[:60]} relays what is relayed already")


def _in_message(source: Source, call: ast.Call) -> bool:
    """Return whether a call stands in the message hook, or in an argument of `create_message`."""
    for above in source.parents(call):
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef) and above.name == "message":
            return source.kind == "hooks"
        if isinstance(above, ast.Call) and (source.name(above.func) or "").endswith(".create_message"):
            return True
    return False
