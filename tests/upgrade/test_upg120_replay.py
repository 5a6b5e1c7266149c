"""UPG120: wrappers, clauses, frames, and work that resume leaves behind."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import after, flagged, stays

SERVICES = (
    "from runtime.cluster import PgReplay, RedisClient\n\nreplay = PgReplay(pg)\nredis = RedisClient('a')\n"
)
HEAD = "from services import redis, replay\n\n\n"
WRAPPER = """\
def wrap(platform):
    class Wrapped:
        def __getattr__(self, name):
            return getattr(platform, name)

        async def publish(self, topic, event, data=None):
            return await replay.publish(platform, topic, event, data)

    return Wrapped()
"""
TRY = "async def f():\n    try:\n        await {call}\n    except {kinds}:\n        pass\n"


@pytest.mark.parametrize(
    "source",
    [
        HEAD + WRAPPER.replace("replay.publish(", "other.publish("),
        HEAD
        + WRAPPER.replace(
            "        def __getattr__", ("        wrapped_for_replay = True\n\n        def __getattr__")
        ),
        HEAD
        + "class Service:\n    async def publish(self, event):\n        await replay.publish(None, 'a', event)\n",
        HEAD + TRY.format(call="replay.publish(1)", kinds="Exception"),
        HEAD + TRY.format(call="replay.publish(1)", kinds="(ValueError, KeyError)"),
        HEAD + TRY.format(call="replay.publish(1)", kinds="(OSError, ReplayStorageError)"),
        HEAD + TRY.format(call="other.publish(1)", kinds="OSError"),
        HEAD + TRY.format(call="replay.publish(1)", kinds="OSError").replace("except OSError", "finally"),
        "for event, element in iterparse(x):\n    if event == 'end':\n        use(element)\n",
        "if event == 'start' and data is None:\n    use()\n",
        "if kind == 'truncated':\n    use()\n",
        "if event == 'truncated':\n    use()\nelif event == 'denied':\n    use()\n",
        "import asyncio\n\n\nasync def other():\n    asyncio.create_task(x())\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG120", source, services=SERVICES)


@pytest.mark.spec("UPGC-55")
def test_a_wrapper_says_what_it_is() -> None:
    text = after("UPG120", HEAD + WRAPPER, services=SERVICES)
    assert text == HEAD + WRAPPER.replace(
        "    class Wrapped:\n",
        "    # TODO(realtime-upgrade UPG120): 0.5 routes replay=True topics itself; drop this wrapper\n"
        "    class Wrapped:\n        wrapped_for_replay = True\n\n",
    )
    documented = WRAPPER.replace("    class Wrapped:\n", '    class Wrapped:\n        """W."""\n\n')
    assert '"""W."""\n\n        wrapped_for_replay = True\n\n' in after(
        "UPG120", HEAD + documented, services=SERVICES
    )


@pytest.mark.spec("UPGC-55")
def test_a_proxy_object_says_so_too() -> None:
    source = HEAD + (
        "def wrap(platform):\n    proxy = copy(platform)\n\n    async def publish(*args):\n"
        "        return await replay.publish(platform, *args)\n\n    proxy.publish = publish\n    return proxy\n"
    )
    assert "    proxy.publish = publish\n    proxy.wrapped_for_replay = True\n" in after(
        "UPG120", source, services=SERVICES
    )


@pytest.mark.spec("UPGC-55")
@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ("OSError", "(OSError, ReplayStorageError)"),
        ("(OSError, redis.Error)", "(OSError, redis.Error, ReplayStorageError)"),
        ("(OSError,) as err", "(OSError, ReplayStorageError,) as err"),
        ("redis.Error", "(redis.Error, ReplayStorageError)"),
    ],
)
def test_clauses_catch_storage_errors(kinds: str, expected: str) -> None:
    text = after("UPG120", HEAD + TRY.format(call="replay.publish(1)", kinds=kinds), services=SERVICES)
    assert (
        "    # TODO(realtime-upgrade UPG120): store errors now arrive as ReplayStorageError; look at err.cause\n"
        f"    except {expected}:\n"
    ) in text
    assert "from runtime.cluster import ReplayStorageError\n" in text


@pytest.mark.spec("UPGC-55")
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("if event == 'end' and data is None:\n    use()\n", [("D-35", 1)]),
        ("if frame['event'] == 'end':\n    if frame['data'] == None:\n        use()\n", [("D-35", 2)]),
        ("match event:\n    case 'end':\n        x = frame.get('data') is None\n", [("D-35", 3)]),
        ("def f(event):\n    if event == 'truncated':\n        use()\n", [("C-12", 2)]),
        ("if frame.event in ('truncated', 'end'):\n    use()\n", [("C-12", 1)]),
    ],
)
def test_frames_that_changed_are_told(source: str, expected: list[tuple[str, int]]) -> None:
    assert flagged("UPG120", source) == expected


@pytest.mark.spec("UPGC-55")
def test_work_that_resume_leaves_behind_is_told() -> None:
    hooks = (
        "import asyncio\n\n\nasync def resume(ws, ctx):\n"
        "    asyncio.create_task(x())\n    asyncio.ensure_future(x())\n"
    )
    assert flagged("UPG120", hooks, path="hooks.py") == [("C-13", 5), ("C-13", 6)]
    assert stays("UPG120", hooks, path="jobs.py")
