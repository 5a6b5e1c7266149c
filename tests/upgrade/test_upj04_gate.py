"""UPJ04: `ctx.throttle` with two arguments in scripts."""

from __future__ import annotations

import pytest

from tests.upgrade.scriptprojects import becomes, stays_everywhere, told

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
    assert stays_everywhere("UPJ04", source)


@pytest.mark.spec("UPGC-81", "UPGC-25", "UPGC-40")
@pytest.mark.parametrize("end", ["", ";"])
@pytest.mark.parametrize("margin", ["\t", "    "])
def test_a_gate_becomes_one_with_a_mark(end: str, margin: str) -> None:
    start = f"{_LIVE}export const f = live(async (ctx, id) => {{\n{margin}// who moves\n"
    todo = f"{margin}// TODO(realtime-upgrade UPJ04): this call gated nothing in 0.4; skip() now does\n"
    rest = f"\n{margin}ctx.publish('a', 'b', id){end}\n}}){end}\n"
    assert becomes(
        "UPJ04",
        f"{start}{margin}ctx.throttle(`move:${{id}}`, 50){end}{rest}",
        f"{start}{todo}{margin}if (ctx.skip(`move:${{id}}`, 50)) return{end}{rest}",
    )


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize(
    "body",
    ["if (x) ctx.throttle('a', 50)", "const y = ctx.throttle('a', 50)", "return ctx.throttle('a', 50)"],
)
def test_other_gates_are_told(body: str) -> None:
    source = f"{_LIVE}export const f = live((ctx, x) => {{\n\t{body}\n}})\n"
    assert told("UPJ04", source) == [("R-03", 3)]
