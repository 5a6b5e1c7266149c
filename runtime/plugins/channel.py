"""`Channel`: a topic whose events have types. Spec: platform 7.9."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from typing import TYPE_CHECKING, Any

import msgspec

from runtime.core import currentplatform
from runtime.core.errors import PlatformNotReady, RealtimeError
from runtime.core.schema import SchemaError, check_schema, converter, faults
from runtime.wire import jsoncodec, names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtime.core.connection import Connection, SendResult
    from runtime.core.platform import Platform

__all__ = ["Channel", "ValidationError"]

# Faults that one message names.
SHOWN_FAULTS = 5


class ValidationError(RealtimeError, ValueError):
    """The data of an event does not have its type; `__cause__` is what the check raised."""


class Channel:
    """Publishes the events of one topic, each with data of its own type, and refuses everything else.

    What is checked is what travels: data of a msgspec or dataclass type is looked into as its JSON is. It has no state
    and no bound; a check costs one conversion per publish, whatever the number of receivers.

    Args:
        topic: where the events go.
        events: by the name of an event what its data is: a msgspec, dataclass, TypedDict or pydantic type, or any other
            annotation; a function that returns the data to send or raises; `None` for data of any kind.

    Raises:
        ValueError: no topic, no events, or an event that cannot be one.
    """

    __slots__ = ("_checks", "topic")

    def __init__(self, topic: str, events: Mapping[str, Any]) -> None:
        problem = names.name_problem(topic)
        if problem is not None:
            raise ValueError(f"channel: the topic {problem}")
        if not events:
            raise ValueError(f'channel "{topic}": at least one event is needed')
        #: The topic that the events go to.
        self.topic = topic
        self._checks = {event: self._check_of(event, schema) for event, schema in events.items()}

    def __repr__(self) -> str:
        return f"Channel({self.topic!r}, {list(self._checks)})"

    @property
    def events(self) -> tuple[str, ...]:
        """The names of the events."""
        return tuple(self._checks)

    def publish(self, platform: Platform | None, event: str, data: Any = None) -> bool:
        """Publish an event to all subscribers; return whether there was one.

        Args:
            platform: `None` for that of the running app.
            event: one of `events`.
            data: what its type accepts.

        Raises:
            ValidationError: data that is not of the event's type.
            ValueError: an unknown event.
            TypeError, PayloadTooLarge: as `platform.publish`.
            PlatformNotReady: no platform was given and no app runs.
        """
        checked = self.validate(event, data)
        found = platform or currentplatform.get_platform()
        if found is None:
            raise PlatformNotReady(
                f'channel "{self.topic}": no app runs; give the platform, or publish later'
            )
        return found.publish(self.topic, event, checked)

    def send(self, platform: Platform | None, ws: Connection, event: str, data: Any = None) -> SendResult:
        """Send an event to one connection, subscribed or not; `platform` may be `None`.

        Raises:
            ValidationError, ValueError, TypeError, PayloadTooLarge: as `publish`.
        """
        checked = self.validate(event, data)
        return (platform or ws.platform).send(ws, self.topic, event, checked)

    def validate(self, event: str, data: Any = None) -> Any:
        """Return the data as `publish` would send it.

        Raises:
            ValidationError: data that is not of the event's type.
            ValueError: an unknown event.
        """
        try:
            check = self._checks[event]
        except (KeyError, TypeError):
            valid = ", ".join(self._checks)
            raise ValueError(
                f'channel "{self.topic}": unknown event "{event}". Valid events: {valid}'
            ) from None
        if check is None:
            return data
        try:
            return check(data)
        except Exception as error:
            raise ValidationError(
                f'channel "{self.topic}": event "{event}" validation failed: {_reason(error)}'
            ) from error

    def _check_of(self, event: str, schema: Any) -> Callable[[Any], Any] | None:
        where = f'channel "{self.topic}": the event {event!r}'
        problem = names.name_problem(event)
        if problem is not None:
            raise ValueError(f"{where} {problem}")
        if schema is None:
            return None
        if _is_annotation(schema):
            try:
                check_schema(schema)
            except SchemaError as error:
                raise ValueError(f"{where}: {error}") from error
            convert = converter(schema)
            return lambda data: convert(_plain(data))
        if not callable(schema) or inspect.iscoroutinefunction(schema):
            raise ValueError(
                f"{where} needs a type, a plain function that returns the data, or None, not {schema!r}"
            )
        return typing.cast("Callable[[Any], Any]", schema)


def _is_annotation(schema: Any) -> bool:
    return (
        isinstance(schema, type | types.UnionType | typing.NewType)
        or schema is Any
        or typing.get_origin(schema) is not None
    )


def _plain(data: Any) -> Any:
    """Return data as its JSON would be read, where its own type has not looked at its fields."""
    if isinstance(data, msgspec.Struct) or (dataclasses.is_dataclass(data) and not isinstance(data, type)):
        return jsoncodec.to_plain(data)
    return data


def _reason(error: Exception) -> str:
    found = faults(error)
    texts = [f"{'.'.join(place)}: {text}" if place else text for place, text in found[:SHOWN_FAULTS]]
    more = len(found) - SHOWN_FAULTS
    return "; ".join(texts) + (f"; and {more} more" if more > 0 else "")
