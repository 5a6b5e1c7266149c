"""`args=` of a stream: one schema for the whole list of arguments, in place of the loader's annotations.

Spec: live-api 8 and 8.3 step 1, wire 5.1 step 1.
"""

from __future__ import annotations

import logging
import types
import typing
from typing import Any

import msgspec

from runtime.core.schema import SchemaError, check_schema, converter, show
from runtime.live.callables import is_async
from runtime.live.refusals import checked_by, refusal, refuse

if typing.TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ArgsSchema"]

logger = logging.getLogger("realtime.stream")

FORMS = "a tuple or list type such as tuple[str, int], or an object with validate(args)"


class ArgsSchema:
    """Turns the arguments that a client sent into those that the topic function and the loader get.

    Args:
        schema: a `tuple[...]`, `list[...]` or `NamedTuple` type; or an object whose `validate(args)` gets the list of
            arguments and returns the parsed list, or raises.

    Raises:
        ValueError: it is neither, or it validates asynchronously: arguments are checked before anything may wait.
    """

    __slots__ = ("_parse", "schema")

    def __init__(self, schema: Any) -> None:
        #: As it was given.
        self.schema = schema
        self._parse = _parser(schema)

    def decode(self, args: list[Any]) -> list[Any]:
        """Return the parsed arguments.

        Raises:
            LiveError: `VALIDATION`, with the place of every fault; the first part is the position of the argument.
        """
        parsed = self._parse(args)
        if not isinstance(parsed, list | tuple):
            logger.warning(
                "args: %r must return the list of arguments, not %s; the call is refused",
                self.schema,
                type(parsed).__name__,
            )
            refuse(args)
        return list(parsed)


def _parser(schema: Any) -> Callable[[list[Any]], Any]:
    validate = getattr(schema, "validate", None)
    if callable(validate) and not isinstance(schema, type):
        if is_async(validate):
            raise ValueError(f"args: {schema!r} validates asynchronously; use a plain validate(args)")
        return checked_by(validate, schema)
    if not _is_sequence_type(schema):
        raise ValueError(f"args: must be {FORMS}, not {show(schema) if schema is not Any else 'Any'}")
    try:
        check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"args: {error}") from error
    convert = converter(schema)

    def parse(args: list[Any]) -> Any:
        try:
            return convert(args)
        except (msgspec.ValidationError, ValueError) as error:
            raise refusal(error) from None

    return parse


def _is_sequence_type(schema: Any) -> bool:
    origin = typing.get_origin(schema)
    if origin is typing.Annotated:
        return _is_sequence_type(typing.get_args(schema)[0])
    plain = schema if origin is None else origin
    return (
        isinstance(plain, type)
        and not isinstance(plain, types.GenericAlias)
        and issubclass(plain, tuple | list)
    )
