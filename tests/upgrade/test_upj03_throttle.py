"""UPJ03: `ctx.throttle` and `ctx.debounce` that publish, in scripts."""

from __future__ import annotations

import pytest

from tests.upgrade.scriptprojects import after, becomes, stays_everywhere, told

_LIVE = "import { live } from 'svelte-realtime/server'\n"


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize(
    "source",
    [
        "import { throttle } from 'lodash'\nthrottle(f, 50)\n",
        "export const f = (ctx) => { ctx.throttle('a', 50) }\n",
        f"{_LIVE}export const f = live((ctx) => {{ other.throttle('a', 'b', 1, 50) }})\n",
        f"{_LIVE}export const f = live((ctx) => list.map((ctx) => ctx.throttle('a')))\n",
        f"{_LIVE}export const f = other(live, (ctx) => {{ ctx.throttle('a', 50) }})\n",
        f"{_LIVE}export const f = live((ctx) => {{ ctx = g(); ctx.throttle('a', 50) }})\n",
        f"{_LIVE}export const f = live.stream('a', load, {{ transform: (ctx) => ctx.throttle('a', 50) }})\n",
        "import { live } from 'another'\nexport const f = live((ctx) => { ctx.throttle('a', 50) })\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays_everywhere("UPJ03", source)


@pytest.mark.spec("UPGC-81", "UPGC-40")
@pytest.mark.parametrize(
    "made",
    [
        "live(async (ctx) => {{ {0} }})",
        "live(async function (ctx) {{ {0} }})",
        "live.stream('a', async (ctx, id) => {{ {0} }})",
        "live.room({{ topic: (ctx) => 'a', actions: {{ move: (ctx) => {{ {0} }} }} }})",
        "live.room({{ topic: 'a', actions: {{ async move(ctx) {{ {0} }} }} }})",
        "live.binary((ctx, buffer) => {{ {0} }}, {{ maxSize: 5 }})",
        "live(async (ctx) => {{ after(() => {{ {0} }}) }})",
    ],
)
def test_what_publishes_is_renamed(made: str) -> None:
    old = "ctx.throttle('a', 'b', x, 50); ctx.debounce('a', 'b', x, 50)"
    new = "ctx.publishThrottled('a', 'b', x, 50); ctx.publishDebounced('a', 'b', x, 50)"
    start = f"{_LIVE}export const f = "
    assert becomes("UPJ03", f"{start}{made.format(old)}\n", f"{start}{made.format(new)}\n")


@pytest.mark.spec("UPGC-81", "UPGC-22")
def test_functions_that_only_the_live_layer_calls_count() -> None:
    source = (
        f"{_LIVE}async function move(ctx) {{ ctx.throttle('a', 'b', 1, 50) }}\nexport const f = live(move)\n"
    )
    assert becomes("UPJ03", source, source.replace("throttle", "publishThrottled"))
    assert told("UPJ03", f"{source}move(other)\n") == [("R-01", 2)]


@pytest.mark.spec("UPGC-81", "UPGC-22")
def test_an_annotation_is_enough_in_typescript() -> None:
    source = (
        "import type { LiveContext } from 'svelte-realtime/server'\n"
        "export function f(ctx: LiveContext<User>, x?: number): void { ctx.debounce('a', 'b', x!, 50) }\n"
    )
    assert after("UPJ03", source, path="src/lib/a.ts") == source.replace("debounce", "publishDebounced")


@pytest.mark.spec("UPGC-81", "UPGC-23")
@pytest.mark.parametrize(
    ("source", "row"),
    [
        ("export const f = (ctx) => { ctx.throttle('a', 'b', 1, 50) }\n", "R-01"),
        (f"{_LIVE}export const f = live((ctx) => {{ ctx.debounce('a', 50) }})\n", "R-02"),
        (f"{_LIVE}export const f = live((ctx) => {{ ctx.throttle(...all) }})\n", "R-01"),
        (f"{_LIVE}export const f = live((ctx) => {{ const t = ctx.throttle }})\n", "R-01"),
        (f"{_LIVE}export const f = live(({{ throttle }}) => {{ throttle('a', 'b', 1, 50) }})\n", "R-01"),
    ],
)
def test_what_is_told(source: str, row: str) -> None:
    assert told("UPJ03", source) == [(row, source.count("\n"))]


@pytest.mark.spec("UPGC-22")
def test_a_function_that_others_can_call_is_told() -> None:
    source = (
        f"{_LIVE}export const move = (ctx) => ctx.throttle('a', 'b', 1, 50)\nexport const f = live(move)\n"
    )
    assert told("UPJ03", source) == [("R-01", 2)]
