"""Who may subscribe: hooks decide, failures deny, and what changed meanwhile is looked at again. Spec: wire 3.2."""

from __future__ import annotations

import asyncio
from collections import UserDict
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.errors import HookTimeout
from runtime.core.gate import Gate
from tests.unit.core.parts import Core


def as_sync(answer: Any) -> Callable[..., Any]:
    return lambda connection, wanted: answer


def as_async(answer: Any) -> Callable[..., Any]:
    async def hook(connection: Any, wanted: Any) -> Any:
        await asyncio.sleep(0)
        return answer

    return hook


def raising(connection: Any, wanted: Any) -> Any:
    raise RuntimeError("broken hook")


async def late(connection: Any, wanted: Any) -> Any:
    raise HookTimeout("hook subscribe took longer than 30 s and was ended")


ANSWERS = [
    (False, "FORBIDDEN"),
    ("UNPAID", "UNPAID"),
    ("", ""),
    (None, None),
    (True, None),
    (0, None),
    ([], None),
    ("bad\n\x00reason", "badreason"),
    ("x" * 200, "x" * 128),
]


@pytest.mark.spec("WIRE-43", "PLAT-25")
@pytest.mark.parametrize("form", [as_sync, as_async])
@pytest.mark.parametrize(("answer", "reason"), ANSWERS)
async def test_what_a_subscribe_hook_answers(form: Any, answer: Any, reason: str | None) -> None:
    core = Core()
    gate = core.gate(subscribe=form(answer))
    assert gate.is_open is False
    assert await gate.decide(core.connect(), ["a"]) == [reason]


@pytest.mark.spec("WIRE-43")
@pytest.mark.parametrize("form", [as_sync, as_async])
@pytest.mark.parametrize(("answer", "reason"), ANSWERS)
async def test_values_of_a_batch_answer_mean_the_same(form: Any, answer: Any, reason: str | None) -> None:
    core = Core()
    gate = core.gate(subscribe_batch=form({"a": answer}))
    assert await gate.decide(core.connect(), ["a", "absent"]) == [reason, None]


async def test_without_hooks_everything_is_allowed_at_once() -> None:
    core = Core()
    gate = Gate(core.metrics)
    assert gate.is_open
    assert await gate.decide(core.connect(), ["a", "b"]) == [None, None]


@pytest.mark.spec("WIRE-43", "PLAT-25")
@pytest.mark.parametrize("hook", ["subscribe", "subscribe_batch"])
@pytest.mark.parametrize(
    ("function", "says", "counted"),
    [(raising, "failed", 1), (late, "took longer than 30 s and was ended", 0)],
)
async def test_a_hook_that_fails_or_hangs_denies(
    hook: str, function: Any, says: str, counted: int, caplog: pytest.LogCaptureFixture
) -> None:
    core = Core()
    gate = core.gate(**{hook: function})
    assert await gate.decide(core.connect(), ["a"]) == ["INTERNAL_ERROR"]
    assert core.metrics.get("hook_errors_total", hook) == counted
    assert f"{says}; the subscription is denied" in caplog.text


async def test_one_topic_that_fails_denies_itself_only() -> None:
    core = Core()

    def hook(connection: Any, topic: str) -> Any:
        if topic == "bad":
            raise RuntimeError("broken hook")

    assert await core.gate(subscribe=hook).decide(core.connect(), ["a", "bad", "b"]) == [
        None,
        "INTERNAL_ERROR",
        None,
    ]


@pytest.mark.spec("WIRE-43", "PLAT-26")
@pytest.mark.parametrize("answer", [True, False, "no", ["a"], 7])
async def test_a_batch_answer_that_is_no_mapping_denies_all(answer: Any) -> None:
    core = Core()
    gate = core.gate(subscribe_batch=as_sync(answer))
    assert await gate.decide(core.connect(), ["a", "b"]) == ["INTERNAL_ERROR"] * 2
    assert core.metrics.get("hook_errors_total", "subscribe_batch") == 1


@pytest.mark.parametrize("answer", [UserDict({"a": False}), MappingProxyType({"a": False})])
async def test_any_mapping_will_do(answer: Any) -> None:
    core = Core()
    gate = core.gate(subscribe_batch=as_sync(answer))
    assert await gate.decide(core.connect(), ["a", "b"]) == ["FORBIDDEN", None]


async def test_a_mapping_that_fails_when_it_is_read_denies() -> None:
    class Broken(UserDict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            raise RuntimeError("lazy")

    core = Core()
    gate = core.gate(subscribe_batch=as_sync(Broken()))
    assert await gate.decide(core.connect(), ["a"]) == ["INTERNAL_ERROR"]


@pytest.mark.spec("WIRE-44", "PLAT-26")
async def test_the_batch_hook_is_asked_once_and_instead_of_the_single_one() -> None:
    core = Core()
    asked: list[Any] = []

    def batch(connection: Any, topics: list[str]) -> None:
        asked.append(list(topics))
        topics.clear()

    gate = core.gate(subscribe=raising, subscribe_batch=batch)
    topics = ["a", "b", "c"]
    assert await gate.decide(core.connect(), topics) == [None] * 3
    assert asked == [["a", "b", "c"]]
    assert topics == ["a", "b", "c"]
    assert await core.platform.subscribe(core.connect(), "d") is None
    assert asked[1:] == [["d"]]


@pytest.mark.spec("WIRE-45", "PLAT-27")
async def test_the_single_hook_runs_for_all_topics_at_once() -> None:
    core = Core()
    everybody = asyncio.Barrier(3)

    async def hook(connection: Any, topic: str) -> Any:
        await everybody.wait()
        return topic == "a" or f"no {topic}"

    assert await core.gate(subscribe=hook).decide(core.connect(), ["a", "b", "c"]) == [
        None,
        "no b",
        "no c",
    ]


@pytest.mark.spec("PLAT-64")
async def test_joining_asks_the_gate_once_counts_and_sends_nothing() -> None:
    core = Core()
    asked: list[str] = []
    core.gate(subscribe=lambda connection, topic: asked.append(topic))
    peer = core.connect()
    for _ in range(2):
        assert await core.membership.join(peer, "täglich") is None
    assert asked == ["täglich"]
    assert peer.subscriptions == {"täglich"}
    assert core.subscriptions.count("täglich") == 1
    assert core.texts(peer) == []


@pytest.mark.parametrize("topic", ["", 'a"b', "a\nb", "x" * 257])
async def test_joining_and_checking_refuse_names_that_cannot_be(topic: str) -> None:
    core = Core()
    core.gate(subscribe=raising)
    peer = core.connect()
    assert await core.membership.join(peer, topic) == "INVALID_TOPIC"
    assert await core.membership.check(peer, topic) == "INVALID_TOPIC"


@pytest.mark.spec("PLAT-65")
async def test_checking_changes_nothing_and_knows_no_bound() -> None:
    core = Core()
    peer = core.connect("held")
    with capacity.capacity_override(MAX_SUBSCRIPTIONS_PER_CONNECTION=1, MAX_TOPICS=1):
        assert await core.membership.check(peer, "a") is None
    core.gate(subscribe=as_async("NO"))
    assert await core.membership.check(peer, "a") == "NO"
    assert not peer.is_subscribed("a")


@pytest.mark.spec("PLAT-28")
async def test_a_connection_that_closes_while_the_hook_runs_is_not_subscribed() -> None:
    core = Core()

    async def hook(connection: Any, topic: str) -> None:
        connection.mark_closed("gone")

    core.gate(subscribe=hook)
    peer = core.connect()
    assert await core.membership.join(peer, "a") == "CONNECTION_CLOSED"
    assert core.subscriptions.count("a") == 0
    assert await core.membership.join(peer, "b") == "CONNECTION_CLOSED"


@pytest.mark.spec("WIRE-48")
async def test_the_bound_of_a_connection_is_looked_at_before_and_after_the_hook() -> None:
    core = Core()
    asked: list[str] = []

    async def hook(connection: Any, topic: str) -> None:
        asked.append(topic)
        if topic == "b":
            connection.subscribe("taken meanwhile")

    core.gate(subscribe=hook)
    peer = core.connect()
    with capacity.capacity_override(MAX_SUBSCRIPTIONS_PER_CONNECTION=2):
        assert await core.membership.join(peer, "a") is None
        assert await core.membership.join(peer, "b") == "RATE_LIMITED"
        assert await core.membership.join(peer, "c") == "RATE_LIMITED"
        assert await core.membership.join(peer, "a") is None
    assert asked == ["a", "b"]
    assert peer.subscriptions == {"a"}


async def test_the_bound_of_topics_refuses_new_ones_only() -> None:
    core = Core()
    core.connect("a")
    peer = core.connect()
    with capacity.capacity_override(MAX_TOPICS=1):
        assert await core.membership.join(peer, "a") is None
        assert await core.membership.join(peer, "b") == "RATE_LIMITED"


async def test_a_topic_that_the_server_put_the_connection_on_is_granted_beyond_the_bound() -> None:
    core = Core()
    peer = core.connect("raw")
    with capacity.capacity_override(MAX_SUBSCRIPTIONS_PER_CONNECTION=1):
        assert await core.membership.join(peer, "raw") is None
    assert peer.subscriptions == {"raw"}
    assert core.subscriptions.total == 1


async def test_a_denial_takes_a_granted_topic_away_and_leaves_a_raw_one() -> None:
    core = Core()
    peer = core.connect("raw")
    await core.membership.join(peer, "a")
    assert core.membership.grant(peer, "a", "NO") == "NO"
    assert core.membership.grant(peer, "raw", "NO") == "NO"
    assert core.membership.grant(peer, "never", "NO") == "NO"
    assert not peer.is_subscribed("a")
    assert peer.is_subscribed("raw")
