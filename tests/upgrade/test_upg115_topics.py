"""UPG115: reserved topics, and topics that the wire does not carry."""

from __future__ import annotations

import pytest

from realtime_cli.codemods.finding import Severity
from realtime_cli.codemods.project import Options
from tests.upgrade.projects import after, flagged, stays, upgrade

LIVE = "from runtime import live\n\n\n@live\nasync def move(ctx, topic):\n    {line}\n"
FEED = "from runtime import live\n\n\n{line}\nasync def feed(ctx):\n    return []\n"
CLIENT = "from runtime.client import connect\n\n\nasync def main():\n    conn = await connect('ws://a')\n    {line}\n"


@pytest.mark.parametrize(
    "source",
    [
        LIVE.format(line="ctx.publish('audit', 'x')"),
        LIVE.format(line="ctx.publish('_audit', 'x')"),
        LIVE.format(line="ctx.publish(f'{topic}__a', 'x')"),
        LIVE.format(line="ctx.platform.publish('__audit', 'x')"),
        LIVE.format(line="other.publish('__audit', 'x')"),
        LIVE.format(line="print('betå')"),
        FEED.format(line="@live.stream('a b-c:1')"),
        FEED.format(line="@live.stream(lambda ctx, b: f'b:{b}')"),
        CLIENT.format(line="conn.call('__x')"),
        "class live:\n    stream = channel = print\n\n\n@live.stream('__a')\ndef f(ctx): ...\n",
        "import redis\n\nredis.publish('__a', 'b')\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG115", source)


@pytest.mark.spec("UPGC-50")
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (LIVE.format(line="ctx.publish('__audit', 'x', 1)"), [("C-08", 6)]),
        (LIVE.format(line="ctx.publish(f'__a:{topic}', 'x')"), [("C-08", 6)]),
        (LIVE.format(line="ctx.publish(event='x', topic='__' + topic)"), [("C-08", 6)]),
        (LIVE.format(line="ctx.publish('betå', 'x')"), [("C-20", 6)]),
        (LIVE.format(line="ctx.publish('a\"b', 'x')"), [("C-20", 6)]),
        (LIVE.format(line="ctx.publish('a\\\\b', 'x')"), [("C-20", 6)]),
        (LIVE.format(line="ctx.publish(f'å{topic}', 'x')"), [("C-20", 6)]),
        (LIVE.format(line="ctx.platform.publish('a\\tb', 'x')"), [("C-20", 6)]),
        (LIVE.format(line="ctx.publish('a' * 257, 'x')"), [("C-20", 6)]),
        (FEED.format(line="@live.stream('__a')"), [("S-18", 4)]),
        (FEED.format(line="@live.channel(f'__a')"), [("S-18", 4)]),
        (FEED.format(line="@live.stream(lambda ctx, b: f'__x:{b}')"), [("S-18", 4)]),
        (FEED.format(line="@live.cron('* * * * *', '__a')"), [("S-18", 4)]),
        (FEED.format(line="async def t(ctx): ...\n\n\n@live.stream(t)"), [("S-18", 7)]),
        (FEED.format(line="@live.stream('betå')"), [("C-20", 4)]),
        (CLIENT.format(line="conn.subscribe('__signal:7')"), [("C-10", 6)]),
        (CLIENT.format(line="conn.on('__presence:a', print)"), [("C-10", 6)]),
    ],
)
def test_refused_topics_are_told(source: str, expected: list[tuple[str, int]]) -> None:
    assert flagged("UPG115", source) == expected
    assert after("UPG115", source) == source


@pytest.mark.spec("UPGC-50")
def test_a_reserved_topic_in_a_declaration_is_an_error() -> None:
    done = upgrade({"live/a.py": FEED.format(line="@live.stream('__a')")}, only="UPG115")
    assert [one.severity for one in done.findings] == [Severity.ERROR]


@pytest.mark.spec("UPGC-50")
def test_the_bus_drops_relayed_system_topics() -> None:
    source = "from runtime.cluster import PubSubBus\n\nbus = PubSubBus(redis)\nbus.publish(f'__tenant:{t}', 'x', 1)\n"
    assert flagged("UPG115", source) == [("C-14", 4)]
    fixed = upgrade({"a.py": source.replace("f'__tenant:{t}'", "'__x'")}, only="UPG115")
    assert fixed.told() == [("C-14", "", 0, "flagged")]


@pytest.mark.spec("UPGC-50")
def test_with_questions_the_platform_is_offered() -> None:
    source = LIVE.format(line="ctx.publish('__audit', 'x', 1)")
    text = after("UPG115", source, options=Options(interactive=True))
    assert "    # TODO(realtime-upgrade UPG115): publishes past the check for reserved topics\n" in text
    assert "    ctx.platform.publish('__audit', 'x', 1)\n" in text
