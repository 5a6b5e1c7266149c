"""Uses of what pages load, of webhooks and of errors that both type checkers must accept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, assert_type

from starlette.requests import Request
from starlette.responses import Response

from runtime import (
    LiveError,
    Preloaded,
    RpcError,
    Transport,
    get_platform,
    live,
    live_data,
    live_error,
    render,
    transport,
)
from runtime.live.webhook import Webhook, WebhookResult
from runtime.plugins import Dedup
from runtime.testing import TestEnv, drop_outbound, ipc_reorder, slow_drain, worker_flap


@live.stream(lambda room: f"chat:{room}")
async def messages(ctx: Any, room: str) -> list[dict[str, Any]]:
    """Return the messages of a room."""
    return []


async def page(request: Request) -> Response:
    """Load in every form, and render."""
    rows = await live.load("chat/messages", request.state.platform, user=None, args=["a"], fallback=None)
    assert_type(rows, Any)
    loaded = await live.preload(messages, get_platform(), args=("a",))
    assert_type(loaded, Preloaded)
    await live.load("chat/messages", on_error=lambda error: print(error.args))
    text: str = live_data("messages", loaded) + live_error(LiveError("A"))
    return await render(request, "_room.html.j2", {"rows": rows, "text": text}, status_code=201, headers={})


payments = live.webhook(
    "payments",
    verify=live.webhook.stripe(["old", b"new"], tolerance=timedelta(minutes=5)),
    transform=lambda event: {"event": event["type"], "data": event},
    path="/hooks/stripe",
    dedupe_key=lambda event: event["id"],
    dedupe_ttl=timedelta(days=2),
    dedupe=Dedup(ttl=60),
)
assert_type(payments, Webhook)


def verify(body: bytes, headers: Mapping[str, str]) -> Any:
    """Check by hand, and by what is there."""
    return live.webhook.github("secret")(body, headers) or live.webhook.hmac("s", algo="sha512")(
        body, headers
    )


async def receive(body: bytes, headers: Mapping[str, str]) -> None:
    """Handle a delivery."""
    assert_type(await payments.handle(body=body, headers=headers), WebhookResult)


class Metric:
    """One metric of a registry."""

    def inc(self, labels: Mapping[str, str] | None = None, amount: int = 1) -> None:
        """Count."""


class Registry:
    """What `live.metrics` takes."""

    def counter(self, name: str, help: str, labelnames: Sequence[str]) -> Metric:
        """Make a counter."""
        return Metric()

    gauge = histogram = counter


live.metrics(Registry())
live.metrics(None)
mine = Transport(extras={"Complex": (lambda value: [value.real, value.imag], lambda parts: complex(*parts))})
error: Any = transport.decode({"type": "RpcError", "value": ["A", "b", None]})
payload = mine.encode(RpcError("A"))
code: str = "" if payload is None else payload["type"]


def chaos(env: TestEnv) -> None:
    """Let things go wrong."""
    for scenario in (
        drop_outbound(0.5, seed=1),
        slow_drain(1),
        ipc_reorder(2.5),
        worker_flap(4000, "x"),
        None,
    ):
        env.platform.chaos(scenario)
