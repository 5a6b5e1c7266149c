"""What an app decides about frames that are no calls: checked here, carried out by `runtime.server.inbound`.

Spec: live-api 17.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.live import collector
from runtime.live.callables import call
from runtime.wire.jsoncodec import DecodeError, decode, nesting_exceeds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runtime.core.connection import Connection
    from runtime.live.collector import MessageOptions

__all__ = ["create_message", "json_message", "set_message_options", "take_message"]

FUNCTIONS = ("before_execute", "on_error", "on_json_message", "on_unhandled", "platform")
DEPTHS = ("max_envelope_depth", "max_json_depth")


def set_message_options(**options: Any) -> None:
    """Check options of `live.message_options` and declare them for the app that is being loaded.

    Raises:
        TypeError: an option that must be a function and is none, or an unknown one.
        ValueError: a depth that is no integer above 0.
    """
    for name, value in options.items():
        if name in FUNCTIONS:
            if value is not None and not callable(value):
                raise TypeError(f"{name}: must be a function, not {value!r}")
        elif name in DEPTHS:
            is_whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            if value is not None and not is_whole:
                raise ValueError(f"{name}: must be an integer >= 1, not {value!r}")
        else:
            raise TypeError(
                f"message_options has no option {name!r}; it has {', '.join((*FUNCTIONS, *DEPTHS))}"
            )
    collector.current().options = collector.MessageOptions(**options)


def create_message(
    *,
    on_json_message: Callable[[Any, dict[str, Any], Any], Any] | None = None,
    on_unhandled: Callable[[Any, str | bytes, Any], Any] | None = None,
    **options: Any,
) -> Callable[..., Awaitable[None]]:
    """Set options as `live.message_options` does, and return a hook for `hooks.py` to name `message`.

    The hook hands what is no call to `on_json_message` and `on_unhandled`; calls never come to it.

    Raises:
        TypeError, ValueError: as `live.message_options`.
    """
    set_message_options(**options)
    mine = collector.MessageOptions(on_json_message=on_json_message, on_unhandled=on_unhandled)
    for name in ("on_json_message", "on_unhandled"):
        value = getattr(mine, name)
        if value is not None and not callable(value):
            raise TypeError(f"{name}: must be a function, not {value!r}")

    async def message(ws: Connection, data: str | bytes, msg: dict[str, Any] | None = None) -> None:
        await take_message(mine, ws, data, msg, ws.platform)

    return message


async def take_message(
    options: MessageOptions, ws: Connection, data: str | bytes, msg: dict[str, Any] | None, platform: Any
) -> bool:
    """Hand a frame that is no call to the app; return whether there was somebody for it.

    Args:
        options: what the app set.
        ws: where it came from.
        data: the frame.
        msg: the JSON object in it, `None` when it holds none that is not too deep.
        platform: what the app's function gets as the platform.
    """
    if msg is not None and options.on_json_message is not None:
        await call(options.on_json_message, ws, msg, platform)
    elif options.on_unhandled is not None:
        await call(options.on_unhandled, ws, data, platform)
    else:
        return False
    return True


def json_message(
    data: str | bytes, msg: dict[str, Any] | None, limit: int, max_json_depth: int | None
) -> dict[str, Any] | None:
    """Return the JSON object of a text frame that is no deeper than it may be.

    Args:
        data: the frame.
        msg: the object if it is no deeper than `limit`, as the classifier found it.
        limit: how deep a call may be nested.
        max_json_depth: how deep other objects may be nested; `None`: as deep as a call.
    """
    if max_json_depth is None or max_json_depth == limit:
        return msg
    if max_json_depth < limit:
        return None if msg is None or nesting_exceeds(data, msg, max_json_depth) else msg
    if msg is not None or not isinstance(data, str) or not data.startswith("{"):
        return msg
    try:
        value = decode(data)
    except DecodeError:
        return None
    return None if nesting_exceeds(data, value, max_json_depth) else value
