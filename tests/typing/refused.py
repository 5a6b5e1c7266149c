"""Uses that both type checkers must refuse: an ignore that nothing needs is an error in its turn."""

from __future__ import annotations

from runtime import Ctx, create_app, live
from runtime.client import connect


@live.stream()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # a stream needs a topic
async def without_topic(ctx: Ctx) -> list[int]:
    """Say nothing about the topic."""
    return []


@live.stream("numbers", order="up")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # no such option
async def with_unknown_option(ctx: Ctx) -> list[int]:
    """Use an option that does not exist."""
    return []


@live
async def add(ctx: Ctx, text: str) -> int:
    """Take one string."""
    return len(text)


async def wrong_uses(ctx: Ctx) -> None:
    """Call what was declared above in wrong ways."""
    await add(ctx, 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # text is a string
    await add(ctx)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # text is missing
    ctx.publish(7, "created")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a topic is a string
    create_app(lifespan="never")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # no such mode
    connect(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a URL is a string


@live.idempotent(key=lambda ctx: "k")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # key_from
@live.lock("k", max_wait="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # seconds
@live.rate_limit(5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # a window is needed
async def wrapped(ctx: Ctx, n: int) -> int:
    """Stand under wrappers with wrong options."""
    return n


async def wrong_call_of_wrapped(ctx: Ctx) -> None:
    """Call it as it was not declared, and change what is the client's."""
    await wrapped(ctx, "7")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a number
    ctx.idempotency_key = "k"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]  # read-only


@live.derived()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # sources are needed
async def of_nothing() -> int:
    """Follow nothing."""
    return 0


@live.effect("todos", debounce="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # seconds
async def late(event: str) -> None:
    """Wait for a text."""
