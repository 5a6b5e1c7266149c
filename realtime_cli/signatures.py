"""One endpoint in words, for tables and logs."""

from __future__ import annotations

import types
import typing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.live.registry import Endpoint

__all__ = ["guard_of", "signature_text"]


def signature_text(endpoint: Endpoint) -> str:
    """Give back parameters (without `ctx`) and result as Python would write them: ``(title: str) -> Task``."""
    parameters = []
    for parameter in endpoint.signature.parameters:
        text = f"{'*' if parameter.variadic else ''}{parameter.name}"
        if parameter.annotation is not Any:
            text += f": {_name(parameter.annotation)}"
        if not parameter.required and not parameter.variadic:
            text += (
                f" = {parameter.default!r}" if parameter.annotation is not Any else f"={parameter.default!r}"
            )
        parameters.append(text)
    returns = endpoint.signature.returns
    result = "" if returns is Any else f" -> {_name(returns)}"
    return f"({', '.join(parameters)}){result}"


def guard_of(endpoint: Endpoint) -> str:
    """Say who decides over calls: ``guard``, ``public`` (marked so), or ``-`` for nobody."""
    if endpoint.guarded:
        return "guard"
    return "public" if endpoint.public else "-"


def _name(annotation: Any) -> str:
    if annotation is None or annotation is type(None):
        return "None"
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _name(parts[0])
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_name(part) for part in parts)
    if origin is typing.Literal:
        return f"Literal[{', '.join(repr(part) for part in parts)}]"
    if origin is not None and parts:
        inner = ", ".join("..." if part is ... else _name(part) for part in parts)
        return f"{_name(origin)}[{inner}]"
    return str(getattr(annotation, "__name__", None) or annotation)
