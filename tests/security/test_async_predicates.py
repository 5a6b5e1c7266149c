"""Checks that are async deny like any other, and what the switch back to the days before 0.5 lets in. Platform 5.1."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from runtime.core.settings import SecuritySettings
from runtime.server.startup import active_optouts
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer

LEGACY = {"security": SecuritySettings(async_predicates="legacy_allow")}
NOBODY: dict[str, Any] = {}
SOMEBODY = {"id": "u1"}

# Answers that are true for Python before somebody waits for them, and false or nothing afterwards.
CHECKS = """
    import asyncio
    import functools

    async def asynchronous(*args): return False
    def delegating(*args): return asyncio.sleep(0, result=False)
    partial = functools.partial(asynchronous)
    nested = functools.partial(functools.partial(delegating))
    class Callable:
        async def __call__(self, *args): return False
    calling = Callable()
    class Method:
        async def check(self, *args): return False
        @classmethod
        async def check_class(cls, *args): return None
    bound = Method().check
    of_class = Method.check_class
    def future(*args):
        made = asyncio.get_running_loop().create_future()
        made.set_result(False)
        return made
    def task(*args): return asyncio.ensure_future(asynchronous())
    class Custom:
        def __await__(self):
            yield from asyncio.sleep(0).__await__()
            return 0
        def __bool__(self): return True
    def custom(*args): return Custom()
    async def raising(*args): raise ValueError("not today")
    async def lazy(*args): yield True
    def generator(*args): yield True
    async def later_true(*args): await asyncio.sleep(0); return True
"""
NAMES = [
    "asynchronous",
    "delegating",
    "partial",
    "nested",
    "calling",
    "bound",
    "of_class",
    "future",
    "task",
    "custom",
    "raising",
    "lazy",
    "generator",
]
PENDING = tuple(name for name in NAMES if name not in ("lazy", "generator"))

STREAMS = """
    from checks import *
    from runtime import live

    @live.stream("by-access", access={name})
    async def by_access(ctx): return ["secret"]

    @live.stream("by-filter", filter={name})
    async def by_filter(ctx): return ["secret"]

    @live.gate({name})
    @live.stream("by-gate")
    async def by_gate(ctx): return ["secret"]

    @live.stream("by-any", access=live.access.any({name}, lambda ctx: False))
    async def by_any(ctx): return ["secret"]

    @live.stream("by-all", access=live.access.all(lambda ctx: True, {name}))
    async def by_all(ctx): return ["secret"]

    @live.stream("by-role", access=live.access.role({{"member": {name}}}))
    async def by_role(ctx): return ["secret"]

    @live.scoped({name})
    @live
    async def by_scope(ctx): return "secret"
"""
REFUSED = ("by_access", "by_filter", "by_any", "by_all", "by_role", "by_scope")


async def with_check(make_app: AppFactory, name: str, **settings: Any) -> App:
    files = {"checks.py": CHECKS, "live/things.py": STREAMS.format(name=name)}
    return await make_app(files, **settings)


async def ask(peer: Peer, name: str) -> Any:
    if name == "by_scope":
        return await peer.request("things/by_scope")
    return await peer.stream(f"things/{name}")


@pytest.mark.spec("PLAT-103")
@pytest.mark.parametrize("name", NAMES)
async def test_whatever_an_async_check_is_made_of_it_denies(
    make_app: AppFactory, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = await with_check(make_app, name)
    with caplog.at_level(logging.CRITICAL):
        for user in (NOBODY, {**SOMEBODY, "role": "member"}):
            peer = await app.connect(user or None)
            for endpoint in REFUSED:
                answer = await ask(peer, endpoint)
                assert answer["ok"] is False, (endpoint, answer)
                # One that raises, or gives no answer at all, is the app's mistake: still nobody is let in.
                assert answer["code"] in {"FORBIDDEN" if user else "UNAUTHENTICATED", "INTERNAL_ERROR"}
            gated = await ask(peer, "by_gate")
            assert gated.get("data") is None, gated
            assert not peer.connection.granted
            assert "secret" not in "".join(peer.frames)


@pytest.mark.spec("PLAT-103")
async def test_an_async_check_that_says_yes_later_lets_in(make_app: AppFactory) -> None:
    app = await with_check(make_app, "later_true")
    peer = await app.connect({**SOMEBODY, "role": "member"})
    for endpoint in (*REFUSED, "by_gate"):
        assert (await ask(peer, endpoint))["ok"] is True, endpoint


GUARDED = """
    from checks import {name} as check
    from runtime import guard, live

    _guard = guard(check)

    @live
    async def call(ctx): return "secret"
"""
ROOMS = """
    from checks import {name} as check
    from runtime import live

    async def load(ctx, id: str): return ["secret"]
    async def poke(ctx, id: str): return "secret"

    board = live.room(
        topic=lambda ctx, id: f"board:{{id}}", init=load, actions={{"poke": poke}}, guard=check
    )
"""


@pytest.mark.spec("PLAT-103", "PLAT-121")
@pytest.mark.parametrize("settings", [{}, LEGACY], ids=["await", "legacy_allow"])
@pytest.mark.parametrize("name", [one for one in NAMES if one not in ("of_class", "custom")])
async def test_guards_are_awaited_whatever_the_switch_says(
    make_app: AppFactory, name: str, settings: dict[str, Any]
) -> None:
    files = {
        "checks.py": CHECKS,
        "live/things.py": GUARDED.format(name=name),
        "live/rooms.py": ROOMS.format(name=name),
    }
    app = await make_app(files, **settings)
    peer = await app.connect(SOMEBODY)
    refused = await peer.request("things/call")
    assert (refused["ok"], refused["code"]) == (False, "FORBIDDEN")
    assert "today" not in str(refused)
    room = await peer.stream("rooms/board/__data", "7")
    assert (room["ok"], room["code"]) == (False, "FORBIDDEN")
    action = await peer.request("rooms/board/__action/poke", "7")
    assert (action["ok"], action["code"]) == (False, "FORBIDDEN")
    assert "secret" not in "".join(peer.frames)


HOOKS = """
    from checks import {name} as check

    def {hook}(ws, {given}):
        return check()
"""
ASYNC_HOOKS = """
    from checks import asynchronous, raising

    async def {hook}(ws, {given}):
        return {answer}
"""


def hook_files(hook: str, answer: str) -> dict[str, str]:
    given = "topic" if hook == "subscribe" else "topics"
    return {"checks.py": CHECKS, "hooks.py": ASYNC_HOOKS.format(hook=hook, given=given, answer=answer)}


async def subscribed(app: App, topic: str = "room:1") -> dict[str, Any]:
    peer = await app.connect(SOMEBODY)
    peer.send({"type": "subscribe", "topic": topic, "ref": 1})
    answer: dict[str, Any] = await peer.wait(lambda frame: frame.get("ref") == 1)
    assert (topic in peer.connection.granted) is (answer["type"] == "subscribed")
    return answer


@pytest.mark.spec("PLAT-103")
@pytest.mark.parametrize(
    ("hook", "answer", "reason"),
    [
        ("subscribe", "False", "FORBIDDEN"),
        ("subscribe", "await asynchronous()", "FORBIDDEN"),
        ("subscribe", "await raising()", "INTERNAL_ERROR"),
        ("subscribe_batch", "{topic: False for topic in topics}", "FORBIDDEN"),
        ("subscribe_batch", "await raising()", "INTERNAL_ERROR"),
        ("subscribe_batch", "True", "INTERNAL_ERROR"),
    ],
)
async def test_subscribe_hooks_are_awaited(
    make_app: AppFactory, hook: str, answer: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app(hook_files(hook, answer))
    with caplog.at_level(logging.CRITICAL):
        assert await subscribed(app) == {
            "type": "subscribe-denied",
            "topic": "room:1",
            "ref": 1,
            "reason": reason,
        }


@pytest.mark.spec("PLAT-103")
@pytest.mark.parametrize("name", ["delegating", "partial", "calling", "future", "task", "bound"])
async def test_a_plain_hook_that_returns_something_to_wait_for_is_awaited(
    make_app: AppFactory, name: str
) -> None:
    files = {"checks.py": CHECKS, "hooks.py": HOOKS.format(hook="subscribe", given="topic", name=name)}
    assert (await subscribed(await make_app(files)))["reason"] == "FORBIDDEN"


@pytest.mark.spec("PLAT-119", "PLAT-103")
@pytest.mark.parametrize("name", PENDING)
async def test_the_switch_lets_async_checks_of_streams_in_and_nothing_else(
    make_app: AppFactory, name: str
) -> None:
    app = await with_check(make_app, name, **LEGACY)
    peer = await app.connect({**SOMEBODY, "role": "member"})
    for endpoint in ("by_access", "by_filter", "by_any", "by_all", "by_role"):
        assert (await ask(peer, endpoint))["data"] == ["secret"], endpoint
    assert (await ask(peer, "by_gate"))["data"] == ["secret"]
    assert (await ask(peer, "by_scope"))["ok"] is False  # was awaited before 0.5 as well
    other = await app.connect({"id": "u2", "role": "guest"})
    assert (await ask(other, "by_role"))["code"] == "FORBIDDEN"  # our own predicates are awaited


@pytest.mark.spec("PLAT-119")
async def test_with_the_switch_plain_checks_deny_as_ever(make_app: AppFactory) -> None:
    files = {"live/things.py": STREAMS.replace("from checks import *", "").format(name="lambda ctx: False")}
    app = await make_app(files, **LEGACY)
    peer = await app.connect(SOMEBODY)
    for endpoint in REFUSED:
        assert (await ask(peer, endpoint))["code"] == "FORBIDDEN", endpoint


@pytest.mark.spec("PLAT-119", "PLAT-103")
@pytest.mark.parametrize(
    ("hook", "answer"),
    [
        ("subscribe", "False"),
        ("subscribe", "await raising()"),
        ("subscribe_batch", "{topic: False for topic in topics}"),
    ],
)
async def test_the_switch_lets_async_hooks_in(make_app: AppFactory, hook: str, answer: str) -> None:
    assert (await subscribed(await make_app(hook_files(hook, answer), **LEGACY)))["type"] == "subscribed"


@pytest.mark.spec("PLAT-119")
async def test_with_the_switch_plain_hooks_deny_as_ever(make_app: AppFactory) -> None:
    source = "def subscribe(ws, topic):\n    return topic != 'room:1'\n"
    app = await make_app({"hooks.py": source}, **LEGACY)
    assert (await subscribed(app))["reason"] == "FORBIDDEN"
    assert (await subscribed(app, "room:2"))["type"] == "subscribed"


@pytest.mark.spec("PLAT-103", "PLAT-119")
async def test_send_to_matches_nobody_with_an_async_filter_but_everybody_with_the_switch(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    async def nobody(user: Any) -> bool:
        return False

    asked: Any = nobody

    for settings, count in (({}, 0), (LEGACY, 1)):
        app = await make_app({"live/things.py": ""}, **settings)
        await app.connect(SOMEBODY)
        with caplog.at_level(logging.CRITICAL):
            assert app.runtime.platform.send_to(asked, "news", "created", 1) == count


@pytest.mark.spec("PLAT-119")
async def test_the_switch_is_an_opt_out_like_the_others(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({"live/things.py": ""}, **LEGACY)
    assert active_optouts(app.runtime.settings) == ["async_predicates"]
    assert app.runtime.metrics.get("security_optouts", "async_predicates") == 1
    assert 'security.async_predicates = "legacy_allow": a default that protects the app is off' in caplog.text
