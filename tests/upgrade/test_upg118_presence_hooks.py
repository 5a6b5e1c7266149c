"""UPG118: the third hook of presence."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import after, flagged, stays

SERVICES = "from runtime.cluster import Presence\n\npresence = Presence(redis)\nother = make()\n"
HEAD = "from services import other, presence\n\n"


@pytest.mark.parametrize(
    "source",
    [
        "subscribe, close = other.hooks.subscribe, other.hooks.close\n",
        "subscribe = presence.hooks.subscribe\n",
        "close = presence.hooks.close\n",
        (
            "subscribe, unsubscribe = presence.hooks.subscribe, presence.hooks.unsubscribe\n"
            "close = presence.hooks.close\n"
        ),
        "def f():\n    subscribe, close = presence.hooks.subscribe, presence.hooks.close\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG118", HEAD + source, path="hooks.py", services=SERVICES)


@pytest.mark.spec("UPGC-53")
@pytest.mark.parametrize(
    ("before", "added"),
    [
        (
            "subscribe, close = presence.hooks.subscribe, presence.hooks.close\n",
            "unsubscribe = presence.hooks.unsubscribe\n",
        ),
        (
            "subscribe_presence, leave_presence = presence.hooks.subscribe, presence.hooks.close\n",
            "unsubscribe_presence = presence.hooks.unsubscribe\n",
        ),
        (
            "presence_subscribe = presence.hooks.subscribe\npresence_close = presence.hooks.close\n",
            "presence_unsubscribe = presence.hooks.unsubscribe\n",
        ),
        (
            "hi, bye = presence.hooks.subscribe, presence.hooks.close\n",
            "unsubscribe = presence.hooks.unsubscribe\n",
        ),
    ],
)
def test_unsubscribe_is_taken_too(before: str, added: str) -> None:
    text = after("UPG118", f"{HEAD}{before}# rest\n", path="hooks.py", services=SERVICES)
    assert text == f"{HEAD}{before}{added}# rest\n"


@pytest.mark.spec("UPGC-53")
def test_an_own_unsubscribe_has_to_call_it() -> None:
    own = (
        "subscribe, close = presence.hooks.subscribe, presence.hooks.close\n\n\n"
        "def unsubscribe(ws, topic, ctx):\n    {}\n"
    )
    assert flagged("UPG118", HEAD + own.format("..."), path="hooks.py", services=SERVICES) == [("S-22", 6)]
    calls = HEAD + own.format("return presence.hooks.unsubscribe(ws, topic, ctx)")
    assert stays("UPG118", calls, path="hooks.py", services=SERVICES)


@pytest.mark.spec("UPGC-53")
def test_a_taken_name_is_told() -> None:
    source = HEAD + "unsubscribe = print\nsubscribe, close = presence.hooks.subscribe, presence.hooks.close\n"
    assert flagged("UPG118", source, path="hooks.py", services=SERVICES) == [("S-22", 4)]
