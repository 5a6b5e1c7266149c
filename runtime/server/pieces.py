"""Bodies of answers in pieces, so that a slow client costs little memory and shows whether it takes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["PIECE", "in_pieces"]

PIECE: Final = 64 * 1024  # bytes


def in_pieces(app: ASGIApp) -> ASGIApp:
    """Return `app` with bodies of more than `PIECE` handed on in pieces, each when the server has room for it."""

    async def in_pieces(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return

        async def send_pieces(message: Message) -> None:
            body = message.get("body", b"")
            if len(body) <= PIECE or message["type"] != "http.response.body":
                await send(message)
                return
            last = (len(body) - 1) // PIECE * PIECE
            for start in range(0, last, PIECE):
                piece = body[start : start + PIECE]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({**message, "body": body[last:]})

        await app(scope, receive, send_pieces)

    return in_pieces
