"""Annotations as schema: what a handler's parameters accept, and where a wrong argument is wrong.

Spec: design page rule 6, live-api 3.1 and 5.1.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
import typing
from dataclasses import dataclass
from typing import Any

import msgspec

from runtime.core.errors import Issue, LiveError

if typing.TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Parameter", "Signature", "SignatureError", "signature_of"]

CTX_NAMES = frozenset({"ctx", "context", "_ctx"})
_PATH_PART = re.compile(r"\[(\d+)\]|\.([^.\[\]]+)|\[\.\.\.\]")
_AT = re.compile(r" - at (?:key in )?`\$([^`]*)`$")


# A frame full of wrong elements is answered with the first of them; the rest would cost memory and time only.
MAX_ISSUES = 50
# Above this many faults pydantic is not asked for the list: building it costs more than the whole frame.
MAX_DETAILED_FAULTS = 1000


class SignatureError(TypeError):
    """A handler's signature cannot be called from a client, or an annotation cannot be a schema."""


@dataclass(slots=True, frozen=True)
class Parameter:
    """One parameter behind `ctx`. `variadic` is `*args`."""

    name: str
    annotation: Any
    required: bool
    default: Any
    variadic: bool


class Signature:
    """The parameters of one handler and the decoder for its arguments."""

    __slots__ = ("_all_any", "_checks", "_full", "_relative", "_required", "_rest", "parameters", "returns")

    def __init__(self, parameters: tuple[Parameter, ...], returns: Any) -> None:
        self.parameters = parameters
        self.returns = returns
        fixed = [parameter for parameter in parameters if not parameter.variadic]
        variadic = [parameter for parameter in parameters if parameter.variadic]
        self._required = sum(1 for parameter in fixed if parameter.required)
        self._checks = [(parameter, _converter(parameter)) for parameter in fixed]
        self._rest = (variadic[0], _converter(variadic[0])) if variadic else None
        self._relative = len(parameters) == 1 and not variadic
        self._all_any = all(parameter.annotation is Any for parameter in parameters)
        plain = not variadic and not any(_is_pydantic(parameter.annotation) for parameter in fixed)
        # One conversion for the whole list when every argument is given; faults are located one by one below.
        self._full: Any = tuple[tuple(p.annotation for p in fixed)] if plain and fixed else None  # type: ignore[misc]  # built at run time

    def decode(self, args: list[Any]) -> list[Any]:
        """Return `args` as the annotated types.

        Raises:
            LiveError: `VALIDATION`, with the path of every field that is wrong.
        """
        given = len(args)
        if self._all_any and self._rest is None and given == len(self._checks):
            return args
        if self._full is not None and given == len(self._checks):
            try:
                return list(msgspec.convert(args, self._full))
            except msgspec.ValidationError:
                pass
        return self._decode_each(args)

    def _decode_each(self, args: list[Any]) -> list[Any]:
        checks = self._checks
        if len(args) > len(checks) and self._rest is None:
            extra = f"takes {len(checks)} argument{'' if len(checks) == 1 else 's'}, got {len(args)}"
            raise LiveError.validation(
                [Issue(path=[str(len(checks))], message=f"Too many arguments: {extra}")]
            )
        issues: list[Issue] = []
        decoded: list[Any] = []
        for index, (parameter, convert) in enumerate(checks):
            if index >= len(args):
                if parameter.required:
                    issues.append(Issue(path=[parameter.name], message="Required"))
                continue
            if args[index] is None and not parameter.required and parameter.default is None:
                decoded.append(None)
                continue
            decoded.append(self._convert(parameter.name, convert, args[index], issues))
        if self._rest is not None:
            parameter, convert = self._rest
            for index, value in enumerate(args[len(checks) :]):
                if len(issues) >= MAX_ISSUES:
                    break
                decoded.append(self._convert(f"{parameter.name}.{index}", convert, value, issues))
        if issues:
            raise LiveError.validation(issues[:MAX_ISSUES])
        return decoded

    def _convert(self, name: str, convert: Callable[[Any], Any], value: Any, issues: list[Issue]) -> Any:
        try:
            return convert(value)
        except msgspec.ValidationError as error:
            inner, message = _locate(str(error))
            issues.append(Issue(path=self._path(name, inner), message=message))
        except ValueError as error:
            issues.extend(
                Issue(path=self._path(name, place), message=message) for place, message in _faults(error)
            )
        return None

    def _path(self, name: str, inner: list[str]) -> list[str]:
        # With a single parameter the path leads from that argument, as in wire 11.4; else from its name.
        return inner if inner and self._relative else [*name.split("."), *inner]


def signature_of(function: Callable[..., Any], *, skip_ctx: bool = True) -> Signature:
    """Read the signature of a handler; its first parameter is `ctx`.

    Args:
        function: the author's function; wrappers are looked through.
        skip_ctx: `False` for functions that may lack the ctx (topic functions).

    Raises:
        SignatureError: no ctx parameter, a required keyword-only parameter, or an annotation without a schema.
    """
    inner = inspect.unwrap(function)
    try:
        hints = typing.get_type_hints(inner, include_extras=True)
    except Exception as error:
        raise SignatureError(f"the annotations cannot be resolved: {error}") from error
    given = list(inspect.signature(inner).parameters.values())
    if skip_ctx:
        if not given or given[0].kind not in (given[0].POSITIONAL_ONLY, given[0].POSITIONAL_OR_KEYWORD):
            raise SignatureError("the first parameter must be ctx")
        given = given[1:]
    elif given and given[0].name in CTX_NAMES:
        given = given[1:]
    parameters: list[Parameter] = []
    for parameter in given:
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        required = parameter.default is parameter.empty
        if parameter.kind is parameter.KEYWORD_ONLY:
            if required:
                raise SignatureError(
                    f"{parameter.name}: clients pass arguments by position; give it a default"
                )
            continue
        annotation = hints.get(parameter.name, Any)
        _require_schema(parameter.name, annotation)
        variadic = parameter.kind is parameter.VAR_POSITIONAL
        default = None if required else parameter.default
        parameters.append(Parameter(parameter.name, annotation, required and not variadic, default, variadic))
    return Signature(tuple(parameters), hints.get("return", Any))


def _require_schema(name: str, annotation: Any) -> None:
    if annotation is Any or _is_pydantic(annotation):
        return
    try:
        custom = _custom_type(msgspec.inspect.type_info(annotation), set())
    except (TypeError, NameError, RecursionError) as error:
        raise SignatureError(f"{name}: {_show(annotation)} cannot be a schema: {error}") from error
    if custom is not None:
        raise SignatureError(
            f"{name}: {_show(custom)} cannot be a schema: use builtins, a msgspec.Struct, a dataclass, a TypedDict "
            "or a pydantic model"
        )


def _faults(error: ValueError) -> list[tuple[list[str], str]]:
    """Return place and text of each fault that a pydantic error lists, or the error's own text."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not isinstance(error, pydantic.ValidationError):
        return [([], str(error))]
    count = error.error_count()
    if count > MAX_DETAILED_FAULTS:
        return [([], f"{count} validation errors")]
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return [([str(part) for part in item["loc"]], item["msg"]) for item in details[:MAX_ISSUES]]


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


def _converter(parameter: Parameter) -> Callable[[Any], Any]:
    annotation = parameter.annotation
    if annotation is Any:
        return lambda value: value
    if _is_pydantic(annotation):
        adapter = sys.modules["pydantic"].TypeAdapter(annotation)
        return adapter.validate_python  # type: ignore[no-any-return]  # pydantic is optional and imported by the app
    return lambda value: msgspec.convert(value, annotation)


def _is_pydantic(annotation: Any) -> bool:
    """Return whether a pydantic model occurs in `annotation`; looks only if the app imported pydantic itself."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None:
        return False
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return issubclass(annotation, pydantic.BaseModel)
    return any(_is_pydantic(part) for part in typing.get_args(annotation))


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


def _show(annotation: Any) -> str:
    return getattr(annotation, "__qualname__", None) or str(annotation)
