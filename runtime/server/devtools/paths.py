"""What is registered, for the page's forms: paths, their parameters and what these accept."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from runtime.core.redaction import redacted
from runtime.core.schema import is_pydantic, show

if TYPE_CHECKING:
    from collections.abc import Collection

    from runtime.live.registry import Endpoint, Registry
    from runtime.live.signature import Parameter

__all__ = ["describe_paths"]


def describe_paths(registry: Registry, keys: Collection[str]) -> list[dict[str, Any]]:
    """Return every path that clients can call, by name, with the JSON Schema of each parameter.

    The default of a parameter that has one of `keys` for a name is left out.
    """
    exposed = {module.name for module in registry.modules.values() if module.unguarded is not None}
    return [
        {**_described(endpoint, keys), "exposed": _is_open(endpoint) and endpoint.module in exposed}
        for _, endpoint in sorted(registry.endpoints.items())
    ]


def _is_open(endpoint: Endpoint) -> bool:
    return not endpoint.guarded and not endpoint.public


def _described(endpoint: Endpoint, keys: Collection[str]) -> dict[str, Any]:
    options = endpoint.options
    topic = options.topic if options is not None else None
    parameters = [_parameter(one, keys) for one in endpoint.signature.parameters]
    return {
        "path": endpoint.path,
        "kind": endpoint.kind,
        "module": endpoint.module,
        "place": f"{endpoint.file}:{endpoint.line}",
        "doc": endpoint.doc,
        "public": endpoint.public,
        "guarded": endpoint.guarded,
        "volatile": endpoint.volatile,
        "thread": endpoint.thread,
        "limited": endpoint.limited,
        "dynamic": endpoint.dynamic,
        "topic": topic if isinstance(topic, str) else None,
        "merge": options.merge if options is not None else None,
        "options": options.client_options() if options is not None else {},
        "returns": show(endpoint.signature.returns),
        "parameters": parameters,
    }


def _parameter(parameter: Parameter, keys: Collection[str]) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "type": show(parameter.annotation),
        "required": parameter.required,
        "variadic": parameter.variadic,
        "default": redacted({parameter.name: _plain(parameter.default)}, keys)[parameter.name],
        "schema": _schema(parameter.annotation),
    }


def _plain(value: Any) -> Any:
    """Return a default as JSON has it; its text where it has no such form."""
    try:
        return msgspec.to_builtins(value)
    except (TypeError, ValueError, RecursionError):
        return repr(value)[:200]


def _schema(annotation: Any) -> dict[str, Any] | None:
    """Return the JSON Schema of what an annotation accepts; `None` where it says nothing or cannot be told."""
    if annotation is Any:
        return None
    try:
        if is_pydantic(annotation):
            found: dict[str, Any] = sys.modules["pydantic"].TypeAdapter(annotation).json_schema()
            return found
        return msgspec.json.schema(annotation)
    except Exception:  # whatever an author's type raises when it is asked
        return None
