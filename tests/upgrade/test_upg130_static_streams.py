"""UPG130: arguments that nothing takes."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import upgrade

FEED = "from runtime import live\n\n\n@live.stream({topic})\nasync def mine(ctx, org=None):\n    return []\n"
CLIENT = (
    "from runtime.client import connect\n\n\nasync def main():\n"
    "    conn = await connect('ws://a')\n    conn.stream({})\n"
)


def told(topic: str, arguments: str, client: str = CLIENT) -> list[tuple[str, int]]:
    source = client.format(arguments)
    done = upgrade({"client/bot.py": source, "live/feed.py": FEED.format(topic=topic)}, only="UPG130")
    assert done.files["client/bot.py"] == source
    return [(one.row, one.line) for one in done.findings]


@pytest.mark.spec("UPGC-60")
@pytest.mark.parametrize("topic", ["'feed'", "lambda ctx: ctx.user['id']", "topic='feed'"])
def test_an_argument_that_nothing_takes_is_told(topic: str) -> None:
    assert told(topic, "'feed/mine', org") == [("D-28", 6)]


@pytest.mark.parametrize(
    ("topic", "arguments"),
    [
        ("'feed'", "'feed/mine'"),
        ("'feed'", "'feed/mine', *rest"),
        ("'feed'", "'feed/other', org"),
        ("'feed'", "'none/mine', org"),
        ("'feed'", "path, org"),
        ("lambda ctx, org: org", "'feed/mine', org"),
        ("lambda ctx, *a: a", "'feed/mine', org"),
        ("unknown", "'feed/mine', org"),
    ],
)
def test_look_alikes_stay(topic: str, arguments: str) -> None:
    assert told(topic, arguments) == []


def test_another_client_stays() -> None:
    assert told("'feed'", "'feed/mine', org", CLIENT.replace("runtime.client", "other.client")) == []
