"""Annotations as schema: what a handler's parameters accept, and where a wrong argument is wrong.

Spec: design page rule 6, live-api 3.1 and 5.1.
"""

from __future__ import annotations

import inspect
import typing
from dataclasses import dataclass
from typing import Any

import msgspec

from runtime.core.errors import Issue, LiveError
from runtime.core.schema import MAX_ISSUES, SchemaError, check_schema, converter, faults, is_pydantic

if typing.TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Parameter", "Signature", "SignatureError", "signature_of"]

CTX_NAMES = frozenset({"ctx", "context", "_ctx"})


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
        self._checks = [(parameter, converter(parameter.annotation)) for parameter in fixed]
        self._rest = (variadic[0], converter(variadic[0].annotation)) if variadic else None
        self._relative = len(parameters) == 1 and not variadic
        self._all_any = all(parameter.annotation is Any for parameter in parameters)
        plain = not variadic and not any(is_pydantic(parameter.annotation) for parameter in fixed)
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

    def counted(self, args: list[Any]) -> list[Any]:
        """Return `args`, which something else has checked, if the function takes that many.

        Raises:
            LiveError: `VALIDATION`.
        """
        self._refuse_extra(args)
        missing = [parameter.name for parameter, _ in self._checks[len(args) : self._required]]
        if missing:
            raise LiveError.validation([Issue(path=[name], message="Required") for name in missing])
        return args

    def _refuse_extra(self, args: list[Any]) -> None:
        most = len(self._checks)
        if len(args) > most and self._rest is None:
            extra = f"takes {most} argument{'' if most == 1 else 's'}, got {len(args)}"
            raise LiveError.validation([Issue(path=[str(most)], message=f"Too many arguments: {extra}")])

    def _decode_each(self, args: list[Any]) -> list[Any]:
        checks = self._checks
        self._refuse_extra(args)
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
        except (msgspec.ValidationError, ValueError) as error:
            issues.extend(
                Issue(path=self._path(name, place), message=message) for place, message in faults(error)
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
        SignatureError: no ctx parameter, a required keyword-only parameter, an annotation without a schema, or a
            generator.
    """
    inner = inspect.unwrap(function)
    if inspect.isasyncgenfunction(inner) or inspect.isgeneratorfunction(inner):
        raise SignatureError(
            "it has a yield, so it returns no value that can be sent; return a list, or publish"
        )
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
        try:
            check_schema(annotation)
        except SchemaError as error:
            raise SignatureError(f"{parameter.name}: {error}") from error
        variadic = parameter.kind is parameter.VAR_POSITIONAL
        default = None if required else parameter.default
        parameters.append(Parameter(parameter.name, annotation, required and not variadic, default, variadic))
    return Signature(tuple(parameters), hints.get("return", Any))
