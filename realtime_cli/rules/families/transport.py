"""Secrets in the settings file, and how the backends and proxies are reached. Spec: platform 8.2."""

from __future__ import annotations

import ipaddress
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from realtime_cli.rules.families.origin_policy import is_local
from realtime_cli.rules.finding import Edit, Finding, Severity, Span
from realtime_cli.rules.rule import Rule
from runtime.core.backendaddress import split_address
from runtime.core.settings import SECTIONS, keys_of
from runtime.server.settings_file import SETTINGS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from realtime_cli.rules.project import Project

__all__ = ["AnyProxy", "PlainBackend", "SecretInFile", "SharedAddress"]

BACKENDS = ("redis.url", "postgres.dsn")


class SecretInFile(Rule):
    """SEC020."""

    id = "SEC020"
    severity = Severity.ERROR
    title = "a secret stands in realtime.toml"
    why = "Whoever can read the repository, or ever could, has it."
    how = 'write "env:NAME", set the variable where the server runs, and change the secret'
    fixes = True

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at what secret keys hold in the file, unless git ignores it."""
        found = [
            (key, origin, value)
            for key, written in project.settings.found.texts.items()
            if _is_secret(key)
            for origin, value in written.items()
            if origin.startswith(SETTINGS_FILE) and isinstance(value, str) and _reveals(key, value)
        ]
        if not found or _git(project.root, "check-ignore", "-q", SETTINGS_FILE):
            return
        for key, origin, value in found:
            line = int(origin.rpartition(":")[2]) if ":" in origin else 1
            section, _, name = key.rpartition(".")
            message = f"[{section}] {name} holds a secret"
            yield self.on(SETTINGS_FILE, Span(line), message, edits=self._edits(project, key, line, value))

    def _edits(self, project: Project, key: str, line: int, value: str) -> tuple[Edit, ...]:
        """Move it to `.env`, where git ignores that and the variable is not in it yet."""
        if not _git(project.root, "check-ignore", "-q", ".env"):
            return ()
        text = project.settings.text.split("\n")[line - 1]
        column = text.find(value) + 1
        variable = key.replace(".", "_").upper()
        before = project.dotenv[".env"]
        if not column or f"{variable}=" in before or not value.isprintable() or "'" in value:
            return ()
        last = before.count("\n") + 1
        at = Span(last, len(before.rpartition("\n")[2]) + 1)
        start = "" if before.endswith("\n") or not before else "\n"
        return (
            Edit(
                SETTINGS_FILE, Span(line, column, line, column + len(value)), f"env:{variable}", secret=True
            ),
            Edit(".env", at, f"{start}{variable}='{value}'\n", secret=True),
        )


def _is_secret(key: str) -> bool:
    section, _, name = key.rpartition(".")
    kinds = keys_of(SECTIONS[section]) if section in SECTIONS else {}
    return name in kinds and kinds[name].secret


def _reveals(key: str, value: str) -> bool:
    """Return whether a value is the secret itself: not a variable, nor an address without a password."""
    if value.startswith("env:"):
        return False
    if key in BACKENDS:
        try:
            address = split_address(value)
        except ValueError:
            return True  # no address at all: whatever it is, it may hold the password
        query = parse_qs(address.query.lower())
        return bool(address.password) or any(name in query for name in ("password", "sslpassword"))
    return bool(value)


def _git(root: Path, *arguments: str) -> bool:
    """Return whether git says yes; no without git or outside of a repository."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=root,
            capture_output=True,
            check=False,
            timeout=10,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


class PlainBackend(Rule):
    """SEC021."""

    id = "SEC021"
    severity = Severity.WARNING
    title = "a backend on another machine is reached without encryption"
    why = "Sessions, messages and the password of the backend can be read on the way."
    how = 'write "rediss://", or sslmode=verify-full for Postgres'

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at the scheme and mode of addresses that lead to other hosts."""
        for key in BACKENDS:
            url = project.settings.get(key)
            if not url:
                continue
            address = split_address(url)
            far = next((host for host, _ in address.hosts if not is_local(host)), None)
            if far is None:
                continue
            mode = parse_qs(address.query).get("sslmode", [""])[-1]
            if key == "redis.url":
                is_plain = address.scheme != "rediss" and "ssl=true" not in address.query.lower()
            else:
                is_plain = mode not in {"require", "verify-ca", "verify-full"}
            if is_plain:
                what = "Redis" if key == "redis.url" else "Postgres"
                yield self.in_settings(project, key, f"{what} at {far} is reached without encryption")


class AnyProxy(Rule):
    """SEC022."""

    id = "SEC022"
    severity = Severity.WARNING
    title = "everybody's proxy headers are believed"
    why = "A client that names an address, a host or https itself gets around limits per address and the origin policy."
    how = "list the networks of the proxies in [server] trusted_proxies"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for networks that hold every address, together with headers that count."""
        server = project.settings.settings.server
        headers = (
            server.protocol_header,
            server.host_header,
            server.port_header,
            server.address_header,
        )
        if any(headers) and any(_holds_everybody(network) for network in server.trusted_proxies):
            message = "trusted_proxies takes proxy headers from every address"
            yield self.in_settings(project, "server.trusted_proxies", message)


def _holds_everybody(network: str) -> bool:
    if network == "*":
        return True
    try:
        return ipaddress.ip_network(network, strict=False).prefixlen == 0
    except ValueError:
        return False


class SharedAddress(Rule):
    """SEC023."""

    id = "SEC023"
    severity = Severity.WARNING
    title = "behind the proxy every client has the proxy's address"
    why = "All of them share the limits per address, so that a few refuse everybody; and logs do not tell who it was."
    how = 'set [server] address_header = "x-forwarded-for", or what your proxy sends'

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for some proxy headers without that of the address."""
        server = project.settings.settings.server
        others = [name for name in ("protocol_header", "host_header", "port_header") if getattr(server, name)]
        if others and not server.address_header:
            yield self.in_settings(
                project, f"server.{others[0]}", f"{others[0]} is set, and address_header is not"
            )
