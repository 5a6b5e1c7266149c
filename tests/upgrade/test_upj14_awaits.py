"""UPJ14: promises of the platform."""

from __future__ import annotations

import pytest

from tests.upgrade.scriptprojects import after, becomes, stays_everywhere, told

_LIVE = "import { live } from 'svelte-realtime/server'\n"


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize(
    "body",
    [
        "await ctx.platform.subscribe(ctx.ws, 'a')",
        "await (ctx.platform.checkSubscribe(ctx.ws, 'a'))",
        "await Promise.all([ctx.platform.subscribe(ctx.ws, 'a')])",
        "await within(5, ctx.platform.subscribe(ctx.ws, 'a'))",
        "ctx.platform.subscribe(ctx.ws, 'a').catch(report)",
        "void ctx.platform.subscribe(ctx.ws, 'a')",
        "ctx.platform.publish('a', 'b', 1)",
        "other.platform.subscribe(ctx.ws, 'a')",
        "const f = ctx.platform.subscribe",
    ],
)
def test_look_alikes_stay(body: str) -> None:
    assert stays_everywhere("UPJ14", f"{_LIVE}export const f = live(async (ctx) => {{\n\t{body}\n}})\n")


@pytest.mark.spec("UPGC-81")
def test_a_platform_of_others_stays() -> None:
    assert stays_everywhere("UPJ14", "export const f = async (ctx) => { ctx.platform.subscribe(1) }\n")


@pytest.mark.spec("UPGC-81", "UPGC-48")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("ctx.platform.subscribe(ctx.ws, 'a')", "await ctx.platform.subscribe(ctx.ws, 'a')"),
        (
            "if (!platform.checkSubscribe(ws, 'a')) return",
            "if (!await platform.checkSubscribe(ws, 'a')) return",
        ),
        (
            "const no = platform.subscribe(ws, 'a') !== null",
            "const no = await platform.subscribe(ws, 'a') !== null",
        ),
        (
            "const n = platform.checkSubscribe(ws, 'a').length",
            "const n = (await platform.checkSubscribe(ws, 'a')).length",
        ),
        ("return platform.subscribe(ws, 'a')", "return await platform.subscribe(ws, 'a')"),
        (
            "for (const t of all) platform.subscribe(ws, t)",
            "for (const t of all) await platform.subscribe(ws, t)",
        ),
    ],
)
def test_await_is_added(before: str, expected: str) -> None:
    start = f"{_LIVE}export const f = live(async (ctx) => {{\n\tconst {{ platform, ws }} = ctx\n\t"
    assert becomes("UPJ14", f"{start}{before}\n}})\n", f"{start}{expected}\n}})\n")


@pytest.mark.spec("UPGC-81", "UPGC-48")
def test_hooks_have_a_platform_too() -> None:
    source = "export async function open(ws, { platform }) {\n\tplatform.subscribe(ws, 'a');\n}\n"
    assert after("UPJ14", source, path="src/hooks.ws.ts") == source.replace("\tpl", "\tawait pl")


@pytest.mark.spec("UPGC-81", "UPGC-48")
@pytest.mark.parametrize(
    ("body", "row"),
    [
        ("all.forEach((t) => ctx.platform.subscribe(ctx.ws, t))", "S-24"),
        ("f()\n\tctx.platform.checkSubscribe(ctx.ws, 'a').length", "S-24"),
        ("ctx.ws.subscribe('a')", "S-25"),
    ],
)
def test_what_is_told(body: str, row: str) -> None:
    source = f"{_LIVE}export const f = live(async (ctx) => {{\n\t{body}\n}})\n"
    assert told("UPJ14", source) == [(row, 3 + body.count("\n"))]


@pytest.mark.spec("UPGC-81", "UPGC-48")
def test_a_plain_function_is_told() -> None:
    assert told(
        "UPJ14", f"{_LIVE}export const f = live((ctx) => {{ ctx.platform.subscribe(ctx.ws, 'a') }})\n"
    ) == [("S-24", 2)]
