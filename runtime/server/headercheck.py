"""Headers that code of the app names: nothing in them may end the header and begin another. Spec: platform 5.13."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HeaderCheck", "check_headers", "encode_header", "encode_headers"]

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_LINE_ENDS: Final = re.compile(r"[\r\n\x00]")
_NAME_BYTES: Final = re.compile(_NAME.pattern.encode())
_LINE_END_BYTES: Final = re.compile(_LINE_ENDS.pattern.encode())


class HeaderCheck:
    """Lets no HTTP answer begin whose headers would end early or hold others; whoever made it gets a `ValueError`.

    It stands inside of what answers exceptions, so the client gets a 500, from every server.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with a `send` that looks at the headers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_checked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", ())
                if any(
                    not _NAME_BYTES.fullmatch(name) or _LINE_END_BYTES.search(value)
                    for name, value in headers
                ):
                    check_headers(headers)  # raises, and names the header
            await send(message)

        await self.app(scope, receive, send_checked)


def encode_header(name: str, value: str) -> tuple[bytes, bytes]:
    """Return a header as ASGI takes it, its name in lower case.

    Raises:
        ValueError: a name that is no HTTP token, a value that is not text of one line, or has no latin-1 form.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a header")
    if not isinstance(value, str) or _LINE_ENDS.search(value):
        raise ValueError(f"header {name!r}: a value must be text of one line, not {value!r}")
    try:
        return name.lower().encode(), value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"header {name!r}: {value!r} has characters beyond latin-1; encode them") from None


def check_headers(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Check headers that are encoded already.

    Raises:
        ValueError: see `encode_header`.
    """
    for name, value in headers:
        encode_header(name.decode("latin-1"), value.decode("latin-1"))


def encode_headers(headers: Mapping[str, str | Sequence[str]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield headers as ASGI takes them; a list or tuple of values repeats its header.

    Raises:
        ValueError: see `encode_header`.
    """
    for name, values in headers.items():
        repeated: Any = values if isinstance(values, list | tuple) else [values]
        for value in repeated:
            yield encode_header(name, value)
