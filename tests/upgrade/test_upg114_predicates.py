"""UPG114: async predicates are told with their users and never edited."""

from __future__ import annotations

import pytest

from realtime_cli.codemods.finding import Severity
from tests.upgrade.projects import after, flagged, stays, upgrade

HEAD = (
    "import asyncio\nfrom runtime import live\n\n\nasync def member(ctx):\n"
    "    return True\n\n\ndef plain(ctx):\n    return True\n\n\n"
)
FEED = "\nasync def feed(ctx):\n    return []\n"


@pytest.mark.parametrize(
    "source",
    [
        HEAD + "@live.stream('a', access=plain)" + FEED,
        HEAD + "@live.stream('a', access=lambda ctx: plain(ctx))" + FEED,
        HEAD + "@live.stream('a', access=live.access.role({'a': True}))" + FEED,
        HEAD + "@live.stream('a', access=unknown)" + FEED,
        HEAD + "@other.stream('a', access=member)" + FEED,
        HEAD + "live = other\n\n\n@live.stream('a', access=member)" + FEED,
        HEAD + "store.filter(filter=member, access=member)\n",
        HEAD + "any([member])\nall([member])\n",
        HEAD + "f = live.access.any(plain)\n\n\nasync def g(ctx):\n    return await f(ctx)\n",
        "async def subscribe(ws, topic, ctx):\n    return False\n",
        "def tell(platform):\n    async def mine(user): ...\n    platform.send_all(mine)\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG114", source)


@pytest.mark.spec("UPGC-49")
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("@live.stream('a', access=member)" + FEED, [("C-01", 5)]),
        ("@live.stream('a', filter=member)" + FEED, [("C-01", 5)]),
        ("@live.channel('a', access=lambda ctx: member(ctx))" + FEED, [("C-01", 13)]),
        ("@live.gate(member)\n@live.stream('a')" + FEED, [("C-02", 5)]),
        ("x = live.access.any(plain, member)\n", [("C-03", 5)]),
        ("x = live.access.all(lambda ctx: asyncio.sleep(0), plain)\n", [("C-03", 13)]),
        ("same = member\n\n\n@live.stream('a', access=same)" + FEED, [("C-01", 5)]),
        (
            "@live.stream('a', access=member)"
            + FEED
            + "\n\n@live.stream('b', access=member)\nasync def more(ctx):\n    return []\n",
            [("C-01", 5)],
        ),
    ],
)
def test_every_async_predicate_is_told_once(source: str, expected: list[tuple[str, int]]) -> None:
    assert flagged("UPG114", HEAD + source) == expected
    assert after("UPG114", HEAD + source) == HEAD + source


@pytest.mark.spec("UPGC-49")
def test_the_users_are_named_and_a_predicate_may_come_from_another_file() -> None:
    source = (
        "from runtime import live\nfrom services import member\n\n\n@live.stream('a', access=member)"
        + FEED
        + "\n\n@live.stream('b', access=member)\nasync def more(ctx):\n    return []\n"
    )
    done = upgrade(
        {"live/a.py": source, "services.py": "async def member(ctx):\n    return True\n"}, only="UPG114"
    )
    assert [(one.row, one.path) for one in done.findings] == [("C-01", "live/a.py")]
    assert "used by feed, more" in done.findings[0].message


@pytest.mark.spec("UPGC-49")
def test_send_to_with_an_async_filter_is_an_error() -> None:
    source = (
        "async def tell(platform):\n    async def mine(user):\n"
        "        return True\n\n    platform.send_to(mine, 'a', 'b')\n"
    )
    done = upgrade({"live/a.py": source}, only="UPG114")
    assert [(one.row, one.severity, one.line) for one in done.findings] == [("C-05", Severity.ERROR, 2)]


@pytest.mark.spec("UPGC-49")
def test_async_subscribe_hooks_are_told() -> None:
    hooks = (
        "async def subscribe(ws, topic, ctx):\n    return False\n\n\n"
        "def subscribe_batch(ws, topics, ctx):\n    return {}\n"
    )
    assert flagged("UPG114", hooks, path="hooks.py") == [("C-04", 1)]


@pytest.mark.spec("UPGC-49")
def test_calls_by_hand_of_composed_predicates_are_awaited() -> None:
    source = HEAD + (
        "either = live.access.any(plain)\n\n\n{}def f(ctx):\n"
        "    return await either(ctx) if ctx.user else either(ctx)\n"
    )
    assert "return await either(ctx) if ctx.user else await either(ctx)" in after(
        "UPG114", source.format("async ")
    )
    sync = HEAD + "either = live.access.any(plain)\n\n\ndef f(ctx):\n    return either(ctx)\n"
    assert flagged("UPG114", sync) == [("C-03", 17)]
