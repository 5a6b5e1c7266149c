"""Options that have other names, options that never did anything, and what is only told. Spec: upgrade 5.3."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding, Severity
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptflags import flags
from realtime_cli.codemods.scripthooks import hook_named
from realtime_cli.codemods.scriptnames import arguments
from realtime_cli.codemods.scriptobjects import entry, without_entry
from realtime_cli.codemods.scriptparser import has_parser
from realtime_cli.codemods.scriptscopes import text_of
from realtime_cli.codemods.scriptsettings import map_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from realtime_cli.codemods.project import Project
    from realtime_cli.codemods.scriptfile import ScriptFile
    from realtime_cli.codemods.scriptproject import Member

__all__ = ["ScriptOptions"]

_STORE = re.compile(r"ext(/postgres)?#create\w*Idempotency\w*\(\)\.(acquire|purge)")


class ScriptOptions(ScriptCodemod):
    """The two rewrites leave a TODO; the rest of the table of changes is told where it is found."""

    id: ClassVar[str] = "UPJ18"
    title: ClassVar[str] = "acquire({ key }), pipe.filter({ transformEvent }), and what is only told"
    change: ClassVar[Change] = Change.ASSISTED
    rows: ClassVar[tuple[str, ...]] = (
        *(
            "S-30",
            "R-08",
            "C-01",
            "C-02",
            "C-03",
            "C-04",
            "C-05",
            "C-07",
            "C-08",
            "C-10",
            "C-20",
            "S-18",
            "S-31",
        ),
        *("D-06", "D-18", "D-19", "D-26", "D-34", "S-26", "R-05", "R-07", "R-09", "R-12"),
    )
    tokens: ClassVar[tuple[bytes, ...]] = (
        *(
            b"acquire",
            b"purge",
            b"transformEvent",
            b"access",
            b"filter",
            b"gate",
            b"ubscribe",
            b"sendTo",
            b"publish",
        ),
        *(
            b"__presence:",
            b"Presence",
            b"Cursor",
            b".clear",
            b"timed out",
            b"binary",
            b"onUnhandled",
            b"configurePush",
        ),
        *(b"idempotencyKey", b"__subscriptions", b"on(", b"createMessage", b"__coalesced", b"live."),
    )

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield the renamed options, the dead ones, and what is only told."""
        for call in file.nodes("call_expression"):
            meaning = file.names.of(call.child_by_field_name("function"))
            if _STORE.fullmatch(meaning):
                yield from self._key(file, call)
            elif meaning == "server#pipe.filter":
                yield from self._dead(file, call)
        for one in flags(file):
            yield self.told(file, one.node, one.row, one.message, one.advice, severity=one.severity)

    def project(self, project: Project) -> Iterator[Finding]:
        """Yield the packages whose server would not start for want of a host that it can trust."""
        if not has_parser():
            return
        for member in project.scripts.members:
            yield from self._rendered(project, member)
            config = next((path for path in member.markers if path.startswith("svelte.config")), None)
            if config is not None:
                yield from self._origin(project, member, f"{member.folder}{config}")

    def _rendered(self, project: Project, member: Member) -> Iterator[Finding]:
        """Yield the files that call live functions while a page is rendered on the server."""
        for path in project.mentions(b"$live/", suffixes=(".server.js", ".server.ts")):
            if path.startswith(f"{member.folder}src/") and project.scripts.folder_of(path) == member.folder:
                message = "an error of a live function loses its code when a page is rendered on the server"
                advice = "hand the errors on by a transport hook in src/hooks"
                found = self.in_text(path, "R-09", Change.FLAG, message, advice, severity=Severity.INFO)
                yield replace(found, line=1, col=1, end_line=1, end_col=1)

    def _origin(self, project: Project, member: Member, path: str) -> Iterator[Finding]:
        found = map_settings(project, member)
        given = found.sections.get("websocket", {}).get("allowed_origins", "same-origin")
        pinned = {"HOST_HEADER", "ORIGIN", "TLS_CERT"} & {
            name.rpartition("__")[2] for name in found.environment.values()
        }
        unsafe = found.sections.get("security", {}).get("unsafe_same_origin_without_host_pin")
        hidden = any("allowedOrigins" in note for note in found.notes)
        if given != "same-origin" or pinned or unsafe or hidden:
            return
        message = "allowedOrigins is 'same-origin', and nothing says which host that is"
        advice = "0.5 does not start so: set ORIGIN or HOST_HEADER, or list the origins"
        severity = Severity.WARNING
        if self._has_upgrade(project, member):
            advice, severity = (
                "the upgrade hook is taken for the check; see that it looks at the origin",
                Severity.INFO,
            )
        found_at = self.in_text(path, "S-26", Change.FLAG, message, advice, severity=severity)
        yield replace(found_at, line=1, col=1, end_line=1, end_col=1)

    def _has_upgrade(self, project: Project, member: Member) -> bool:
        for name in member.markers:
            path = f"{member.folder}{name}"
            file = project.scripts.file(path) if project.scripts.is_hooks(path) else None
            if file is not None and hook_named(file, "upgrade") is not None:
                return True
        return False

    def _key(self, file: ScriptFile, call: Node) -> Iterator[Finding]:
        for options in arguments(call):
            old = entry(options, "key")
            if old is None:
                continue
            message = "the key of an idempotency store is idempotencyKey"
            todo = "was key; see that wrappers of this store take idempotencyKey, too"
            if old.type == "shorthand_property_identifier":
                splices = [file.replace(old, f"idempotencyKey: {text_of(old)}")]
            elif old.type == "pair":
                splices = [file.replace(old.child_by_field_name("key") or old, "idempotencyKey")]
            else:
                continue
            yield self.marked(file, call, "S-30", message, todo, splices)

    def _dead(self, file: ScriptFile, call: Node) -> Iterator[Finding]:
        for options in arguments(call):
            old = entry(options, "transformEvent")
            if old is not None:
                message = "transformEvent of pipe.filter never did anything"
                todo = "pipe.filter had transformEvent, which never did anything; live.stream takes transform"
                yield self.marked(file, call, "R-08", message, todo, [without_entry(file, old)])
