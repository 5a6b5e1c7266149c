"""An annotation as a schema: what it accepts, and where a value that it does not accept is wrong.

Builtins, msgspec structs, dataclasses, TypedDicts and what `typing` makes of them are msgspec's; pydantic models are
pydantic's, which is looked at only if the app imported it itself.
Spec: design page rule 6, live-api 5.1.
"""

from __future__ import annotations

import re
import sys
import types
import typing
from typing import Any

import msgspec

if typing.TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_ISSUES", "SchemaError", "check_schema", "converter", "faults", "is_pydantic", "show"]

_PATH_PART = re.compile(r"\[(\d+)\]|\.([^.\[\]]+)|\[\.\.\.\]")
_AT = re.compile(r" - at (?:key in )?`\$([^`]*)`$")

# A frame full of wrong elements is answered with the first of them; the rest would cost memory and time only.
MAX_ISSUES = 50
# Above this many faults pydantic is not asked for the list: building it costs more than the whole frame.
MAX_DETAILED_FAULTS = 1000


class SchemaError(TypeError):
    """An annotation that says nothing about JSON."""


def check_schema(annotation: Any) -> None:
    """Look whether `annotation` can be a schema.

    Raises:
        SchemaError: it cannot; the message names the type, and what can.
    """
    if annotation is Any or is_pydantic(annotation):
        return
    try:
        custom = _custom_type(msgspec.inspect.type_info(annotation), set())
    except (TypeError, NameError, RecursionError) as error:
        raise SchemaError(f"{show(annotation)} cannot be a schema: {error}") from error
    if custom is not None:
        raise SchemaError(
            f"{show(custom)} cannot be a schema: use builtins, a msgspec.Struct, a dataclass, a TypedDict "
            "or a pydantic model"
        )


def converter(annotation: Any) -> Callable[[Any], Any]:
    """Return the function from plain JSON values to the annotated type.

    It raises `msgspec.ValidationError` or, for pydantic, a `ValueError`; `faults` reads both.
    """
    if annotation is Any:
        return lambda value: value
    if is_pydantic(annotation):
        adapter = sys.modules["pydantic"].TypeAdapter(annotation)
        return adapter.validate_python  # type: ignore[no-any-return]  # pydantic is optional and imported by the app
    return lambda value: msgspec.convert(value, annotation)


def faults(error: Exception) -> list[tuple[list[str], str]]:
    """Return place and text of each fault that a converter's error lists, or the error's own text without a place."""
    if isinstance(error, msgspec.ValidationError):
        return [_locate(str(error))]
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not isinstance(error, pydantic.ValidationError):
        return [([], str(error))]
    count = error.error_count()
    if count > MAX_DETAILED_FAULTS:
        return [([], f"{count} validation errors")]
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return [([str(part) for part in item["loc"]], item["msg"]) for item in details[:MAX_ISSUES]]


def is_pydantic(annotation: Any) -> bool:
    """Return whether a pydantic model occurs in `annotation`; looks only if the app imported pydantic itself."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None:
        return False
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return issubclass(annotation, pydantic.BaseModel)
    return any(is_pydantic(part) for part in typing.get_args(annotation))


def show(annotation: Any) -> str:
    """Return how an annotation is named in messages."""
    return getattr(annotation, "__qualname__", None) or str(annotation)


def _custom_type(info: Any, seen: set[int]) -> Any:
    """Return a class inside `info` that has no schema, or `None`."""
    if isinstance(info, msgspec.inspect.CustomType):
        return info.cls
    if isinstance(info, list | tuple):
        for part in info:
            if (found := _custom_type(part, seen)) is not None:
                return found
    elif isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field) and id(info) not in seen:
        seen.add(id(info))
        for field in info.__struct_fields__:
            if (found := _custom_type(getattr(info, field), seen)) is not None:
                return found
    return None


def _locate(text: str) -> tuple[list[str], str]:
    """Split msgspec's message into the path and the text: ``Expected `str`, got `int` - at `$.a[0]```."""
    found = _AT.search(text)
    if found is None:
        missing = re.search(r"missing required field `([^`]+)`", text)
        return ([missing[1]], "Required") if missing else ([], text)
    path = [index or name for index, name in _PATH_PART.findall(found[1]) if index or name]
    message = text[: found.start()]
    missing = re.search(r"missing required field `([^`]+)`", message)
    return ([*path, missing[1]], "Required") if missing else (path, message)
