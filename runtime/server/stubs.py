"""`/live/<module>.js`: what a page imports of a live module, generated from the imported declarations.

Spec: live-api 21.1 and 25.7.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from runtime.server.clientfile import script
from runtime.server.representation import Representation, respond

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from starlette.requests import Request

    from runtime.core.settings import Settings
    from runtime.live.problems import LoadProblem
    from runtime.live.registry import Endpoint, LiveModule, Registry

__all__ = ["CLIENT_NAME", "RESERVED_WORDS", "StubSource", "problem_source", "stub_source"]

#: The module name that belongs to the browser client.
CLIENT_NAME: Final = "client"
DEFAULT_SOCKET_PATH: Final = "/ws"
MAX_LISTED_MODULES: Final = 50

_RESERVED_WORDS = (
    "arguments await break case catch class const continue debugger default delete do else enum eval export extends "
    "false finally for function if implements import in instanceof interface let new null package private protected "
    "public return static super switch this throw true try typeof undefined var void while with yield"
)
#: Names that a JavaScript module cannot declare but can export. ECMA-262 12.7.2 and 13.1.1.
RESERVED_WORDS: Final = frozenset(_RESERVED_WORDS.split())
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
# What a file that does not import would have exported, by its looks.
_TOP_LEVEL = re.compile(
    r"^(?:async\s+def|def|class)\s+([A-Za-z]\w*)|^([A-Za-z]\w*)\s*(?::[^=\n]+)?=[^=]", re.ASCII | re.MULTILINE
)


def stub_source(module: LiveModule, settings: Settings) -> str:
    """Return the JavaScript module of `module`, with one export per endpoint; those of a room, or of the windows of an
    aggregate, are members of one object.

    In dev each export has a comment with where it stands and what its docstring says.
    """
    client = "../" * module.name.count("/") or "./"
    makers = sorted({_maker(endpoint) for endpoint in module.endpoints})
    path = settings.websocket.path
    if path != DEFAULT_SOCKET_PATH:
        makers.append("__defaults")
    imports = (
        f"import {{ {', '.join(makers)} }} from {_js(f'{client}{CLIENT_NAME}.js')};"
        if makers
        else "export {};"
    )
    lines = [imports]
    if path != DEFAULT_SOCKET_PATH:
        lines.append(f"__defaults({_js({'path': path})});")
    for name, group in groupby(module.endpoints, key=attrgetter("name")):
        lines += _export(name, list(group), with_comments=settings.is_dev)
    return "\n".join([*lines, ""])


def problem_source(problems: Iterable[LoadProblem], names: Iterable[str] = ()) -> str:
    """Return a JavaScript module that throws what is wrong with the live module.

    It exports `names`, so that the page that imports them gets this error and not one about a missing export.
    """
    message = "\n\n".join(str(problem) for problem in problems)
    lines = [f"throw new Error({_js(message)});"]
    for number, name in enumerate(dict.fromkeys(names)):
        lines.append(f"const $realtime{number} = undefined;\nexport {{ $realtime{number} as {name} }};")
    return "\n".join([*lines, ""])


#: What makes the stubs of what is no stream.
_MAKERS = {"rpc": "__rpc", "binary": "__binaryRpc", "upload": "__upload"}


class StubSource:
    """Answers `/live/<module>.js` from the current registry; generated once per registry and module."""

    def __init__(self, settings: Settings, project: Path | None) -> None:
        self._settings = settings
        self._project = project
        self._registry: Registry | None = None
        self._ready: dict[str, Representation] = {}

    def respond(self, request: Request, name: str, registry: Registry) -> Response:
        """Return the stub of the live module `name`.

        Raises:
            HTTPException: 404 outside dev, when there is no such module.
        """
        if registry is not self._registry:
            self._registry, self._ready = registry, {}
        ready = self._ready.get(name)
        if ready is None:
            module = registry.modules.get(name)
            problems = self._problems_of(name, registry)
            if module is None and not problems:
                return self._unknown(name, registry)
            if module is None:
                ready = script(problem_source(problems, self._exports_of(name)))
            else:
                # An endpoint that clashes with another one is declared but cannot be called.
                callable_ones = tuple(one for one in module.endpoints if registry.find(one.path) is one)
                ready = script(stub_source(replace(module, endpoints=callable_ones), self._settings))
            self._ready[name] = ready  # at most one per live module
        return respond(request, ready)

    def _file_of(self, name: str) -> str:
        return f"{self._settings.server.live}/{name}.py"

    def _problems_of(self, name: str, registry: Registry) -> list[LoadProblem]:
        if not self._settings.is_dev:
            return []
        return [problem for problem in registry.problems if problem.file == self._file_of(name)]

    def _exports_of(self, name: str) -> list[str]:
        if self._project is None:
            return []
        try:
            text = (self._project / self._file_of(name)).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        return [match[1] or match[2] for match in _TOP_LEVEL.finditer(text)]

    def _unknown(self, name: str, registry: Registry) -> Response:
        if not self._settings.is_dev:
            raise HTTPException(404)
        known = sorted(registry.modules)
        listed = "".join(f"\n  /live/{module}.js" for module in known[:MAX_LISTED_MODULES])
        more = f"\n  and {len(known) - MAX_LISTED_MODULES} more" if len(known) > MAX_LISTED_MODULES else ""
        there = (
            f"There are:{listed}{more}" if known else f"There are none in {self._settings.server.live}/ yet."
        )
        text = f"There is no live module {name!r}: {self._file_of(name)} does not exist.\n{there}\n"
        return PlainTextResponse(text, 404)


def _maker(endpoint: Endpoint) -> str:
    return _MAKERS.get(endpoint.kind, "__stream")


def _export(name: str, endpoints: list[Endpoint], *, with_comments: bool) -> list[str]:
    """Return the lines of one export: a stub, or an object with the stubs of its parts."""
    first = endpoints[0]
    lines = [""] if with_comments else []
    if first.member is None:
        lines += _comment(first.name, first) if with_comments else []
        value = _call(first)
    else:
        members = []
        for endpoint in endpoints:
            if with_comments:
                members += [f"  {line}" for line in _comment(f"{name}.{endpoint.member}", endpoint)]
            members.append(f"  {_property(endpoint.member or '')}: {_call(endpoint)},")
        lines += _doc([f"{name}, {first.file}:{first.line}"], first.group_doc) if with_comments else []
        value = "\n".join(["{", *members, "}"])
    if name not in RESERVED_WORDS:
        return [*lines, f"export const {name} = {value};"]
    return [*lines, f"const ${name} = {value};", f"export {{ ${name} as {name} }};"]


def _call(endpoint: Endpoint) -> str:
    call = f"{_maker(endpoint)}({_js(endpoint.path)}"
    if endpoint.kind not in _MAKERS:
        options = endpoint.options.client_options() if endpoint.options is not None else {}
        call += f", {_js(options)}, {_js(endpoint.dynamic)}"
    return f"{call})"


def _property(name: str) -> str:
    # In brackets `__proto__` is a property like any other, and a name may begin with a digit.
    return name if _IDENTIFIER.fullmatch(name) and name != "__proto__" else f"[{_js(name)}]"


def _comment(name: str, endpoint: Endpoint) -> list[str]:
    parameters = endpoint.signature.parameters
    names = [f"...{p.name}" if p.variadic else p.name if p.required else f"{p.name}?" for p in parameters]
    head = f"{name}({', '.join(names)})" if names or endpoint.kind == "rpc" else name
    return _doc([f"{head}, {endpoint.file}:{endpoint.line}"], endpoint.doc)


def _doc(head: list[str], doc: str) -> list[str]:
    body = [line.rstrip() for line in doc.strip().splitlines()]
    text = [*head, *(["", *body] if body else [])]
    return ["/**", *(f" * {line}".rstrip().replace("*/", "*\\/") for line in text), " */"]


def _js(value: object) -> str:
    """Return a value as JavaScript; JSON in ASCII is a part of it."""
    return json.dumps(value, separators=(",", ":"))
