"""What the settings say of how the app is run. Spec: platform 8.3."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from realtime_cli.rules.families.limits import KILL_GRACE
from realtime_cli.rules.finding import Edit, Finding, Severity, Span
from realtime_cli.rules.rule import Rule
from runtime.server.settings_file import SETTINGS_FILE
from runtime.server.startup import cluster_mode_problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from realtime_cli.rules.project import Project

__all__ = [
    "DevInProduction",
    "FastPathImpossible",
    "HiddenHealth",
    "LongShutdown",
    "Unpinned",
    "WrongClusterMode",
]

DISTRIBUTION = "realtime-toolkit"
DEV_ONLY = {"websocket.ws_debug": True, "dev.skip_origin_check": True, "dev.reload": True}


class Unpinned(Rule):
    """CFG010."""

    id = "CFG010"
    severity = Severity.WARNING
    title = "the version of the toolkit, or of Python, is left open"
    why = "A later version with other rules, or a Python that is too old, is installed with the next deployment."
    how = f'write "{DISTRIBUTION}~=0.5" in the dependencies, and requires-python = ">=3.11"'

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at the requirement in `pyproject.toml`."""
        path = project.root / "pyproject.toml"
        try:
            text = path.read_text(encoding="utf-8")
            data = tomllib.loads(text)
        except OSError:
            return
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
            project.skipped[path.name] = "no valid TOML"
            return
        table = data.get("project")
        if not isinstance(table, dict):
            return
        for written in _requirements(table):
            try:
                requirement = Requirement(written)
            except InvalidRequirement:
                continue
            name = requirement.name.lower().replace("_", "-")
            if name == DISTRIBUTION and not requirement.url and not _within(requirement.specifier):
                line = _line_of(text, written)
                yield self.on(
                    "pyproject.toml", Span(line), f"{written!r} takes whatever version is the latest"
                )
        python = table.get("requires-python")
        if isinstance(python, str) and _takes_old_python(python):
            line = _line_of(text, python)
            message = f"requires-python = {python!r} takes a Python before 3.11"
            yield self.on("pyproject.toml", Span(line), message, 'write requires-python = ">=3.11"')


def _requirements(table: Any) -> list[str]:
    extras = table.get("optional-dependencies")
    groups = [table.get("dependencies", []), *(extras.values() if isinstance(extras, dict) else ())]
    return [one for group in groups if isinstance(group, list) for one in group if isinstance(one, str)]


def _within(specifier: SpecifierSet) -> bool:
    """Return whether versions of 0.5 are taken, and those of the next major version are not."""
    later = ("1.0.0", "2.0.0")
    takes = any(specifier.contains(version) for version in ("0.5.0", "0.5.9", "0.5.99"))
    return takes and not any(specifier.contains(version) for version in later)


def _takes_old_python(text: str) -> bool:
    try:
        return any(SpecifierSet(text).contains(version) for version in ("3.8.0", "3.9.0", "3.10.0"))
    except InvalidSpecifier:
        return False


def _line_of(text: str, part: str) -> int:
    at = text.find(part)
    return text.count("\n", 0, at) + 1 if at >= 0 else 1


class DevInProduction(Rule):
    """CFG011."""

    id = "CFG011"
    severity = Severity.WARNING
    title = "a setting for development stands where production reads it"
    why = "It shows more than it should, or lets in more, as soon as the same file is deployed."
    how = "move it below [env.dev], or remove it"
    fixes = True

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at the tables that apply to production."""
        if not project.in_production:
            return
        found = [
            (key, origin, value)
            for key, wrong in DEV_ONLY.items()
            for origin, value in project.settings.written(key).items()
            if value is wrong or str(value).lower() in {"1", "true", "yes", "on"}
        ]
        found += [
            ("server.env", origin, value)
            for origin, value in project.settings.written("server.env").items()
            if value == "dev" and origin.startswith((SETTINGS_FILE, "REALTIME_"))
        ]
        for key, origin, value in found:
            path, _, line = origin.rpartition(":")
            section, _, name = key.rpartition(".")
            shown = "true" if value is True else repr(value)
            message = f"[{section}] {name} = {shown} is for development"
            if path:
                edits = self.removal(project, int(line), name)
                yield self.on(path, Span(int(line)), message, edits=edits)
            else:
                yield self.on(origin, Span(), message)

    def removal(self, project: Project, line: int, name: str) -> tuple[Edit, ...]:
        """Return the edit that removes a line which holds nothing but this key."""
        lines = project.settings.text.split("\n")
        text = lines[line - 1]
        if not re.match(rf"\s*([\w\"-]+\s*\.\s*)*[\"']?{name}[\"']?\s*=\s*[^{{\[]*$", text):
            return ()
        if line < len(lines):
            return (Edit(SETTINGS_FILE, Span(line, 1, line + 1, 1), ""),)
        above = lines[line - 2] if line > 1 else ""
        start = (
            Span(line - 1, len(above) + 1, line, len(text) + 1) if line > 1 else Span(1, 1, 1, len(text) + 1)
        )
        return (Edit(SETTINGS_FILE, start, ""),)


class WrongClusterMode(Rule):
    """CFG012."""

    id = "CFG012"
    severity = Severity.ERROR
    title = "workers cannot share a port in this way here"
    why = "Only Linux spreads connections over several listeners of one port."
    how = 'set [server] cluster_mode = "auto"'
    blocking = True

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for `reuseport` off Linux."""
        message = cluster_mode_problem(project.settings.get("server.cluster_mode"), project.system)
        if message is not None:
            yield self.in_settings(project, "server.cluster_mode", message)


class FastPathImpossible(Rule):
    """CFG013."""

    id = "CFG013"
    severity = Severity.INFO
    title = "the fast path is asked for where it cannot be"
    why = "The server falls back to plain ASGI, which is slower and lacks a few abilities."
    how = 'set [websocket] fast_path = "auto"'

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for `on` on Windows."""
        if project.settings.get("websocket.fast_path") == "on" and project.system == "win32":
            yield self.in_settings(project, "websocket.fast_path", 'fast_path = "on" cannot be on Windows')


class HiddenHealth(Rule):
    """CFG014."""

    id = "CFG014"
    severity = Severity.WARNING
    title = "nobody can ask whether the server is ready"
    why = "An orchestrator sends traffic to a server that is starting or ending."
    how = 'keep [server] ready_path = "/readyz"'

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for both endpoints off."""
        server = project.settings.settings.server
        if server.health_path is None and server.ready_path is None:
            yield self.in_settings(project, "server.ready_path", "health_path and ready_path are both off")


class LongShutdown(Rule):
    """CFG015."""

    id = "CFG015"
    severity = Severity.WARNING
    title = "the shutdown may take longer than orchestrators wait"
    why = "After 30 seconds most of them kill the process, with whatever was still running."
    how = "lower shutdown_timeout or shutdown_delay, or raise the grace of the orchestrator and ignore this rule"

    def check(self, project: Project) -> Iterator[Finding]:
        """Add up what a shutdown may take."""
        server = project.settings.settings.server
        both = server.shutdown_timeout + server.shutdown_delay
        if both > KILL_GRACE:
            message = (
                f"shutdown_timeout and shutdown_delay are {both:g} seconds together, more than {KILL_GRACE:g}"
            )
            yield self.in_settings(project, "server.shutdown_timeout", message)
