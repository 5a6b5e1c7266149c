"""What is left of 0.4 in files and settings. Spec: platform 8.5, upgrade 2.1."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Edit, Finding, Severity, Span
from realtime_cli.rules.oldsettings import new_key, new_variable
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.settingsview import place_of
from runtime.server.settings_file import SETTINGS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project

__all__ = ["OldLayout", "OldSetting", "PinnedPayload"]

OLD_FILES = ("hooks_ws.py", "src/hooks_ws.py", "src/hooks.ws.js", "src/hooks.ws.ts")
OLD_PAYLOAD = 16 * 1024  # bytes that a message could have by default in 0.4
CODE = frozenset({".py", ".js", ".ts", ".mjs"})


class OldLayout(Rule):
    """UPG001."""

    id = "UPG001"
    severity = Severity.ERROR
    title = "files lie where 0.4 looked for them"
    why = "Nothing reads them: hooks do not run, and functions cannot be called."
    how = "run realtime upgrade"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for the files and folders of 0.4; the first one stands for all."""
        found = [name for name in OLD_FILES if (project.root / name).is_file()]
        folder = project.root / "src" / "live"
        if folder.is_dir() and project.settings.text_of("server.live") != "src/live":
            modules = sorted(path for path in folder.rglob("*") if path.suffix in CODE)
            found += [path.relative_to(project.root).as_posix() for path in modules]
        has_table = _has_table(project)
        config = project.root / "realtime_config.py"
        if config.is_file() and (found or has_table or not project.settings.text):
            found.append("realtime_config.py")
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            yield self.on(found[0], Span(), f"{found[0]}{more} is of the layout of 0.4: nothing reads it")
        elif has_table:
            line = has_table
            yield self.on("pyproject.toml", Span(line), "[tool.realtime] holds settings that nothing reads")


def _has_table(project: Project) -> int:
    """Return the line of `[tool.realtime]` in `pyproject.toml`, 0 without one."""
    try:
        text = (project.root / "pyproject.toml").read_text(encoding="utf-8")
        if "realtime" not in tomllib.loads(text).get("tool", {}):
            return 0
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return 0
    at = text.find("[tool.realtime")
    return text.count("\n", 0, at) + 1 if at >= 0 else 1


class OldSetting(Rule):
    """UPG008."""

    id = "UPG008"
    severity = Severity.WARNING
    title = "a setting or variable has its name of 0.4"
    why = "The name is not known any more: the setting has its default, or the server does not start."
    how = "write the name that it has now"
    fixes = True

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at the keys that are not known, and at variables."""
        for problem in project.settings.found.problems:
            section, _, name = (problem.key or "").rpartition(".")
            key = new_key(section, name) if problem.problem == "unknown" else None
            if key is None:
                continue
            path, line = place_of(problem.origin or SETTINGS_FILE)
            home, _, new = key.rpartition(".")
            edits = (
                self.renamed(project, line, name, new) if path == SETTINGS_FILE and home == section else ()
            )
            message = f"{name} of 0.4 is [{home}] {new} now"
            yield self.on(path, Span(line), message, f"write [{home}] {new}", edits)
        for variable, value in sorted(project.environ.items()):
            key = new_variable(variable, value)
            if key is not None and not project.settings.given(key):
                now = "REALTIME_" + key.upper().replace(".", "__")
                yield self.on(variable, Span(), f"{variable} of 0.4 is not read any more", f"set {now}")

    def renamed(self, project: Project, line: int, old: str, new: str) -> tuple[Edit, ...]:
        """Return the edit that writes the new name in the place of the old one."""
        column = project.settings.text.split("\n")[line - 1].find(old)
        if column < 0:
            return ()
        return (Edit(SETTINGS_FILE, Span(line, column + 1, line, column + 1 + len(old)), new),)


class PinnedPayload(Rule):
    """UPG010."""

    id = "UPG010"
    severity = Severity.WARNING
    title = "messages are held to the size that they had in 0.4"
    why = "Uploads come in pieces by themselves now; the small bound refuses ordinary messages."
    how = "remove max_payload_length: the default is 1 MiB"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for the old default, written down."""
        key = "websocket.max_payload_length"
        if project.settings.given(key) and project.settings.get(key) == OLD_PAYLOAD:
            yield self.in_settings(project, key, "max_payload_length is the 16 KiB of 0.4")
