"""`live.validated`: an explicit schema for the first argument. Spec: live-api 5.1."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from runtime.core.schema import SchemaError, check_schema, converter
from runtime.live.callables import is_async
from runtime.live.keywords import check_keywords
from runtime.live.marks import body_of, ensure_mark, finish
from runtime.live.refusals import checked_by, refusal, refuse

__all__ = ["validated"]

F = TypeVar("F", bound=Callable[..., Any])
Parse = Callable[[Any], Any]

logger = logging.getLogger("realtime.rpc")


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


def _parser_of(schema: Any) -> Parse:
    """Return the function from a value to the parsed one; it raises `VALIDATION`."""
    validate = getattr(schema, "validate", None)
    if callable(validate) and not isinstance(schema, type):
        if is_async(validate):
            logger.warning(
                "live.validated: %r validates asynchronously; every call is refused until then", schema
            )
            return refuse
        return checked_by(validate, schema)
    try:
        check_schema(schema)
    except SchemaError as error:
        logger.warning("live.validated: %s; every call is refused until then", error)
        return refuse
    convert = converter(schema)

    def parse(value: Any) -> Any:
        try:
            return convert(value)
        except (msgspec.ValidationError, ValueError) as error:
            raise refusal(error) from None

    return parse
