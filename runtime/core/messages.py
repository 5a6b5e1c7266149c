"""Several publishes given as one list: what a message looks like, and how the list is read. Spec: platform 2.5."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from runtime.core.publisher import Event

__all__ = ["BatchMessage", "Messages", "collapsed", "read"]


class BatchMessage(TypedDict, total=False):
    """One publish of a batch; `topic` and `event` are required. `relay`, `seq` and `volatile` as in `publish`."""

    topic: str
    event: str
    data: Any
    coalesce_key: str
    relay: bool
    seq: bool | int
    volatile: bool


Messages = list[BatchMessage] | tuple[BatchMessage, ...]


def read(
    messages: list[tuple[int, BatchMessage]], make: Callable[[str, str, Any, bool | int, bool], Event]
) -> list[Event]:
    """Return the events of numbered messages, each made by `make(topic, event, data, seq, relay)`.

    Raises:
        ValueError, TypeError: with the number of the bad message.
    """
    made: list[Event] = []
    for index, message in messages:
        if not isinstance(message, Mapping):
            raise TypeError(f"message {index}: a mapping with topic and event is needed, not {message!r}")
        for name in ("topic", "event"):
            if name not in message:
                raise ValueError(f"message {index}: {name!r} is missing")
        seq = False if message.get("volatile") else message.get("seq", True)
        try:
            relay = bool(message.get("relay", True))
            made.append(make(message["topic"], message["event"], message.get("data"), seq, relay))
        except (ValueError, TypeError) as error:
            raise type(error)(f"message {index}: {error}") from error
    return made


def collapsed(messages: Messages) -> list[tuple[int, BatchMessage]]:
    """Return the messages with their numbers; of those with an equal `coalesce_key` only the last.

    Raises:
        TypeError: a key that cannot be one, or no list.
    """
    if not isinstance(messages, list | tuple):
        raise TypeError(f"publish_batched takes a list or tuple of messages, not {type(messages).__name__}")
    last: dict[Any, int] = {}
    for index, message in enumerate(messages):
        key = message.get("coalesce_key") if isinstance(message, Mapping) else None
        try:
            last[index if key is None else (key,)] = index
        except TypeError:
            raise TypeError(f"message {index}: coalesce_key: {key!r} cannot be a key; use a string") from None
    return [(index, messages[index]) for index in sorted(last.values())]
