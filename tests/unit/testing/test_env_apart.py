"""Nothing goes over from one env to the next, and a webhook goes by the clock of its env. Spec: live-api 20."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from runtime import LiveError, get_platform, live
from runtime.plugins import RateLimit
from runtime.testing import TestEnv

SECRET = "shared"
CALLS: list[int] = []

payments = live.webhook(
    "payments",
    verify=live.webhook.hmac(SECRET, timestamp_header="x-time", tolerance=300),
    transform=lambda event: ("paid", event["amount"]),
    dedupe_key=lambda event: event["id"],
    dedupe_ttl=600,
)
clicks = RateLimit(points=1, interval=60)


@live
@live.idempotent()
@live.rate_limit(2, 60)
async def buy(ctx: Any, number: int) -> int:
    CALLS.append(number)
    ctx.publish("bought", "created", {"id": number})
    return number


@live
async def click(ctx: Any) -> bool:
    return (await clicks.consume(ctx.ws)).allowed


@live.stream("bought", replay=True)
async def bought(ctx: Any) -> list[Any]:
    return []


EXPORTS = {"buy": buy, "click": click, "bought": bought, "payments": payments}


def delivery(env: TestEnv, number: int) -> dict[str, Any]:
    body = json.dumps({"id": number, "amount": 5}).encode()
    time = str(int(env.clock.now()))
    signed = hmac.new(SECRET.encode(), f"{time}.".encode() + body, hashlib.sha256).hexdigest()
    return {"body": body, "headers": {"x-signature": signed, "x-time": time}, "platform": env.platform}


@pytest.mark.parametrize("turn", [1, 2, 3])
async def test_every_env_begins_anew(turn: int) -> None:
    CALLS.clear()
    before = get_platform()
    async with TestEnv() as env:
        env.register("shop", EXPORTS)
        assert get_platform() is env.platform
        client = env.connect({"id": "a"})
        buyer = client.with_(idempotency_key="k")
        stream = client.subscribe("shop/bought")
        await stream.ready()
        assert [await buyer.call("shop/buy", 1), await buyer.call("shop/buy", 2)] == [1, 1]
        assert await client.call("shop/buy", 3) == 3
        with pytest.raises(LiveError, match="RATE_LIMITED"):
            await client.call("shop/buy", 4)
        assert [await client.call("shop/click"), await client.call("shop/click")] == [True, False]
        assert (await payments.handle(**delivery(env, 1))).body == "OK"
        assert (await payments.handle(**delivery(env, 1))).body == "Duplicate"
        assert env.published.on("payments") == [("payments", "paid", 5)]
        assert any(frame.startswith('{"topic":"bought"') and '"seq":1}' in frame for frame in client.frames)
    assert get_platform() is before


async def test_what_a_webhook_believes_and_remembers_goes_by_the_clock() -> None:
    async with TestEnv() as env:
        env.register("shop", EXPORTS)
        await env.start()
        late = delivery(env, 1)
        await env.tick(301)
        assert (await payments.handle(**late)).status == 400
        assert (await payments.handle(**delivery(env, 2))).body == "OK"
        await env.tick(599)
        assert (await payments.handle(**delivery(env, 2))).body == "Duplicate"
        await env.tick(700)
        assert (await payments.handle(**delivery(env, 2))).body == "OK"
