"""What is wrong with `realtime.toml` and the variables themselves. Spec: platform 8.3."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Edit, Finding, Severity, Span
from realtime_cli.rules.oldsettings import new_key
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.settingsview import place_of
from runtime.server.settings_file import SETTINGS_FILE
from runtime.server.settings_source import ENVIRONMENT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project
    from runtime.core.settings import SettingsError

__all__ = [
    "BrokenFile",
    "HalfTls",
    "MissingFolder",
    "TwoPlaces",
    "UnknownKey",
    "UnknownVariable",
    "UnsetVariable",
    "UnusedSuppression",
    "WrongOrigin",
    "WrongPath",
    "WrongValue",
]


#: Where a key that begins to count may open what its default keeps shut: a person has to decide.
GUARDED_SECTIONS = frozenset({"security", "dev", "env", "check"})
GUARDED_KEYS = frozenset(
    {
        "allow",
        "listen",
        "env",
        "host",
        "trusted_proxies",
        "allowed_hosts",
        "allowed_origins",
        "address_header",
        "protocol_header",
        "host_header",
        "port_header",
        "body_limit",
        "compression",
        "upgrade_rate_limit",
        "auth_rate_limit",
        "ws_debug",
    }
)
PATHS = frozenset({"websocket.path", "websocket.auth_path"})
_PLACE = re.compile(r"\A(?::(?P<column>\d+))?: ")


def rule_of(problem: SettingsError) -> str:
    """Return the id of the one rule that tells of a problem with the settings."""
    key = problem.key or ""
    if problem.problem == "syntax":
        return "CFG003"
    if key.startswith("capacity."):
        return "CAP005" if problem.problem == "unknown" else "CFG002"
    if problem.problem == "unknown" and new_key(*key.rpartition(".")[::2]) is not None:
        return "UPG008"
    if problem.problem == "unknown":
        return "CFG007" if (problem.origin or "").startswith("REALTIME_") else "CFG001"
    if problem.problem == "unset":
        return "CFG009"
    if key in {"server.tls_cert", "server.tls_key"} and problem.problem == "conflict":
        return "CFG004"
    if key in PATHS:
        return "CFG005"
    return "CFG006" if key == "server.origin" else "CFG002"


def is_loose_origin(project: Project, problem: SettingsError) -> bool:
    """Return whether a problem is that of entries of `allowed_origins`, which SEC005 tells of each."""
    if problem.key != "websocket.allowed_origins" or problem.problem == "unknown":
        return False
    written = project.settings.written(problem.key).get(problem.origin or "")
    return isinstance(written, list) and all(isinstance(one, str) for one in written)


def _message(problem: SettingsError) -> str:
    """Return what a problem says, in one line and without its place."""
    first = str(problem).split("\n", 1)[0].removesuffix(f" ({problem.origin})")
    return _PLACE.sub("", first.removeprefix(problem.origin or ""), count=1)


def _column(problem: SettingsError) -> int:
    """Return the column that a problem names behind its place, 1 without one."""
    found = _PLACE.match(str(problem).removeprefix(problem.origin or ""))
    return int(found["column"] or 1) if found is not None else 1


class _Problems(Rule):
    """A rule that tells what reading the settings found."""

    def check(self, project: Project) -> Iterator[Finding]:
        for problem in project.settings.found.problems:
            if rule_of(problem) == self.id and not is_loose_origin(project, problem):
                path, line = place_of(problem.origin or SETTINGS_FILE)
                span = Span(line, _column(problem))
                yield self.on(path, span, _message(problem), edits=self.edits(project, problem, path, line))

    def edits(self, project: Project, problem: SettingsError, path: str, line: int) -> tuple[Edit, ...]:
        """Return how a problem is mended without a person, which is not at all."""
        del project, problem, path, line
        return ()


class UnknownKey(_Problems):
    """CFG001."""

    id = "CFG001"
    severity = Severity.ERROR
    title = "unknown section or key in realtime.toml"
    why = "A setting that nobody reads leaves the default in force, whatever its author meant."
    how = "write the key that is meant, or remove the line"
    blocking = True
    fixes = True

    def edits(self, project: Project, problem: SettingsError, path: str, line: int) -> tuple[Edit, ...]:
        """Write the nearest key, where one letter was wrong."""
        wrong = (problem.key or "").rpartition(".")[2]
        if path != SETTINGS_FILE or problem.nearest is None or not _is_near(wrong, problem.nearest):
            return ()
        right = problem.nearest.rpartition(".")[2]
        section = (problem.key or "").partition(".")[0]
        if section in GUARDED_SECTIONS or right in GUARDED_KEYS or right in GUARDED_SECTIONS:
            return ()  # what it says would begin to count, and may be weaker than the default
        text = project.settings.text.split("\n")[line - 1]
        found = list(re.finditer(rf"(?<![\w.\"'-]){re.escape(wrong)}(?=\s*[=.\]])", _without_texts(text)))
        if len(found) != 1:
            return ()
        span = Span(line, found[0].start() + 1, line, found[0].end() + 1)
        return (Edit(path, span, right),)


def _without_texts(line: str) -> str:
    """Return a line with spaces for what stands in quotes or in its comment."""
    return re.sub(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|#.*", lambda found: " " * len(found[0]), line)


def _is_near(one: str, other: str) -> bool:
    """Return whether one letter more, less or another, or two in the other order, make the one the other."""
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    if len(one) == len(other):
        apart = [place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
        if len(apart) == 2 and apart[1] == apart[0] + 1:
            return one[apart[0]] == other[apart[1]] and one[apart[1]] == other[apart[0]]
    short, long = sorted((one, other), key=len)
    at = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    return short[at + (len(short) == len(long)) :] == long[at + 1 :]


class WrongValue(_Problems):
    """CFG002."""

    id = "CFG002"
    severity = Severity.ERROR
    title = "a setting has the wrong type or is out of range"
    why = "The server does not start with it."
    how = "write a value that fits"
    blocking = True


class BrokenFile(_Problems):
    """CFG003."""

    id = "CFG003"
    severity = Severity.ERROR
    title = "realtime.toml is no TOML"
    why = "Nothing in the file can be read, so the server does not start."
    how = "correct the line"
    blocking = True


class HalfTls(_Problems):
    """CFG004."""

    id = "CFG004"
    severity = Severity.ERROR
    title = "a certificate without its key, or a key without its certificate"
    why = "TLS needs both, so the server does not start."
    how = "set both [server] tls_cert and tls_key, or neither"
    blocking = True


class WrongPath(_Problems):
    """CFG005."""

    id = "CFG005"
    severity = Severity.ERROR
    title = "the path of the WebSocket or of auth is no path, or both are one"
    why = "Nobody could connect, so the server does not start."
    how = "write paths that begin with a slash and differ"
    blocking = True
    fixes = True

    def edits(self, project: Project, problem: SettingsError, path: str, line: int) -> tuple[Edit, ...]:
        """Put the slash in front that is missing."""
        written = project.settings.written(problem.key or "").get(problem.origin or "")
        if path != SETTINGS_FILE or not isinstance(written, str) or written.startswith("/") or not written:
            return ()
        name = (problem.key or "").rpartition(".")[2]
        text = project.settings.text.split("\n")[line - 1]
        found = re.search(rf"(?<![\w-]){name}[\"']?\s*=\s*([\"'])(?={re.escape(written)}\1)", text)
        return (Edit(path, Span(line, found.end() + 1), "/"),) if found is not None else ()


class WrongOrigin(_Problems):
    """CFG006."""

    id = "CFG006"
    severity = Severity.ERROR
    title = "[server] origin is no address of a page"
    why = "No page would match it, so the server does not start."
    how = 'write what people type, such as "https://app.example.com"'
    blocking = True


class UnknownVariable(_Problems):
    """CFG007."""

    id = "CFG007"
    severity = Severity.WARNING
    title = "a REALTIME_ variable names no setting"
    why = "It does nothing; the server does not start with a key that it does not know."
    how = "correct the name of the variable, or unset it"

    def check(self, project: Project) -> Iterator[Finding]:
        """Tell of what the settings refuse, and of names with one underscore where two belong, which they pass by."""
        yield from super().check(project)
        for key in project.settings.found.origins:
            variable = ENVIRONMENT_PREFIX + key.replace(".", "__").upper()
            single = variable.replace("__", "_")
            if single in project.environ and "__" not in single:
                yield self.on(single, Span(), f"{single} is read by nobody; did you mean {variable}?")


class UnsetVariable(_Problems):
    """CFG009."""

    id = "CFG009"
    severity = Severity.ERROR
    title = "a setting is read from a variable that is not set"
    why = "The server does not start without the value."
    how = "set the variable where the server runs"


class TwoPlaces(Rule):
    """CFG008."""

    id = "CFG008"
    severity = Severity.WARNING
    title = "a setting is written in the file and, differently, in a variable"
    why = "The variable wins; who edits the file changes nothing."
    how = "keep one of them"

    def check(self, project: Project) -> Iterator[Finding]:
        """Compare what each source says."""
        found = project.settings.found
        for key, written in found.texts.items():
            files = {origin: raw for origin, raw in written.items() if origin.startswith(SETTINGS_FILE)}
            variables = {o: raw for o, raw in written.items() if o.startswith(ENVIRONMENT_PREFIX)}
            for variable, raw in variables.items():
                for origin, other in files.items():
                    if not _is_same(raw, other):
                        section, _, name = key.rpartition(".")
                        path, line = place_of(origin)
                        yield self.on(
                            path, Span(line), f"[{section}] {name} is not in force: {variable} wins"
                        )


class MissingFolder(Rule):
    """CFG021."""

    id = "CFG021"
    severity = Severity.WARNING
    title = "a folder that the settings name is not there"
    why = "The server starts without it: every function is NOT_FOUND, every page 404."
    how = "correct the name, or make the folder"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for the folders that somebody named."""
        for key in ("server.live", "server.web"):
            name = project.settings.text_of(key)
            if project.settings.given(key) and not (project.root / name).is_dir():
                shown = key.replace("server.", "[server] ")
                yield self.in_settings(project, key, f"{shown} = {name!r}: there is no such folder")


def _is_same(text: object, value: object) -> bool:
    """Return whether the text of a variable says what the file says."""
    if isinstance(value, bool):
        return str(text).lower() in ({"1", "true", "yes", "on"} if value else {"0", "false", "no", "off"})
    if isinstance(value, list):
        return [part.strip() for part in str(text).split(",")] == [str(item) for item in value]
    return str(text).strip() == str(value)


class UnusedSuppression(Rule):
    """CFG020."""

    id = "CFG020"
    severity = Severity.INFO
    title = "a suppression takes nothing back"
    why = "It would hide the next finding on its line, which may be another one."
    how = "remove the comment"
    fixes = True
