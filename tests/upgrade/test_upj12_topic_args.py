"""UPJ12: `topicArgs` of rooms."""

from __future__ import annotations

import pytest

from tests.upgrade.scriptprojects import becomes, stays_everywhere, told

_LIVE = "import { live } from 'svelte-realtime/server'\n"


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize(
    "source",
    [
        "import { live } from 'another'\nlive.room({ topic: (c, a) => a, actions: {}, onLeave: (ctx) => 1 })\n",
        f"{_LIVE}live.room({{ topic: (c, a) => a, init }})\n",
        f"{_LIVE}live.room({{ topic: (c, a) => a, actions: {{}}, topicArgs: 1, onLeave: (ctx, topic) => 1 }})\n",
        f"{_LIVE}live.rooms({{ topic: (c, a) => a, actions: {{}}, onLeave: (ctx) => 1 }})\n",
        f"{_LIVE}const o = {{ topic: (c, a) => a, actions: {{}}, onLeave: (ctx) => 1 }}\n",
        f"{_LIVE}live.stream('a', load, {{ actions: {{}}, onLeave: (ctx) => 1 }})\n",
        f"{_LIVE}const room = (live) => live.room({{ topic: (c, a) => a, actions: {{}}, onLeave: (ctx) => 1 }})\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays_everywhere("UPJ12", source)


@pytest.mark.spec("UPGC-81", "UPGC-42")
@pytest.mark.parametrize(
    ("topic", "count"),
    [
        ("topic: (ctx, a, b) => a + b", 2),
        ("topic: ctx => 'a'", 0),
        ("topic: 'a'", 0),
        ("topic(ctx, { id }) { return id }", 1),
        ("topic: named", 1),
        ("topic", 2),
        ("topic: moved", 3),
    ],
)
def test_the_arguments_of_the_topic_are_counted(topic: str, count: int) -> None:
    names = "import { moved } from '$lib/topics'\nfunction named(ctx, id) {}\nconst topic = async (ctx, a, b) => a\n"
    before = f"{_LIVE}{names}export const r = live.room({{ {topic}, actions: {{ f }} }})\n"
    expected = before.replace("{ f } }", f"{{ f }}, topicArgs: {count} }}")
    assert becomes("UPJ12", before, expected, lib_topics="export const moved = (ctx, a, b, c) => a\n")


@pytest.mark.spec("UPGC-81", "UPGC-42")
def test_it_stands_on_a_line_of_its_own_where_the_others_do() -> None:
    before = f"{_LIVE}export const r = live.room({{\n\ttopic: (ctx, a) => a,\n\tactions: {{}}, // none\n}})\n"
    expected = before.replace("{}, // none\n", "{},\n\ttopicArgs: 1, // none\n")
    assert becomes("UPJ12", before, expected)


@pytest.mark.spec("UPGC-81", "UPGC-42")
@pytest.mark.parametrize(
    "topic",
    ["topic: (ctx, ...all) => 1", "topic: (ctx, a = 1) => 1", "topic: unknown", "topic: make()", "...more"],
)
def test_what_cannot_be_counted_is_told(topic: str) -> None:
    assert told("UPJ12", f"{_LIVE}live.room({{ {topic}, actions: {{}} }})\n") == [("S-14", 2)]


def test_on_join_is_told() -> None:
    assert told("UPJ12", f"{_LIVE}live.room({{ topic: 'a', onJoin: (ctx) => 1 }})\n") == [("S-16", 2)]
