"""Errors and other typed values that cross from the server into a page, or from one server to another.

`transport.encode(error)` gives a JSON value that says of which type it is, `transport.decode(payload)` the error again.
The browser's client does the same with an `RpcError`. Spec: live-api 19.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from runtime.core.errors import Issue, LiveError
from runtime.core.rpcerror import RpcError

__all__ = ["Payload", "Transport", "transport"]

Encoder = Callable[[Any], Any]
Decoder = Callable[[Any], Any]


class Payload(TypedDict):
    """A typed value as JSON: which type, and what makes one."""

    type: str
    value: Any


class Transport:
    """Knows `LiveError`, `RpcError` and the types that an app adds: `Transport(extras={"Vector": (encode, decode)})`.

    `encode(value)` returns what makes the value again, or something false for a value that is not of its type;
    `decode(payload)` makes it. An app's entries are asked first, and one of the same name replaces ours.

    Raises:
        TypeError: an entry that is not two functions; its name is in the message.
    """

    __slots__ = ("_kinds",)

    def __init__(self, extras: Mapping[str, tuple[Encoder, Decoder]] | None = None) -> None:
        kinds: dict[str, tuple[Encoder, Decoder]] = {}
        for name, entry in (extras or {}).items():
            if not isinstance(name, str) or not name:
                raise TypeError(f"transport: a type needs a name, not {name!r}")
            if not isinstance(entry, tuple | list) or len(entry) != 2 or not all(map(callable, entry)):
                raise TypeError(f"transport: {name!r} needs two functions, (encode, decode), not {entry!r}")
            kinds[name] = (entry[0], entry[1])
        for name, built_in in _BUILT_IN.items():
            kinds.setdefault(name, built_in)
        self._kinds = kinds

    def encode(self, value: Any) -> Payload | None:
        """Return `value` as JSON with its type, `None` for a type that nobody knows."""
        for name, (encode, _) in self._kinds.items():
            encoded = encode(value)
            if encoded:
                return {"type": name, "value": encoded}
        return None

    def decode(self, payload: Mapping[str, Any]) -> Any:
        """Return the value that `encode` was given, a new object of its type.

        Raises:
            ValueError: no such payload, or a type that is not known here.
        """
        if not isinstance(payload, Mapping) or not {"type", "value"} <= set(payload):
            raise ValueError(f'transport: a payload is {{"type", "value"}}, not {payload!r}')
        kind = self._kinds.get(payload["type"]) if isinstance(payload["type"], str) else None
        if kind is None:
            raise ValueError(
                f"transport: the type {payload['type']!r} is not known; there are {', '.join(self._kinds)}"
            )
        return kind[1](payload["value"])


def _encode_live_error(value: Any) -> list[Any] | None:
    return _parts(value) if isinstance(value, LiveError) else None


def _encode_rpc_error(value: Any) -> list[Any] | None:
    if not isinstance(value, RpcError):
        return None
    return [value.code, value.message, value.issues]


def _parts(error: LiveError) -> list[Any]:
    parts = [error.code, error.message]
    return parts if error.issues is None else [*parts, error.issues]


def _decode_live_error(value: Any) -> LiveError:
    code, message, issues = _read(value)
    error = LiveError(code, message)
    error.issues = issues
    return error


def _decode_rpc_error(value: Any) -> RpcError:
    code, message, issues = _read(value)
    return RpcError(code, message, issues=issues)


def _read(value: Any) -> tuple[str, str | None, list[Issue] | None]:
    """Return code, message and issues of an encoded error.

    Raises:
        ValueError: it is none.
    """
    parts = list(value) if isinstance(value, list | tuple) else []
    code, message, issues = [*parts, None, None, None][:3]
    if not isinstance(code, str) or not (message is None or isinstance(message, str)):
        raise ValueError(f"transport: an error is [code, message, issues], not {value!r}")
    return code, message, issues if isinstance(issues, list) else None


_BUILT_IN: dict[str, tuple[Encoder, Decoder]] = {
    "LiveError": (_encode_live_error, _decode_live_error),
    "RpcError": (_encode_rpc_error, _decode_rpc_error),
}

#: Knows our own types only.
transport = Transport()
