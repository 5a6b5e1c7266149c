"""What a rendered page carries for its script: loaded values, and the error of a page that could not be rendered.

Each is a `<script type="application/json">`, which browsers do not run; `hydrateFromPage()` and `pageError()` of the
browser client find them. Spec: live-api 19.
"""

from __future__ import annotations

from html import escape
from typing import Any, Final

from msgspec import UNSET

from runtime.core.transport import Transport, transport
from runtime.live.pageload import Preloaded
from runtime.live.streamvalue import data_of
from runtime.wire import jsoncodec

__all__ = ["Markup", "live_data", "live_error"]

#: What could end the script, or a line of it; all of them stand only inside of strings in JSON.
_ESCAPES: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


class Markup(str):
    """Text that templates write as it is: whatever was escaped has been."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


def live_data(name: str, value: Any) -> Markup:
    """Return the markup with which a template gives a value to the page's script.

    `{{ live_data("messages", messages) }}` writes it, escaped. What `live.preload` returned becomes the first value of
    its stream when the page calls `hydrateFromPage()`; every value is in what that returns, under `name`.

    Args:
        name: how the script asks for it.
        value: what `live.load` or `live.preload` returned, or any other value with a JSON form. A page gives its data.

    Raises:
        ValueError: an empty name. TypeError, EncodeError: something in it has no JSON form.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"live_data: the name must be a string that is not empty, not {name!r}")
    stream = ""
    if isinstance(value, Preloaded):
        if value.options is not None:
            stream = f' data-stream="{escape(_json(_position(value)))}"'
        value = value.data
    else:
        value = data_of(value)
    block = f'<script type="application/json" data-live="{escape(name)}"{stream}>{_json(value)}</script>'
    return Markup(block)


def live_error(error: BaseException, using: Transport = transport) -> Markup:
    """Return the markup that gives the error of a page to its script, which gets an `RpcError` from `pageError()`.

    Args:
        error: a `LiveError` or an `RpcError`, or what `using` knows.
        using: for types of your own.

    Raises:
        TypeError: an error of another type; what is in it is not meant for clients.
    """
    payload = using.encode(error)
    if payload is None:
        raise TypeError(f"live_error: a {type(error).__name__} is not meant for clients; raise a LiveError")
    return Markup(f'<script type="application/json" data-live-error>{_json(payload)}</script>')


def _position(loaded: Preloaded) -> dict[str, Any]:
    """Return what a stream store needs to go on from the value."""
    found: dict[str, Any] = {"path": loaded.path, "options": loaded.options}
    if loaded.is_dynamic:
        found["args"] = list(loaded.args)
    known = {"seq": loaded.seq, "schemaVersion": loaded.schema_version, "cursor": loaded.cursor}
    found |= {name: value for name, value in known.items() if value is not None}
    if loaded.version is not UNSET:
        found["version"] = loaded.version
    if loaded.has_more:
        found["hasMore"] = True
    return found


def _json(value: Any) -> str:
    return jsoncodec.encode(value).decode("utf-8").translate(_ESCAPES)
