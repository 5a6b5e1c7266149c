"""What 0.5 checks before it starts, before the auth request and in cookies. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import libcst as cst

from realtime_cli.codemods.arguments import argument
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding, Severity
from realtime_cli.codemods.literals import text_of, text_parts
from realtime_cli.codemods.tomltext import SETTINGS, noted_table, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.project import Project
    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["SecurityChecks"]

_AUTH_PATH = "/__ws/auth"
_HEADERS = ("x-requested-with", "sec-fetch-site", "origin")
_VARIABLES = (b"REALTIME_SERVER__ORIGIN", b"REALTIME_SERVER__HOST_HEADER", b"REALTIME_SERVER__ALLOWED_HOSTS")
_TODO = "TODO(realtime-upgrade UPG125): 0.5 does not start without knowing its host; set the address that people use"


class SecurityChecks(Codemod):
    """The host pin, callers of the auth path, and what goes into cookies."""

    id: ClassVar[str] = "UPG125"
    title: ClassVar[str] = "host pin, auth path, cookies"
    change: ClassVar[Change] = Change.ASSISTED
    rows: ClassVar[tuple[str, ...]] = ("C-18", "C-21", "S-26")
    tokens: ClassVar[tuple[bytes, ...]] = (b"/auth", b"cookies.set")
    alone: ClassVar[tuple[bytes, ...]] = (b"/__ws/auth",)

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield requests to the auth path that would be refused, and cookies made of what is not known."""
        path = str(settings_of(file.project).get("websocket", {}).get("auth_path", _AUTH_PATH))
        for call in file.calls("post", "request"):
            if self._posts_to(file, call, path) and not _has_header(call):
                yield self.flag(
                    file,
                    call,
                    "C-18",
                    f"a request to {path} without a header that shows where it comes from is refused",
                    "send x-requested-with: XMLHttpRequest, or set [security] auth_require_origin = false",
                )
        for call in file.calls("set"):
            if not isinstance(call.func, cst.Attribute) or not _is_cookies(file, call.func.value):
                continue
            for name in ("path", "domain"):
                given = argument(call, name)
                if given is not None and text_of(given.value) is None and not _is_none(given.value):
                    yield self.flag(
                        file,
                        given,
                        "C-21",
                        f"the {name} of a cookie is no literal: a character that does not belong there raises now",
                        f"check the {name} before, or write it out",
                    )

    def _posts_to(self, file: PythonFile, call: cst.Call, path: str) -> bool:
        name = call.func.attr if isinstance(call.func, cst.Attribute) else call.func
        if not isinstance(name, cst.Name):
            return False
        if name.value == "request" and not any(
            (text_of(one.value) or "").upper() == "POST" for one in call.args[:2]
        ):
            return False
        return any(
            text.partition("?")[0].endswith(path)
            for one in call.args[:2]
            if one.keyword is None or one.keyword.value == "url"
            for text in text_parts(one.value)
        )

    def project(self, project: Project) -> Iterator[Finding]:
        """Ask for the address of the app where nothing else says which host it has."""
        settings = settings_of(project)
        if project.kind == "javascript" or (project.hooks_path is None and SETTINGS not in project.tree):
            return
        server = settings.get("server", {})
        in_production = settings.get("env", {}).get("production", {})
        tables = [
            {**settings.get(name, {}), **in_production.get(name, {})}
            for name in ("server", "websocket", "security")
        ]
        if not _needs_pin(*tables) or _is_pinned_outside(project):
            return
        if _has_upgrade_hook(project):
            yield self.in_text(
                SETTINGS if SETTINGS in project.tree else "",
                "S-26",
                Change.FLAG,
                "the origin of pages is compared with the Host header; the upgrade hook has to check the host",
                'set [server] origin = "https://..." if that hook does not look at the host',
                severity=Severity.INFO,
            )
            return
        message = "allowed_origins is same-origin, and nothing says which host the app has: it does not start"
        advice = 'set [server] origin = "https://...", or [websocket] allowed_origins to a list'
        if SETTINGS not in project.tree:
            yield self.in_text("", "S-26", Change.FLAG, message, advice, severity=Severity.ERROR)
            return
        raw = project.tree.read(SETTINGS)
        if b"TODO(realtime-upgrade UPG125)" in raw:
            return
        lines = [f"# {_TODO}", '# origin = "https://app.example.com"']
        noted = noted_table(raw, "server", lines, {**settings, "server": server})
        if noted is None:
            yield self.in_text(SETTINGS, "S-26", Change.FLAG, message, advice, severity=Severity.ERROR)
            return
        after, place = noted
        project.tree.write(SETTINGS, after)
        yield self.in_text(
            SETTINGS, "S-26", Change.ASSISTED, message, advice, start=place, end=place, raw=after
        )


def _needs_pin(server: dict[str, Any], websocket: dict[str, Any], security: dict[str, Any]) -> bool:
    if websocket.get("allowed_origins", "same-origin") != "same-origin":
        return False
    if security.get("unsafe_same_origin_without_host_pin"):
        return False
    if any(server.get(key) for key in ("origin", "host_header")):
        return False
    if any(table.get("allowed_hosts") for table in (server, websocket, security)):
        return False
    return not (server.get("tls_cert") and server.get("tls_key"))


def _is_pinned_outside(project: Project) -> bool:
    """Say whether a variable that says which host the app has is set in an env file, a compose file or an image."""
    paths = [
        path
        for path in project.tree.files()
        if not path.endswith((".py", ".pyi", ".js", ".ts", ".svelte", ".html", ".toml"))
    ]
    return any(variable in project.tree.read(path) for path in paths for variable in _VARIABLES)


def _has_upgrade_hook(project: Project) -> bool:
    path = project.hooks_path
    file = project.file(path) if path is not None else None
    scope = file.scope(file.tree) if file is not None else None
    return scope is not None and any(one.name == "upgrade" for one in scope.assignments)


def _has_header(call: cst.Call) -> bool:
    given = argument(call, "headers")
    if given is None:
        return any(one.star == "**" for one in call.args)
    if not isinstance(given.value, cst.Dict):
        return True
    names = []
    for one in given.value.elements:
        if not isinstance(one, cst.DictElement):
            return True
        names.append((text_of(one.key) or "").lower())
    return any(name in _HEADERS for name in names)


def _is_cookies(file: PythonFile, node: cst.BaseExpression) -> bool:
    if isinstance(node, cst.Name):
        return node.value == "cookies" and file.names.is_a(node, "?", "runtime.Cookies()")
    return file.names.is_a(node, "@ctx.cookies", "@hookctx.cookies")


def _is_none(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.Name) and node.value == "None"
