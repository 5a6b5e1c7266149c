"""UPG113: what must not change first, then awaits in async functions and flags elsewhere."""

from __future__ import annotations

import textwrap

import pytest

from tests.upgrade.projects import after, flagged, stays, upgrade

LIVE = "from runtime import live\nimport asyncio\n\n\n@live\nasync def move(ctx, topic):\n    {line}\n"
S24, S25 = "S-24", "S-25"


def moved(line: str) -> str:
    text = after("UPG113", LIVE.format(line=line))
    return textwrap.dedent(text.split("ctx, topic):\n", 1)[1]).rstrip("\n")


@pytest.mark.parametrize(
    "source",
    [
        LIVE.format(line="await ctx.platform.subscribe(ctx.ws, topic)"),
        LIVE.format(line="await asyncio.gather(*[ctx.platform.subscribe(ctx.ws, t) for t in topic])"),
        LIVE.format(line="asyncio.create_task(ctx.platform.subscribe(ctx.ws, topic))"),
        LIVE.format(line="await asyncio.wait_for(ctx.platform.check_subscribe(ctx.ws, topic), 1)"),
        LIVE.format(line="answer = ctx.platform.subscribe(ctx.ws, topic); await answer"),
        LIVE.format(line="ctx = other(); ctx.platform.subscribe(ctx.ws, topic)"),
        LIVE.format(line="topic.subscribe(1); topic.start()"),
        LIVE.format(
            line="await (ctx.platform.subscribe(ctx.ws, 'a') if topic else ctx.platform.subscribe(1, 2))"
        ),
        "from other import live\n\n\n@live\nasync def move(ctx):\n    ctx.platform.subscribe(ctx.ws, 'a')\n",
        "class Server:\n    def start(self): ...\n\n\nasync def main():\n    Server().start()\n",
        "import threading\n\n\nasync def main():\n    threading.Thread(target=print).start()\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG113", source)


@pytest.mark.spec("UPGC-48")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "denied = ctx.platform.subscribe(ctx.ws, topic)",
            "denied = await ctx.platform.subscribe(ctx.ws, topic)",
        ),
        (
            "if not ctx.platform.check_subscribe(ctx.ws, topic): return  # ok",
            "if not await ctx.platform.check_subscribe(ctx.ws, topic): return  # ok",
        ),
        (
            "x = ctx.platform.subscribe(ctx.ws, topic).upper()",
            "x = (await ctx.platform.subscribe(ctx.ws, topic)).upper()",
        ),
        (
            "x = ctx.platform.subscribe(ctx.ws, topic)[0]",
            "x = (await ctx.platform.subscribe(ctx.ws, topic))[0]",
        ),
        (
            "x = (ctx.platform.subscribe(ctx.ws, topic)).y",
            "x = (await ctx.platform.subscribe(ctx.ws, topic)).y",
        ),
        (
            "x = [ctx.platform.subscribe(ctx.ws, t) for t in topic]",
            "x = [await ctx.platform.subscribe(ctx.ws, t) for t in topic]",
        ),
        (
            "p = ctx.platform; p.subscribe(ctx.ws, topic)",
            "p = ctx.platform; await p.subscribe(ctx.ws, topic)",
        ),
        (
            "a = ctx.platform.subscribe(ctx.ws, 'a') or ctx.platform.subscribe(ctx.ws, 'b')",
            "a = await ctx.platform.subscribe(ctx.ws, 'a') or await ctx.platform.subscribe(ctx.ws, 'b')",
        ),
    ],
)
def test_calls_are_awaited_with_the_right_precedence(before: str, expected: str) -> None:
    assert moved(before) == expected


@pytest.mark.spec("UPGC-48")
@pytest.mark.parametrize(
    "line",
    [
        "f = lambda: ctx.platform.subscribe(ctx.ws, topic)",
        "x = list(ctx.platform.subscribe(ctx.ws, t) for t in topic)",
    ],
)
def test_where_await_cannot_stand_it_is_told(line: str) -> None:
    assert flagged("UPG113", LIVE.format(line=line)) == [(S24, 7)]
    assert moved(line) == line


@pytest.mark.spec("UPGC-48")
def test_sync_functions_and_platforms_by_name_are_told() -> None:
    assert flagged("UPG113", "def check(platform, ws):\n    return platform.check_subscribe(ws, 'a')\n") == [
        (S24, 2)
    ]
    assert flagged("UPG113", "async def f(platform, ws):\n    platform.subscribe(ws, 'a')\n") == [(S24, 2)]
    hook = "def subscribe(ws, topic, ctx):\n    return ctx.platform.check_subscribe(ws, topic)\n"
    assert flagged("UPG113", hook, path="hooks.py") == [(S24, 2)]
    typed = "from runtime import Platform\n\n\nasync def f(p: Platform, ws):\n    p.subscribe(ws, 'a')\n"
    assert "    await p.subscribe" in after("UPG113", typed)


@pytest.mark.spec("UPGC-48")
def test_start_of_our_server_is_awaited() -> None:
    source = (
        "from runtime import create_app\n\nserver = create_app()\n\n\n"
        "{}def main():\n    server.start('0.0.0.0', 3000)\n"
    )
    assert "    await server.start('0.0.0.0', 3000)" in after("UPG113", source.format("async "))
    assert flagged("UPG113", source.format("")) == [("S-27", 7)]


@pytest.mark.spec("UPGC-48")
def test_a_subscription_past_the_hook_goes_through_it() -> None:
    assert moved("ctx.ws.subscribe(f'{topic}:extra')  # more") == (
        "# TODO(realtime-upgrade UPG113): now goes through the subscribe hook; a non-None result is a denial\n"
        "await ctx.platform.subscribe(ctx.ws, f'{topic}:extra')  # more"
    )
    assert flagged("UPG113", LIVE.format(line="ctx.ws.subscribe(topic)").replace("async def", "def")) == [
        (S25, 7)
    ]
    assert flagged("UPG113", LIVE.format(line="ws = ctx.ws; ws.subscribe(topic)")) == [(S25, 7)]
    done = upgrade({"live/a.py": LIVE.format(line="ctx.ws.subscribe(topic)")}, only="UPG113")
    assert [
        one.status for one in upgrade({"live/a.py": done.files["live/a.py"]}, only="UPG113").findings
    ] == []
