"""Each refusal of a rule is counted under its name. Platform 9.3."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.conftest import AppFactory

FILES = {
    "live/things.py": """
        from runtime import live

        @live
        async def publish(ctx, topic: str): ctx.publish(topic, "created", 1)
    """,
    "hooks.py": "def subscribe(ws, topic):\n    return topic != 'room:victim'\n",
}
DEEP = '{"rpc":"things/publish","id":"d","args":[' + "[" * 70 + "]" * 70 + "]}"


@pytest.mark.spec("PLAT-167")
@pytest.mark.parametrize(
    ("frame", "rule", "count"),
    [
        ({"type": "subscribe", "topic": "__signal:victim", "ref": 1}, "system_topic", 1),
        ({"type": "subscribe", "topic": "a\u202eb"}, "topic", 1),
        ({"type": "subscribe-batch", "topics": ["__x", "é", 5, "fine", "__y"], "ref": 1}, "system_topic", 2),
        ({"type": "subscribe-batch", "topics": ["__x", "é", 5, "fine", "__y"], "ref": 1}, "topic", 2),
        ({"rpc": "things/publish", "id": "p", "args": ["__x"]}, "system_publish", 1),
        (DEEP, "depth", 1),
        ({"type": "replay", "topic": "room:victim", "since": 0, "reqId": 1}, "replay", 1),
        ({"type": "replay", "topic": "__signal:victim", "since": 0, "reqId": 1}, "replay", 1),
        ({"type": "subscribe", "topic": "fine", "ref": 1}, "topic", 0),
        ({"type": "subscribe", "topic": "room:victim", "ref": 1}, "topic", 0),  # the app's own answer
    ],
)
async def test_a_refusal_is_counted_under_its_rule(
    make_app: AppFactory, frame: Any, rule: str, count: int
) -> None:
    app = await make_app(FILES)
    peer = await app.connect({"id": "u1"})
    peer.send(frame)
    await peer.request("things/publish", "behind")
    peer.send({"type": "subscribe", "topic": "behind", "ref": "behind"})
    await peer.wait(lambda one: one.get("ref") == "behind")
    assert app.runtime.metrics.get("security_refusals_total", rule) == count
