"""uvicorn's two HTTP protocols with our bounds, and what is assumed of them. Spec: platform 2.9 and 3.9.

`bounded_protocol` reads the code of the installed uvicorn before it builds on it. Where that works in another way than
is assumed here, uvicorn serves with its own class, without the bounds, and `realtime doctor` says so.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import re
import sys
from dataclasses import dataclass
from typing import Any, Final

from runtime.server.httpprotocol import HEAD_LIMIT, BoundedHttp, HttpBounds, Part

__all__ = ["HttpChoice", "bounded_protocol", "known_parser"]

_BLANK_LINE = re.compile(rb"\n\r?\n")


@dataclass(frozen=True, slots=True)
class HttpChoice:
    """What to hand to `uvicorn.Config(http=...)`: a class of ours or, with the `problem` that forbids it, a name."""

    protocol: type[asyncio.Protocol] | str
    name: str
    problem: str | None = None


@functools.cache
def _httptools_variant() -> type[BoundedHttp]:
    from httptools import HttpParserUpgrade
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class BoundedHttpTools(BoundedHttp, HttpToolsProtocol):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._part = Part.NONE
            self._head_bytes = 0  # as far as they are parsed
            self._raw_bytes = 0  # of a head that came in several reads
            self._upgraded_at: int | None = None  # where in what is being read an upgrade request ends

        def part(self) -> Part:
            return self._part

        def data_received(self, data: bytes) -> None:
            in_head = self._part is Part.HEAD
            super().data_received(data)
            if self._upgraded_at is not None:
                behind, self._upgraded_at = data[self._upgraded_at :], None
                _hand_on(self.transport, behind)
            if in_head and self._part is Part.HEAD:
                self._raw_bytes += len(data)
            if self._part is Part.HEAD and max(self._head_bytes, self._raw_bytes) > HEAD_LIMIT:
                self.refuse("head_size", 431)

        def handle_websocket_upgrade(self, *request: Any) -> None:
            upgrade = sys.exc_info()[1]
            super().handle_websocket_upgrade(*request)
            if isinstance(upgrade, HttpParserUpgrade):
                self._upgraded_at = upgrade.args[0]

        def waits_in_line(self) -> bool:
            return bool(self.pipeline) and self.pipeline[0][0] is self.cycle

        def refuse_in_line(self, status: int) -> None:
            cycle, _ = self.pipeline.popleft()

            async def refuse(*_: Any) -> None:
                cycle.disconnected = True  # uvicorn has nothing to add
                self._answer(status)

            self.pipeline.appendleft((cycle, refuse))

        def on_message_begin(self) -> None:
            if not self.is_over:
                self._part = Part.HEAD
                self._head_bytes = self._raw_bytes = 0
                super().on_message_begin()

        def on_url(self, url: bytes) -> None:
            if not self.is_over:
                self._head_bytes += len(url)
                super().on_url(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            if self.is_over:
                return
            self._head_bytes += len(name) + len(value) + 4
            if self._part is Part.HEAD:
                super().on_header(name, value)
            elif self._head_bytes > HEAD_LIMIT:  # of the trailer behind a body; ASGI has no place for one
                self.cut("head_size")

        def on_headers_complete(self) -> None:
            if self.is_over:
                return
            self._part = Part.BODY
            line = len(self.parser.get_method()) + len(b"  HTTP/1.1\r\n\r\n")
            if self._head_bytes + line > HEAD_LIMIT:
                self.refuse("head_size", 431)
                return
            self._head_bytes = 0
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            if not self.is_over:
                super().on_body(body)

        def on_message_complete(self) -> None:
            if not self.is_over:
                self._part = Part.NONE
                super().on_message_complete()

    return BoundedHttpTools


@functools.cache
def _h11_variant() -> type[BoundedHttp]:
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class BoundedH11(BoundedHttp, H11Protocol):
        def part(self) -> Part:
            state = self.conn.their_state
            if state is h11.SEND_BODY:
                return Part.BODY
            return Part.HEAD if state is h11.IDLE and self.conn.trailing_data[0] else Part.NONE

        def handle_events(self) -> None:
            if self.is_over:
                return
            if self.conn.their_state is h11.IDLE:
                head = self.conn.trailing_data[0]
                end = _BLANK_LINE.search(head)
                if (end.end() if end else len(head)) > HEAD_LIMIT:
                    self.refuse("head_size", 431)
                    return
            super().handle_events()

        def handle_websocket_upgrade(self, *request: Any) -> None:
            super().handle_websocket_upgrade(*request)
            _hand_on(self.transport, self.conn.trailing_data[0])

    return BoundedH11


def _hand_on(transport: asyncio.Transport, behind: bytes) -> None:
    """Give what a hasty client sent in one piece with its upgrade request to the protocol that has it now.

    uvicorn drops it, and with it the beginning of a frame whose rest is still to come.
    """
    protocol: Any = transport.get_protocol()
    if behind:
        protocol.data_received(behind)


# ---------------------------------------------------------------------- what is assumed of uvicorn

# By function of a protocol class: names that have to occur in its code, or it works in another way than we think.
_BASE_CODE: Final = {
    "__init__": {"cycle", "server_state", "ws_protocol_class"},
    "connection_made": {"transport", "flow", "client"},
    "connection_lost": {"cycle", "disconnected", "message_event"},
    "pause_writing": {"flow"},
    "resume_writing": {"flow"},
    "shutdown": {"cycle", "transport"},
    "on_response_complete": {"timeout_keep_alive_task", "flow", "resume_reading"},
    "_unset_keepalive_if_required": {"timeout_keep_alive_task", "cancel"},
    "handle_websocket_upgrade": {"ws_protocol_class", "connections", "set_protocol"},
    "send_400_response": {"transport"},
}
_HTTPTOOLS_CODE: Final = _BASE_CODE | {
    "data_received": {"parser", "feed_data", "send_400_response", "handle_websocket_upgrade"},
    "on_message_begin": {"scope", "headers", "url"},
    "on_url": {"url"},
    "on_header": {"headers"},
    "on_headers_complete": {
        "RequestResponseCycle",
        "appendleft",
        "cycle",
        "on_response_complete",
        "parser",
        "pipeline",
    },
    "on_body": {"cycle", "body", "response_complete"},
    "on_message_complete": {"cycle", "more_body"},
}
_H11_CODE: Final = _BASE_CODE | {
    "data_received": {"conn", "receive_data", "handle_events"},
    "handle_events": {
        "RequestResponseCycle",
        "cycle",
        "more_body",
        "on_response_complete",
        "send_400_response",
    },
}
_CYCLE_CODE: Final = {
    "__init__": {
        "disconnected",
        "message_event",
        "response_complete",
        "response_started",
        "waiting_for_100_continue",
    },
    "send": {"disconnected", "flow", "drain", "write_paused", "response_complete", "on_response"},
    "receive": {"disconnected", "message_event", "waiting_for_100_continue"},
}
_FLOW_CODE: Final = {
    "__init__": {"read_paused", "write_paused"},
    "resume_reading": {"read_paused"},
    "pause_reading": {"read_paused"},
}


def _broken_assumption(module: str, protocol: str, code: dict[str, set[str]]) -> str | None:
    """Return what is assumed of uvicorn and does not hold, or `None`."""
    implementation = importlib.import_module(f"uvicorn.protocols.http.{module}")
    for name, functions in (
        (protocol, code),
        ("RequestResponseCycle", _CYCLE_CODE),
        ("FlowControl", _FLOW_CODE),
    ):
        for function, expected in functions.items():
            found = getattr(getattr(implementation, name, None), function, None)
            known = getattr(getattr(found, "__code__", None), "co_names", ())
            missing = sorted(expected - set(known))
            if missing:
                return f"{name}.{function} of uvicorn does not mention {', '.join(missing)}"
    return None


_VARIANTS: Final = (
    ("httptools", "httptools_impl", "HttpToolsProtocol", _HTTPTOOLS_CODE, _httptools_variant),
    ("h11", "h11_impl", "H11Protocol", _H11_CODE, _h11_variant),
)


def known_parser(parser: str = "auto") -> tuple[str | None, str | None]:
    """Return the parser of uvicorn's on which the bounds can be put: `httptools` where it is installed, else `h11`.

    `parser` names one of them. Where uvicorn works in another way than is assumed here it is `None`, and the second
    value says what is different.
    """
    problem = None
    for name, module, protocol, code, _ in _VARIANTS:
        if parser not in ("auto", name):
            continue
        try:
            problem = _broken_assumption(module, protocol, code) or problem
            if problem is None:
                return name, None
        except ImportError as error:
            problem = problem or (str(error) if name == "h11" else None)
    return None, problem


def bounded_protocol(bounds: HttpBounds, *, parser: str = "auto") -> HttpChoice:
    """Return the protocol class with these bounds, or uvicorn's own choice where `known_parser` knows none."""
    name, problem = known_parser(parser)
    for known, _, _, _, variant in _VARIANTS:
        if known == name:
            return HttpChoice(type(f"Bounded_{name}", (variant(),), {"bounds": bounds}), known)
    return HttpChoice("auto", "uvicorn's own", problem)
