"""`live.validated`: an explicit schema for the first argument. Spec: live-api 5.1."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import msgspec

from runtime.core.errors import Issue, LiveError
from runtime.core.schema import SchemaError, check_schema, converter, faults
from runtime.live.keywords import check_keywords
from runtime.live.marks import body_of, ensure_mark, finish

__all__ = ["arguments_of", "validated"]

F = TypeVar("F", bound=Callable[..., Any])
Parse = Callable[[Any], Any]

logger = logging.getLogger("realtime.rpc")

REFUSED = "The schema cannot check this value"


@check_keywords("live.validated")
def validated(schema: Any) -> Callable[[F], F]:
    """Check the first argument with `schema` and hand the parsed value to the handler.

    Args:
        schema: a type that an annotation could be (builtins, a `msgspec.Struct`, a dataclass, a TypedDict, a pydantic
            model), or an object whose `validate(value)` returns the parsed value or raises. With any other, and with a
            `validate` that is asynchronous, every call is refused: nothing passes unchecked.
    """
    parse = _parser_of(schema)

    def decorate(function: F) -> F:
        ensure_mark(function, "live.validated")
        body = body_of(function)

        async def checked(ctx: Any, *args: Any) -> Any:
            return await body(ctx, parse(args[0] if args else None), *args[1:])

        return finish(checked, function)

    return decorate


def arguments_of(schema: Any) -> Callable[[list[Any]], list[Any]]:
    """Return the function from all arguments of a client to the parsed ones, for `live.stream(args=)`.

    `schema` is a type of sequences, as `tuple[str, int]`, or an object whose `validate(args)` returns a sequence.

    Raises:
        ValueError: a type that cannot be a schema.
    """
    if not callable(getattr(schema, "validate", None)) or isinstance(schema, type):
        try:
            check_schema(schema)
        except SchemaError as error:
            raise ValueError(f"args: {error}") from error
    parse = _parser_of(schema)

    def parsed(args: list[Any]) -> list[Any]:
        found = parse(args)
        if not isinstance(found, list | tuple):
            logger.warning(
                "args: %r gave %s, and a list or tuple is needed; the call is refused", schema, type(found)
            )
            _refuse(args)
        return list(found)

    return parsed


def _parser_of(schema: Any) -> Parse:
    """Return the function from a value to the parsed one; it raises `VALIDATION`."""
    validate = getattr(schema, "validate", None)
    if callable(validate) and not isinstance(schema, type):
        return _by_object(validate, schema)
    try:
        check_schema(schema)
    except SchemaError as error:
        logger.warning("live.validated: %s; every call is refused until then", error)
        return _refuse
    convert = converter(schema)

    def parse(value: Any) -> Any:
        if value.__class__ is schema and schema.__class__ is type and hasattr(schema, "__dataclass_fields__"):
            return value  # the annotation of the parameter has parsed it already
        try:
            return convert(value)
        except (msgspec.ValidationError, ValueError) as error:
            raise _refusal(error) from None

    return parse


def _by_object(validate: Parse, schema: Any) -> Parse:
    if inspect.iscoroutinefunction(validate):
        logger.warning(
            "live.validated: %r validates asynchronously; every call is refused until then", schema
        )
        return _refuse

    def parse(value: Any) -> Any:
        try:
            parsed = validate(value)
        except LiveError:
            raise
        except (ValueError, TypeError) as error:
            raise _refusal(error) from error
        except Exception as error:
            logger.warning("live.validated: %r failed", schema, exc_info=True)
            raise LiveError.validation([Issue(path=[], message=REFUSED)]) from error
        if inspect.isawaitable(parsed):
            if inspect.iscoroutine(parsed):
                parsed.close()
            _refuse(value)
        return parsed

    return parse


def _refuse(value: Any) -> NoReturn:
    raise LiveError.validation([Issue(path=[], message=REFUSED)])


def _refusal(error: Exception) -> LiveError:
    return LiveError.validation([Issue(path=place, message=text) for place, text in faults(error)])
