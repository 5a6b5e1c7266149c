"""UPJ13: `onLeave` of rooms."""

from __future__ import annotations

import pytest

from tests.upgrade.scriptprojects import after, becomes, stays_everywhere, told

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
    assert stays_everywhere("UPJ13", source)


@pytest.mark.spec("UPGC-81", "UPGC-43")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("onLeave: (ctx) => left(ctx)", "onLeave: (ctx, topic) => left(ctx)"),
        ("onLeave: async ctx => { await left(ctx) }", "onLeave: async (ctx, topic) => { await left(ctx) }"),
        ("onLeave({ user }) { left(user) }", "onLeave({ user }, topic) { left(user) }"),
        ("onLeave: function (ctx) { f(topic) }", "onLeave: function (ctx, _topic) { f(topic) }"),
        ("onLeave: () => 1", "onLeave: () => 1"),
    ],
)
def test_on_leave_takes_the_topic(before: str, expected: str) -> None:
    start = f"{_LIVE}export const r = live.room({{ topic: 'a', "
    assert becomes("UPJ13", f"{start}{before} }})\n", f"{start}{expected} }})\n")


@pytest.mark.spec("UPGC-81", "UPGC-43")
def test_a_function_by_name_follows_if_nothing_else_calls_it() -> None:
    source = f"{_LIVE}const left = (ctx) => 1\nexport const r = live.room({{ topic: 'a', onLeave: left }})\n"
    assert becomes("UPJ13", source, source.replace("(ctx) =>", "(ctx, topic) =>"))
    assert stays_everywhere("UPJ13", f"{source}left(1)\n")


@pytest.mark.spec("UPGC-81")
def test_a_typed_parameter_has_a_typed_neighbour() -> None:
    source = f"{_LIVE}live.room({{ topic: 'a', onLeave: (ctx: Ctx): void => left(ctx) }})\n"
    assert after("UPJ13", source, path="src/live/a.ts") == source.replace(
        "ctx: Ctx", "ctx: Ctx, topic: string"
    )


@pytest.mark.spec("UPGC-81", "UPGC-43")
@pytest.mark.parametrize("value", ["(...all) => 1", "(ctx = 1) => 1", "unknown", "left.bind(x)"])
def test_other_functions_are_told(value: str) -> None:
    assert told("UPJ13", f"{_LIVE}live.room({{ topic: 'a', onLeave: {value} }})\n") == [("S-15", 2)]
