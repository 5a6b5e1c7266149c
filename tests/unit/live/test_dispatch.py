"""What becomes of one frame of calls: replies, refusals, counters, events. Spec: wire 4, live-api 3."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.events import CallFinished
from runtime.live.dispatch import CallSlots
from tests.server.conftest import AppFactory
from tests.server.peers import turns

APP = """
    import asyncio
    from runtime import LiveError, Page, live

    gate = live.keep("gate", asyncio.Event)

    @live
    async def echo(ctx, value): return value

    @live
    async def fails(ctx): raise LiveError("NO", "No", {"why": object()})

    @live
    async def breaks(ctx): raise RuntimeError("secret")

    @live
    async def waits(ctx): await gate.wait()

    @live.stream("pages")
    async def pages(ctx): return Page([1], True, object())

    @live.volatile
    async def silent(ctx): ...

    def on_error(path, error, ctx):
        raise RuntimeError("in on_error")

    live.message_options(on_error=on_error)
"""


async def test_data_of_an_error_that_has_no_json_form_is_left_out(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    peer = await (await make_app({"live/a.py": APP})).connect()
    reply = await peer.request("a/fails")
    assert reply == {"id": "q1", "ok": False, "code": "NO", "error": "No"}
    assert "the data of a NO error has no JSON form and was left out" in caplog.text


@pytest.mark.spec("WIRE-93")
async def test_a_stream_reply_that_cannot_be_encoded_leaves_no_subscription(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": APP})
    peer = await app.connect()
    assert (await peer.stream("a/pages"))["code"] == "INTERNAL_ERROR"
    assert app.runtime.platform.subscribers("pages") == 0
    assert app.runtime.metrics.get("stream_subscriptions") == 0


@pytest.mark.spec("LIVE-28")
async def test_an_error_handler_that_fails_changes_nothing(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    peer = await (await make_app({"live/a.py": APP})).connect()
    reply = await peer.request("a/breaks")
    assert (reply["code"], reply["error"]) == ("INTERNAL_ERROR", "Internal server error")
    assert "the on_error handler failed" in caplog.text
    assert "a/breaks failed" in caplog.text


async def test_calls_are_counted_by_path_and_code_and_strangers_under_one_name(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": APP})
    peer = await app.connect()
    await peer.request("a/echo", 1)
    await peer.request("a/fails")
    await peer.request("a/no_such_thing")
    await peer.request("not a path")
    get = app.runtime.metrics.get
    assert get("rpc_total", "a/echo", "ok") == 1
    assert get("rpc_errors_total", "a/fails", "NO") == 1
    assert get("rpc_errors_total", "__unknown__", "NOT_FOUND") == 1
    assert get("rpc_errors_total", "__invalid__", "INVALID_REQUEST") == 1


async def test_watchers_are_told_of_every_call(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": APP})
    seen: list[Any] = []
    off = app.runtime.events.subscribe(seen.append)
    peer = await app.connect({"id": 7})
    await peer.request("a/echo", 1)
    await peer.request("a/breaks")
    await peer.request("x" * 500)
    off()
    await peer.request("a/echo", 2)
    calls = [event for event in seen if isinstance(event, CallFinished)]
    assert [(call.path, call.kind, call.code, call.user) for call in calls] == [
        ("a/echo", "rpc", None, {"id": 7, "remote_address": ""}),
        ("a/breaks", "rpc", "INTERNAL_ERROR", {"id": 7, "remote_address": ""}),
        ("x" * 128, "rpc", "INVALID_REQUEST", {"id": 7, "remote_address": ""}),
    ]
    assert str(calls[1].error) == "secret"
    assert {call.connection_id for call in calls} == {peer.connection.id}


@pytest.mark.spec("WIRE-76")
async def test_calls_beyond_the_bound_are_refused_singly_and_inside_batches(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": APP}, capacity={"MAX_INFLIGHT_CALLS": 1})
    peer = await app.connect()
    peer.send({"rpc": "a/waits", "id": "slow", "args": []})
    await turns()
    peer.send({"rpc": "a/echo", "args": [1]})
    reply = await peer.request("a/echo", 1)
    assert (reply["code"], reply["error"]) == ("OVERLOADED", "Too many calls in flight")
    peer.send({"batch": [{"rpc": "a/echo", "id": "b1", "args": [1]}]})
    batch = await peer.wait(lambda frame: frame.get("event") == "__batch")
    assert batch["data"]["batch"][0]["code"] == "OVERLOADED"
    assert app.runtime.metrics.get("rpc_calls_dropped_total", "overloaded") == 1
    app.runtime.live.registry.modules["a"].module.gate.set()
    assert (await peer.reply("slow"))["ok"] is True
    assert (await peer.request("a/echo", 1))["ok"] is True


@pytest.mark.spec("LIVE-34")
async def test_the_warning_about_unanswered_calls_is_remembered_for_so_many_paths(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({"live/a.py": APP}, env="dev", capacity={"VOLATILE_WARN_CAP": 1})
    peer = await app.connect()
    with caplog.at_level(logging.WARNING, "realtime.rpc"):
        for path in ("a/echo", "a/echo", "a/silent", "a/waits", "a/echo"):
            peer.send({"rpc": path, "args": []})
            await turns()
    warned = [r.args[0] for r in caplog.records if "without waiting for an answer" in r.getMessage()]
    assert warned == ["a/echo", "a/waits", "a/echo"]
    app.runtime.live.registry.modules["a"].module.gate.set()


def test_slots_are_given_back() -> None:
    with capacity.capacity_override(MAX_INFLIGHT_CALLS=2):
        slots = CallSlots()
    assert [slots.take() for _ in range(3)] == [True, True, False]
    slots.give_back()
    assert slots.take() is True
