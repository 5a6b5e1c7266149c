"""What a loader returned, as the reply with it: pages, transforms, size. Spec: live-api 8.11 and 8.12."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from runtime.core.errors import LiveError
from runtime.wire import jsoncodec
from runtime.wire.rpc import TOO_LARGE
from runtime.wire.stream import StreamReply

if TYPE_CHECKING:
    from runtime.live.options import StreamOptions

__all__ = ["REPLY_MARGIN", "Page", "data_of", "describe", "mapped", "reply_of"]

# Room for the keys of a reply around its data.
REPLY_MARGIN = 1024


@dataclass(slots=True)
class Page:
    """A loader's result with more behind it; the client comes back with `cursor`. Spec: live-api 8.11."""

    data: Any
    has_more: bool
    cursor: Any = None

    def as_mapping(self) -> dict[str, Any]:
        """Return the page in the form that a loader may return as well."""
        return {"data": self.data, "hasMore": self.has_more, "cursor": self.cursor}


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return what a loader returned with `change` applied: to each item of a list, else to the value; in a page to
    its data. `None` stays. Spec: live-api 8.12.
    """
    if value is None:
        return None
    if isinstance(value, Page):
        return Page(mapped(value.data, change), value.has_more, value.cursor)
    if _is_page(value):
        return {**value, "data": mapped(value["data"], change)}
    return [change(item) for item in value] if isinstance(value, list | tuple) else change(value)


def data_of(value: Any) -> Any:
    """Return the data of a page, or the value that is none."""
    if isinstance(value, Page):
        return value.data
    return value["data"] if _is_page(value) else value


def reply_of(value: Any, max_frame: int) -> StreamReply:
    """Return the reply with a loader's value; `max_frame`: bytes that a client accepts, 0 is any number.

    Raises:
        LiveError: `PAYLOAD_TOO_LARGE`. EncodeError: something in it has no JSON form.
    """
    data = jsoncodec.encode(data_of(value))
    if max_frame and len(data) + REPLY_MARGIN > max_frame:
        raise LiveError(*TOO_LARGE)
    reply = StreamReply(data)
    if isinstance(value, Page):
        reply.has_more, cursor = bool(value.has_more), value.cursor
    elif _is_page(value):
        reply.has_more, cursor = bool(value["hasMore"]), value.get("cursor")
    else:
        return reply
    reply.cursor = UNSET if cursor is None else cursor
    return reply


def describe(reply: StreamReply, options: StreamOptions, topic: str) -> StreamReply:
    """Return `reply` with what a client has to know of the stream. Spec: wire 5.2."""
    reply.topic = topic
    reply.merge = options.merge
    reply.key = options.wire_key
    reply.prepend = options.prepend or None
    reply.max = options.max
    reply.schema_version = options.version
    return reply


def _is_page(value: Any) -> bool:
    return isinstance(value, Mapping) and "data" in value and "hasMore" in value
