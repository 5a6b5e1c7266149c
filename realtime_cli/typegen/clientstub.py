"""The part of ``realtime_live.pyi`` that types the client: `connect`, and every path with its arguments and result.

Spec: live-api 26.
"""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from realtime_cli.typegen.stubs import StubWriter
    from runtime.live.registry import Endpoint

__all__ = ["CALL_OPTIONS", "DIRECTIVES", "FIXED", "IMPORTS", "NAMES", "client_classes", "doc_text"]

DIRECTIVES = """\
# mypy: disable-error-code="override, assignment"
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
"""
"""Lines for type checkers: the client of an app takes less than the general one, on purpose."""

CALL_OPTIONS = {"timeout": "float | None", "idempotency_key": "str | None", "fresh": "bool"}
"""What a call can be given by name, beside its arguments: name to type."""

STREAM_OPTIONS = {
    "merge": "str",
    "key": "str",
    "prepend": "bool",
    "max": "int | None",
    "keep_order": "bool",
}

# Names that begin with `_` are never an app's.
IMPORTS = """\
import typing as _typing
from collections.abc import Callable as _Callable
from collections.abc import Generator as _Generator
from collections.abc import Iterator as _Iterator
from typing import overload as _overload

from runtime import client as _client
from runtime.client import sync as _sync
from runtime.client.feeds import Feed as _Feed

_T = _typing.TypeVar("_T")
"""

FIXED = '''\
class Stream(_client.Stream, _typing.Generic[_T]):
    """A stream whose value is a `_T`, and `None` before it came. There is none when the program runs."""

    @property
    def value(self) -> _T | None: ...
    async def __aenter__(self) -> Stream[_T]: ...
    async def ready(self, timeout: float | None = ...) -> _T: ...
    def subscribe(self, fn: _Callable[[_T | None], object]) -> _Callable[[], None]: ...
    def values(self) -> _Feed[_T]: ...
    def __aiter__(self) -> _Feed[_T]: ...
    def hydrate(self, data: _T) -> Stream[_T]: ...

class SyncStream(_sync.SyncStream, _typing.Generic[_T]):
    """A blocking stream whose value is a `_T`. There is none when the program runs."""

    def __enter__(self) -> SyncStream[_T]: ...
    @property
    def value(self) -> _T | None: ...
    def ready(self, timeout: float | None = ...) -> _T: ...
    def values(self) -> _Iterator[_T]: ...

class Upload(_client.Upload, _typing.Generic[_T]):
    """An upload that gives a `_T`. There is none when the program runs."""

    def __await__(self) -> _Generator[_typing.Any, None, _T]: ...

class Connecting:
    """What `connect` returns: `async with` it, or await it and close the client yourself."""

    def __await__(self) -> _Generator[_typing.Any, None, Client]: ...
    async def __aenter__(self) -> Client: ...
    async def __aexit__(self, *error: object) -> None: ...

def connect(url: str, **options: _typing.Any) -> Connecting:
    """`runtime.client.connect`, whose client knows the paths of this app."""

def connect_sync(url: str, **options: _typing.Any) -> SyncClient:
    """`runtime.client.sync.connect`, whose client knows the paths of this app."""
'''

NAMES = frozenset(
    {
        *("Client", "Connecting", "ErrorCode", "FrameworkErrorCode", "Stream", "Upload", "connect"),
        *("SyncClient", "SyncStream", "connect_sync"),
        *("call", "call_binary", "fire", "live", "stream", "upload"),  # a class sees its own members first
    }
)
"""Names of the module or of the clients' members, which no type of an app may have."""

NOTHING = "None"

_PAYLOAD = "data: bytes | bytearray | memoryview"
_SOURCE = "source: _typing.Any"
_TIMEOUT = {"timeout": CALL_OPTIONS["timeout"]}


def client_classes(endpoints: Iterable[Endpoint], writer: StubWriter) -> str:
    """Write the classes of both clients: for each way to use a path one overload per path.

    A path or an argument that the app does not have is an error then, which the general form would let through.
    """
    of: dict[str, list[Endpoint]] = {"rpc": [], "binary": [], "upload": [], "stream": []}
    for endpoint in endpoints:
        of[endpoint.kind if endpoint.kind in of else "stream"].append(endpoint)
    progress = {"on_progress": "_Callable[[_client.UploadProgress], object] | None"}
    asynchronous = [
        _method("call", of["rpc"], writer, "_client.PendingResult[{}]", CALL_OPTIONS),
        _method("fire", of["rpc"], writer, NOTHING, {}),
        _method("stream", of["stream"], writer, "Stream[{}]", STREAM_OPTIONS),
        _method("call_binary", of["binary"], writer, "_client.PendingResult[{}]", _TIMEOUT, _PAYLOAD),
        _method("upload", of["upload"], writer, "Upload[{}]", {}, _SOURCE),
    ]
    blocking = [
        "def __enter__(self) -> SyncClient: ...",
        _method("call", of["rpc"], writer, "{}", CALL_OPTIONS),
        _method("fire", of["rpc"], writer, NOTHING, {}),
        _method("stream", of["stream"], writer, "SyncStream[{}]", STREAM_OPTIONS),
        _method("call_binary", of["binary"], writer, "{}", _TIMEOUT, _PAYLOAD),
        _method("upload", of["upload"], writer, "{}", progress, _SOURCE),
    ]
    doc = '    """The {} of this app. There is none when the program runs: `{}` gives a `{}`."""\n'
    lines = [
        "class Client(_client.Realtime):",
        doc.format("client", "connect", "Realtime"),
        "    live: Live",
        *_methods(asynchronous),
        "",
        "class SyncClient(_sync.SyncRealtime):",
        doc.format("blocking client", "connect_sync", "SyncRealtime"),
        *_methods(blocking),
    ]
    return "\n".join([*lines, ""])


def doc_text(text: str) -> str:
    """Write a docstring."""
    escaped = text.strip().replace("\\", "\\\\").replace('"', '\\"')
    return f'"""{escaped}"""'


def _methods(methods: Iterable[str]) -> list[str]:
    return [indent(method, "    ") for method in methods if method]


def _method(
    name: str,
    endpoints: list[Endpoint],
    writer: StubWriter,
    result: str,
    options: Mapping[str, str],
    *second: str,
) -> str:
    overload = "@_overload" if len(endpoints) > 1 else ""  # one alone is an error for type checkers
    lines: list[str] = []
    for endpoint in endpoints:
        path = f"path: _typing.Literal[{endpoint.path!r}]"
        parameters = writer.parameters(endpoint, ["self", path, *second], options)
        gives = result.format(writer.result(endpoint))
        lines += [overload] if overload else []
        body = doc_text(endpoint.doc) if endpoint.doc and result != NOTHING else "..."
        lines.append(f"def {name}({parameters}) -> {gives}: {body}")
    return "\n".join(lines)
