"""UPG105: what sets the process up moves to init, with its comments and in its order."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import after, flagged, stays, upgrade

HEAD = "from runtime import activate_derived, live, set_cron_platform\nfrom services import bus\n\n\n"
SERVICES = "from runtime.cluster import PubSubBus\n\nbus = PubSubBus(1)\n"


def moved(body: str) -> str:
    return after("UPG105", HEAD + body, path="hooks.py", services=SERVICES)


@pytest.mark.parametrize(
    "source",
    [
        "def open(ws, ctx):\n    ws.greet()\n",
        "from other import set_cron_platform\n\n\ndef open(ws, ctx):\n    set_cron_platform(ctx.platform)\n",
        "from runtime import set_cron_platform\n\n\ndef init(ctx):\n    set_cron_platform(ctx.platform)\n",
        "from runtime import set_cron_platform\n\n\ndef opened(ws, ctx):\n    set_cron_platform(ctx.platform)\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG105", source, path="hooks.py")


@pytest.mark.spec("UPGC-38")
def test_the_four_calls_move_in_order() -> None:
    body = (
        "# the hook\n"
        "async def open(ws, ctx):\n"
        "    # one\n"
        "    set_cron_platform(ctx.platform)  # beside\n"
        "    greet(ws)\n"
        "    activate_derived(ctx.platform)\n"
        "    live.configure_push(remote_registry=1)\n"
        "    await bus.activate(ctx.platform)\n"
    )
    assert moved(body) == HEAD + (
        "async def init(ctx):\n"
        "    # one\n"
        "    set_cron_platform(ctx.platform)  # beside\n"
        "    activate_derived(ctx.platform)\n"
        "    live.configure_push(remote_registry=1)\n"
        "    await bus.activate(ctx.platform)\n"
        "\n\n"
        "# the hook\n"
        "async def open(ws, ctx):\n"
        "    greet(ws)\n"
    )


@pytest.mark.spec("UPGC-39")
def test_an_init_that_is_there_gets_them_and_is_async_only_if_it_has_to() -> None:
    sync = "def init(ctx):\n    first()\n\n\ndef open(ws, c):\n    set_cron_platform(c.platform)\n    x()\n"
    assert moved(sync) == HEAD + (
        "def init(ctx):\n    first()\n    set_cron_platform(ctx.platform)\n\n\ndef open(ws, c):\n    x()\n"
    )
    awaited = (
        "def init(platform):\n    pass\n\n\n"
        "async def open(ws, ctx):\n    await bus.activate(ctx.platform)\n    x()\n"
    )
    assert moved(awaited) == HEAD + (
        "async def init(platform):\n    await bus.activate(platform)\n\n\nasync def open(ws, ctx):\n    x()\n"
    )


@pytest.mark.spec("UPGC-38")
def test_a_hook_with_nothing_left_goes_or_passes() -> None:
    gone = moved(
        "def open(ws, ctx):\n    set_cron_platform(ctx.platform)\n\n\ndef close(ws, ctx):\n    x()\n"
    )
    assert gone == HEAD + (
        "async def init(ctx):\n    set_cron_platform(ctx.platform)\n\n\ndef close(ws, ctx):\n    x()\n"
    )
    used = moved("def open(ws, ctx):\n    set_cron_platform(ctx.platform)\n\n\nhooks = [open]\n")
    assert "def open(ws, ctx):\n    pass\n" in used


@pytest.mark.spec("UPGC-38")
def test_what_is_guarded_gets_a_todo() -> None:
    body = (
        "async def open(ws, ctx):\n    global started\n    if not started:\n        started = True\n"
        "        set_cron_platform(ctx.platform)\n"
    )
    text = moved(body)
    assert "    # TODO(realtime-upgrade UPG105): first-connection set-up; move it to init()" in text
    assert "def init" not in text


def test_a_wrap_moves_with_a_todo() -> None:
    text = moved("def open(ws, ctx):\n    set_cron_platform(wrap_with_replay(ctx.platform))\n    x()\n")
    assert text.startswith(
        HEAD
        + "async def init(ctx):\n"
        + "    # TODO(realtime-upgrade UPG105): the wrap is no longer needed for replay\n"
        + "    set_cron_platform(wrap_with_replay(ctx.platform))\n"
    )


def test_what_needs_the_connection_is_told() -> None:
    body = "def open(ws, ctx):\n    live.configure_push(identify=ws.user_data)\n    x()\n"
    assert flagged("UPG105", HEAD + body, path="hooks.py", services=SERVICES) == [("S-10", 6)]
    source = "import atexit\n\n\ndef open(ws, ctx):\n    pass\n\n\natexit.register(bus.deactivate)\n"
    assert flagged("UPG105", source, path="hooks.py") == [("S-13", 8)]


def test_with_the_bus_alone_its_hook_takes_the_place() -> None:
    done = upgrade(
        {
            "hooks.py": "from services import bus\n\n\n"
            "async def open(ws, ctx):\n    await bus.activate(ctx.platform)\n",
            "services.py": SERVICES,
        },
        only={"UPG105", "UPG116"},
    )
    assert done.files["hooks.py"] == (
        "from services import bus\n\n\nasync def init(ctx):\n    await bus.activate(ctx.platform)\n\n\n"
        "open = bus.hooks.open\n"
    )
