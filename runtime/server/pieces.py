"""Bodies of answers in pieces, so that a slow client costs little memory and shows whether it takes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from runtime.core.clock import Clock

__all__ = ["PIECE", "in_pieces"]

PIECE: Final = 64 * 1024  # bytes
# Messages of a body after which others get a turn: uvicorn's `send` does not wait for a client that is quick, or gone,
# and an app that waits for nothing either would keep the loop for ever.
MESSAGES_PER_TURN: Final = 16


def in_pieces(app: ASGIApp, clock: Clock) -> ASGIApp:
    """Return `app` with bodies of more than `PIECE` handed on in pieces, each when the server has room for it."""

    async def in_pieces(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        sent = 0

        async def send_body(message: Message) -> None:
            nonlocal sent
            await send(message)
            sent += 1
            if sent % MESSAGES_PER_TURN == 0:
                await clock.sleep(0)

        async def send_pieces(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
                return
            body = message.get("body", b"")
            if len(body) > PIECE:
                last = (len(body) - 1) // PIECE * PIECE
                for start in range(0, last, PIECE):
                    piece = body[start : start + PIECE]
                    await send_body({"type": "http.response.body", "body": piece, "more_body": True})
                message = {**message, "body": body[last:]}
            await send_body(message)

        await app(scope, receive, send_pieces)

    return in_pieces
