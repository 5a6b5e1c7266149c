"""What an app gets of frames that are no calls, and what it decides before a call. Spec: live-api 17.4."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from runtime import create_message, live
from runtime.core.settings import SecuritySettings
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns

LIVE = """
    # realtime-allow-public
    from runtime import LiveError, live

    @live
    async def echo(ctx, *args):
        return list(args)

    @live.stream("things")
    async def things(ctx):
        return [1]
"""
HOOKS = """
    from runtime import LiveError, create_message, live

    seen = []

    async def json_message(ws, msg, platform):
        seen.append(("json", msg, platform is ws.platform))

    def unhandled(ws, data, platform):
        seen.append(("unhandled", data, platform is ws.platform))
"""
OPTIONS = HOOKS + "\n    live.message_options(on_json_message=json_message, on_unhandled=unhandled)\n"
CREATED = HOOKS + "\n    message = create_message(on_json_message=json_message, on_unhandled=unhandled)\n"

OBJECT = {"hello": [1]}
# What falls to `on_unhandled`: binary, no JSON, no object, a call whose id cannot be told from one.
OTHERS: tuple[str | bytes, ...] = (b"\x05\x00", "plain text", "[1,2]", '"text"', "{broken", '"rpc"')


def seen_of(app: App) -> list[Any]:
    """What the functions of `hooks.py` noted."""
    module = app.runtime.hooks._module
    assert module is not None
    noted: list[Any] = sys.modules[module].seen
    return noted


async def settle(peer: Peer) -> None:
    await peer.request("m/echo")
    await turns()


@pytest.mark.spec("LIVE-160")
@pytest.mark.parametrize("hooks", [OPTIONS, CREATED], ids=["options", "hook"])
async def test_objects_go_to_one_function_and_all_else_that_is_not_ours_to_the_other(
    make_app: AppFactory, hooks: str
) -> None:
    app = await make_app({"hooks.py": hooks, "live/m.py": LIVE})
    peer = await app.connect("ann")
    found = seen_of(app)
    peer.send(OBJECT)
    await settle(peer)
    assert found == [("json", OBJECT, True)]
    found.clear()
    for other in OTHERS:
        peer.send(other)
        await settle(peer)
    assert found == [("unhandled", other, True) for other in OTHERS]
    found.clear()
    # Calls, control frames and what was meant as one of ours never come here.
    mine: tuple[dict[str, Any], ...] = (
        {"rpc": "m/echo", "id": "x"},
        {"type": "hello", "caps": []},
        {"batch": []},
        {"rpc": "m/echo", "id": 'a"b'},
    )
    for frame in mine:
        peer.send(frame)
    await settle(peer)
    assert found == []
    assert app.runtime.metrics.get("ws_frames_unhandled_total") == 0


@pytest.mark.spec("LIVE-160")
async def test_without_a_function_for_objects_they_go_to_the_other(make_app: AppFactory) -> None:
    app = await make_app(
        {"hooks.py": HOOKS + "\n    live.message_options(on_unhandled=unhandled)\n", "live/m.py": LIVE}
    )
    peer = await app.connect("ann")
    peer.send(OBJECT)
    await settle(peer)
    assert seen_of(app) == [("unhandled", json.dumps(OBJECT), True)]


@pytest.mark.spec("LIVE-160")
async def test_the_options_come_before_the_message_hook_and_what_nobody_takes_is_counted(
    make_app: AppFactory,
) -> None:
    hook = "\n    live.message_options(on_json_message=json_message)\n"
    app = await make_app(
        {
            "hooks.py": HOOKS + hook + "\n    def message(data, msg):\n        seen.append(('hook', msg))\n",
            "live/m.py": LIVE,
        }
    )
    peer = await app.connect("ann")
    peer.send(OBJECT)
    await settle(peer)
    peer.send("text")
    await settle(peer)
    assert seen_of(app) == [("json", OBJECT, True), ("hook", OBJECT), ("hook", None)]

    app = await make_app({"hooks.py": HOOKS + hook, "live/m.py": LIVE})
    peer = await app.connect("ann")
    peer.send("text")
    peer.send(OBJECT)
    await settle(peer)
    assert seen_of(app) == [("json", OBJECT, True)]
    assert app.runtime.metrics.get("ws_frames_unhandled_total") == 1


@pytest.mark.spec("LIVE-160")
@pytest.mark.parametrize(
    ("options", "deepest"),
    [("", 64), (", max_json_depth=3", 3), (", max_json_depth=70", 70), (", max_envelope_depth=5", 5)],
)
async def test_what_is_too_deep_is_no_object(make_app: AppFactory, options: str, deepest: int) -> None:
    declared = f"\n    live.message_options(on_json_message=json_message, on_unhandled=unhandled{options})\n"
    app = await make_app({"hooks.py": HOOKS + declared, "live/m.py": LIVE})
    peer = await app.connect("ann")

    def nested(depth: int) -> str:
        return '{"hello":' * depth + "1" + "}" * depth

    for depth in (deepest, deepest + 1):
        peer.send(nested(depth))
        await settle(peer)
    assert [kind for kind, *_ in seen_of(app)] == ["json", "unhandled"]


async def test_the_depth_of_a_call_can_be_set(make_app: AppFactory) -> None:
    declared = "\n    live.message_options(max_envelope_depth=3)\n"
    app = await make_app(
        {"hooks.py": HOOKS + declared, "live/m.py": LIVE}, security=SecuritySettings(max_envelope_depth=10)
    )
    peer = await app.connect("ann")
    assert (await peer.request("m/echo", [1]))["ok"]
    assert (await peer.request("m/echo", [[1]]))["code"] == "INVALID_REQUEST"


async def test_a_function_that_fails_harms_nobody(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    broken = "\n    def broken(ws, data, platform):\n        raise RuntimeError('x')\n"
    app = await make_app(
        {"hooks.py": HOOKS + broken + "    live.message_options(on_unhandled=broken)\n", "live/m.py": LIVE}
    )
    peer = await app.connect("ann")
    peer.send("text")
    await settle(peer)
    assert "on_json_message or on_unhandled failed" in caplog.text
    assert (await peer.request("m/echo", 1))["data"] == [1]


BEFORE = """
    from runtime import LiveError, live

    seen = []

    async def before(ws, path, args):
        seen.append((path, args))
        if args == ["no"]:
            raise LiveError("NOT_NOW", "later")
        if args == ["oops"]:
            raise RuntimeError("secret")

    live.message_options(before_execute=before)
"""


@pytest.mark.spec("LIVE-159")
async def test_before_execute_sees_calls_and_streams_and_may_refuse_them(make_app: AppFactory) -> None:
    app = await make_app({"hooks.py": BEFORE, "live/m.py": LIVE})
    peer = await app.connect("ann")
    assert (await peer.request("m/echo", "yes"))["data"] == ["yes"]
    assert (await peer.stream("m/things"))["data"] == [1]
    for path, stream in (("m/echo", False), ("m/things", True), ("m/things", False)):
        refused = await peer.request(path, "no", stream=stream)
        assert (refused["code"], refused["error"]) == ("NOT_NOW", "later"), path
        failed = await peer.request(path, "oops", stream=stream)
        assert (failed["code"], failed["error"]) == ("INTERNAL_ERROR", "Internal server error"), path
    assert (await peer.request("m/echo"))["ok"]
    assert [args for path, args in seen_of(app) if path == "m/echo"] == [["yes"], ["no"], ["oops"], []]


async def test_options_of_several_modules_join_and_the_hooks_file_comes_first(make_app: AppFactory) -> None:
    one = "\n    live.message_options(on_error=print, max_json_depth=7)\n"
    files = {
        "hooks.py": BEFORE,
        "live/m.py": LIVE + one,
        "live/n.py": LIVE.replace("things", "other") + one.replace("7", "8"),
    }
    options = (await make_app(files)).runtime.live.registry.options
    assert options.before_execute is not None
    assert (options.on_error, options.max_json_depth) == (print, 7)


def test_options_that_cannot_be_are_refused() -> None:
    bad: Any = "x"
    for name in ("before_execute", "on_error", "on_json_message", "on_unhandled", "platform"):
        with pytest.raises(TypeError, match=name):
            live.message_options(**{name: bad})
        with pytest.raises(TypeError, match=name):
            create_message(**{name: bad})
    for name in ("max_envelope_depth", "max_json_depth"):
        wrongs: tuple[Any, ...] = (0, -1, True, 1.5, "3")
        for wrong in wrongs:
            with pytest.raises(ValueError, match=name):
                live.message_options(**{name: wrong})
    with pytest.raises(TypeError, match="no option 'other'"):
        create_message(other=1)
