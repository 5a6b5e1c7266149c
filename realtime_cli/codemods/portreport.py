"""What a port of a SvelteKit app to Python needs: its inventory and its settings. Spec: upgrade 5.5."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime_cli.codemods.scriptfile import SUFFIXES, property_of
from realtime_cli.codemods.scriptnames import HOOKS, arguments, canonical_module, parameter_patterns
from realtime_cli.codemods.scriptobjects import entries, entry, value_of
from realtime_cli.codemods.scriptparser import has_parser
from realtime_cli.codemods.scriptscopes import FUNCTIONS, string_of, text_of
from realtime_cli.codemods.scriptsettings import map_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from realtime_cli.codemods.project import Project
    from realtime_cli.codemods.scriptfile import ScriptFile
    from realtime_cli.codemods.scriptproject import Member

__all__ = ["LiveExport", "live_exports", "port_report"]

_KINDS = {
    "live": "rpc",
    "guard": "guard",
    **dict.fromkeys(("idempotent", "lock", "rateLimit", "validated", "volatile", "breaker"), "rpc"),
    **{
        name: name
        for name in (
            *("stream", "channel", "binary", "room", "cron", "derived", "effect", "aggregate", "webhook"),
            *("gate", "upload"),
        )
    },
}
_OBJECTS = {
    "Redis": "runtime.cluster.RedisClient",
    "PgClient": "runtime.cluster.PgClient",
    "PubSubBus": "runtime.cluster.PubSubBus",
    "ShardedBus": "runtime.cluster.ShardedBus",
    "Presence": "Presence",
    "Cursor": "Cursor",
    "Replay": "Replay",
    "RateLimit": "RateLimit",
    "Group": "Group",
    "Lock": "Lock",
    "DistributedLock": "Lock",
    "Leader": "Leader",
    "Session": "Session",
    "Dedup": "Dedup",
    "Queue": "Queue",
    "Throttle": "Throttle",
    "Channel": "Channel",
    "ConnectionRegistry": "runtime.cluster.ConnectionRegistry",
    "IdempotencyStore": "IdempotencyStore",
    "Jobs": "runtime.cluster.JobQueue",
    "Tasks": "runtime.cluster.TaskRunner",
    "CircuitBreaker": "runtime.plugins.CircuitBreaker",
}
_NEVER = (".d.ts", ".test.js", ".test.ts", ".spec.js", ".spec.ts")


@dataclass(frozen=True, slots=True)
class LiveExport:
    """One export of a live module.

    Attributes:
        path: as the client calls it.
        name: of the export.
        kind: such as ``rpc`` or ``stream``.
        parameters: names of the arguments that the client gives.
        options: names of the options it is made with.
        place: file and line.
    """

    path: str
    name: str
    kind: str
    parameters: tuple[str, ...]
    options: tuple[str, ...]
    place: str

    @property
    def python_name(self) -> str:
        """The name in Python's spelling."""
        return _snake(self.name)

    @property
    def python(self) -> str:
        """How it is declared in Python, in one line."""
        names = ", ".join(("ctx", *(_snake(one) for one in self.parameters)))
        decorator = {"rpc": "live", "guard": "guard", "gate": "live.gate(...)"}.get(
            self.kind, f"live.{self.kind}(...)"
        )
        return f"@{decorator} over async def {self.python_name}({names})"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower().replace("$", "_")


def live_exports(project: Project, member: Member) -> list[LiveExport]:
    """List what the live modules of an npm package export, sorted by path."""
    base = f"{member.folder}src/live/"
    found = []
    for path in project.tree.files(".js", ".ts", ".mjs"):
        if not path.startswith(base) or path.endswith(_NEVER):
            continue
        file = project.scripts.file(path)
        if file is not None:
            module = path.removeprefix(base).rpartition(".")[0]
            found += list(_exports(file, module))
    return sorted(found, key=lambda one: one.path)


def _exports(file: ScriptFile, module: str) -> Iterator[LiveExport]:
    for statement in file.nodes("export_statement"):
        declaration = statement.child_by_field_name("declaration")
        for node in declaration.named_children if declaration is not None else ():
            name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
            if (
                node.type != "variable_declarator"
                or name is None
                or value is None
                or value.type != "call_expression"
            ):
                continue
            meaning = file.names.of(value.child_by_field_name("function"))
            owner, _, called = meaning.partition("#")
            kind = _KINDS.get(called.removeprefix("live."))
            if owner != "server" or kind is None:
                continue
            yield LiveExport(
                "__guard" if kind == "guard" else f"{module}/{text_of(name)}",
                text_of(name),
                kind,
                tuple(_parameters(file, value, kind)),
                tuple(_options(value)),
                f"{file.path}:{file.line_number(node.start_byte)}",
            )


def _parameters(file: ScriptFile, call: Node, kind: str) -> list[str]:
    if kind == "room":
        return _topic_parameters(file, call)
    functions = [one for one in arguments(call) if one.type in FUNCTIONS]
    named = [file.names.function_of(one) for one in arguments(call) if one.type == "identifier"]
    functions += [one[1] for one in named if one is not None]
    if not functions or kind in ("cron", "derived", "effect", "aggregate", "webhook"):
        return []
    patterns = parameter_patterns(functions[-1])[1:]
    return [_name_of(one, number) for number, one in enumerate(patterns, 1)]


def _topic_parameters(file: ScriptFile, call: Node) -> list[str]:
    """Return what a client gives to join a room: the arguments of its topic."""
    for options in arguments(call):
        found = file.names.function_of(value_of(entry(options, "topic")))
        if found is not None:
            patterns = parameter_patterns(found[1])[1:]
            return [_name_of(one, number) for number, one in enumerate(patterns, 1)]
    return []


def _name_of(pattern: Node, number: int) -> str:
    at: Node | None = pattern
    if pattern.type == "assignment_pattern":
        at = pattern.child_by_field_name("left")
    return text_of(at) if at is not None and at.type == "identifier" else f"value{number}"


def _options(call: Node) -> list[str]:
    return [
        property_of(one)
        for options in arguments(call)
        if options.type == "object"
        for one in entries(options)
        if property_of(one)
    ]


def port_report(project: Project) -> list[str]:
    """Return the lines of the Markdown report about each npm package; nothing if there is none of ours."""
    if not has_parser():
        return []
    lines: list[str] = []
    for member in project.scripts.members:
        title = f"Inventory for a port{f' of {member.folder}' if member.folder else ''}"
        lines += [
            "",
            f"## {title}",
            "",
            "Nothing of this is done by the command; it is what a port to Python needs.",
        ]
        lines += _live(project, member)
        lines += _hooks(project, member)
        lines += _objects(project, member)
        lines += _client(project, member)
        lines += _settings(project, member)
    return lines


def _live(project: Project, member: Member) -> list[str]:
    found = live_exports(project, member)
    if not found:
        return []
    lines = [
        "",
        "### Live modules",
        "",
        "| path | kind | arguments | options | in Python |",
        "|---|---|---|---|---|",
    ]
    for one in found:
        cells = (
            f"`{one.path}`",
            one.kind,
            len(one.parameters),
            ", ".join(one.options) or "none",
            f"`{one.python}`",
        )
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    renamed = [
        one for one in found if one.python_name != one.name and one.kind not in ("cron", "guard", "effect")
    ]
    if renamed:
        lines += [
            "",
            "Names that change in Python, and the path that the unmodified browser client calls:",
            "",
        ]
        lines += [f"* `{one.python_name}`: `{one.path}`" for one in renamed]
    return lines


def _hooks(project: Project, member: Member) -> list[str]:
    lines = []
    for path in project.tree.files(".js", ".ts", ".mjs"):
        if not project.scripts.is_hooks(path) or project.scripts.folder_of(path) != member.folder:
            continue
        file = project.scripts.file(path)
        names = list(file.names.exports()) if file is not None else []
        lines += [
            f"* `{name}`: {'`' + _snake(name) + '` of `hooks.py`' if name in HOOKS else 'no hook'}"
            for name in names
        ]
    return ["", "### Hooks", "", *lines] if lines else []


def _objects(project: Project, member: Member) -> list[str]:
    lines = []
    for file in _files(project, member, b"svelte-adapter-uws"):
        for node in file.nodes("variable_declarator"):
            name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
            meaning = file.names.of(value)
            module, _, made = meaning.partition("#create")
            if name is None or not made.endswith("()") or not module.startswith(("ext", "plugins/")):
                continue
            python = _OBJECTS.get(made.removesuffix("()").removesuffix("Client").removesuffix("Pg") or made)
            python = python or _OBJECTS.get(made.removesuffix("()"))
            if python is not None and "." not in python:
                python = f"runtime.{'plugins' if module.startswith('plugins/') else 'cluster'}.{python}"
            place = f"{file.path}:{file.line_number(node.start_byte)}"
            lines.append(
                f"* `{text_of(name)}` ({place}): {f'`{python}`' if python else 'no counterpart is known'}"
            )
    return ["", "### Plugins and extensions", "", *lines] if lines else []


def _client(project: Project, member: Member) -> list[str]:
    lines = []
    for file in _files(project, member, b"client", b"$live"):
        for node in file.nodes("import_statement"):
            module = string_of(node.child_by_field_name("source")) or ""
            name = canonical_module(module)
            if name == "client" or name.startswith("$live/"):
                names = ", ".join(f"`{text_of(one)}`" for one in _imported(node))
                where = f"{file.path}:{file.line_number(node.start_byte)}"
                lines.append(f"* {where}: {names} of `{module}`")
    return ["", "### Imports of the client", "", *lines] if lines else []


def _imported(statement: Node) -> list[Node]:
    found = []
    for clause in statement.named_children:
        for part in clause.named_children if clause.type == "import_clause" else ():
            if part.type == "named_imports":
                found += [one.child_by_field_name("name") or one for one in entries(part)]
            else:
                found.append(part)
    return found


def _settings(project: Project, member: Member) -> list[str]:
    found = map_settings(project, member)
    lines = []
    text = found.toml()
    if text:
        lines += ["", "### Settings", "", "```toml", *text.strip().split("\n"), "```"]
    if found.environment:
        lines += ["", "Environment:", ""]
        lines += [f"* `{old}` is `{new}`" for old, new in sorted(found.environment.items())]
    if found.notes:
        lines += ["", "Without counterpart:", "", *(f"* {one}" for one in found.notes)]
    return lines


def _files(project: Project, member: Member, *tokens: bytes) -> Iterator[ScriptFile]:
    for path in project.mentions(*tokens, suffixes=SUFFIXES):
        if project.scripts.folder_of(path) == member.folder:
            file = project.scripts.file(path)
            if file is not None:
                yield file
