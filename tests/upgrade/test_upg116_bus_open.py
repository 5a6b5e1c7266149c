"""UPG116: the open hook of the bus, and wraps by hand."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import after, flagged, stays, upgrade

SERVICES = "from runtime.cluster import PubSubBus\n\nbus = PubSubBus(redis)\nother = PubSubBus(redis)\n"
INIT = "from services import bus\n\n\nasync def init(ctx):\n    await bus.activate(ctx.platform)\n"


@pytest.mark.parametrize(
    ("source", "services"),
    [
        (INIT + "\n\nopen = bus.hooks.open\n", SERVICES),
        (INIT + "\n\nasync def open(ws, ctx):\n    await bus.hooks.open(ws, ctx)\n", SERVICES),
        (INIT, SERVICES.replace("bus = PubSubBus(redis)", "bus = PubSubBus(redis, system_channel=None)", 1)),
        (INIT, "bus = make()\n"),
        ("from services import bus\n\n\nasync def open(ws, ctx):\n    bus.publish(1)\n", SERVICES),
    ],
)
def test_look_alikes_stay(source: str, services: str) -> None:
    assert stays("UPG116", source, path="hooks.py", services=services)


def test_another_file_is_no_hooks_file() -> None:
    assert stays("UPG116", INIT, path="jobs.py", services=SERVICES)


@pytest.mark.spec("UPGC-51")
def test_without_an_open_the_hook_of_the_bus_is_taken() -> None:
    text = after("UPG116", INIT + "\n\ndef close(ws, ctx):\n    ...\n", path="hooks.py", services=SERVICES)
    assert text == INIT + "\n\nopen = bus.hooks.open\n\n\ndef close(ws, ctx):\n    ...\n"


@pytest.mark.spec("UPGC-51")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "async def open(ws, ctx):\n    global n\n    # count\n    n += 1\n",
            "async def open(ws, ctx):\n    global n\n    await bus.hooks.open(ws, ctx)\n    # count\n    n += 1\n",
        ),
        (
            'async def open(ws, ctx):\n    """Hello."""\n    hello(ws)\n',
            'async def open(ws, ctx):\n    """Hello."""\n    await bus.hooks.open(ws, ctx)\n    hello(ws)\n',
        ),
        (
            "def open(ws, ctx):\n    # first\n    hello(ws)\n",
            "async def open(ws, ctx):\n    await bus.hooks.open(ws, ctx)\n    # first\n    hello(ws)\n",
        ),
    ],
)
def test_an_open_awaits_the_bus_first(before: str, expected: str) -> None:
    text = after("UPG116", f"{INIT}\n\n{before}", path="hooks.py", services=SERVICES)
    assert text == f"{INIT}\n\n{expected}"


@pytest.mark.spec("UPGC-51")
def test_an_open_that_is_called_gets_a_todo() -> None:
    source = INIT + "\n\ndef open(ws, ctx):\n    hello(ws)\n\n\ndef again(ws, ctx):\n    open(ws, ctx)\n"
    text = after("UPG116", source, path="hooks.py", services=SERVICES)
    assert (
        "# TODO(realtime-upgrade UPG116): open is async now: await it where it is called\nasync def open"
        in text
    )


@pytest.mark.spec("UPGC-51")
def test_several_buses_and_other_opens_are_told() -> None:
    two = INIT.replace("import bus", "import bus, other") + "    await other.activate(ctx.platform)\n"
    assert flagged("UPG116", two, path="hooks.py", services=SERVICES) == [("S-20", 5)]
    assigned = INIT + "\n\nopen = decorate(print)\n"
    assert flagged("UPG116", assigned, path="hooks.py", services=SERVICES) == [("S-20", 5)]


@pytest.mark.spec("UPGC-51")
def test_wraps_by_hand_go() -> None:
    source = (
        "from runtime import create_message\nfrom services import bus\n\n"
        "message = create_message(platform=lambda p: bus.wrap(p), before_execute=limit)\n"
    )
    done = upgrade({"hooks.py": source, "services.py": SERVICES}, only="UPG116")
    assert done.files["hooks.py"].splitlines()[2:] == [
        (
            "# TODO(realtime-upgrade UPG116): was: platform=lambda "
            "p: bus.wrap(p); set [redis] url, and the framework wraps"
        ),
        "message = create_message(before_execute=limit)",
    ]
    assert [one.row for one in done.findings] == ["P-07"]
    other = source.replace("lambda p: bus.wrap(p)", "lambda p: mine(p)")
    assert flagged("UPG116", other, path="hooks.py", services=SERVICES) == [("P-07", 4)]
    named = source.replace("lambda p: bus.wrap(p)", "wrap").replace(
        "\n\nmessage", "\n\n\ndef wrap(p):\n    'Wrap.'\n    return bus.wrap(p)\n\n\nmessage"
    )
    assert "create_message(before_execute=limit)" in after(
        "UPG116", named, path="hooks.py", services=SERVICES
    )
