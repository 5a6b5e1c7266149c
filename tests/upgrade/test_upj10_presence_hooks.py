"""UPJ10: the hooks of presence and of cursors."""

from __future__ import annotations

import pytest

from tests.upgrade.scriptprojects import EXTENSIONS, after, becomes, stays_everywhere, told

_IMPORT = "import { cursor, presence } from '$lib/redis'\n"


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize(
    "source",
    [
        "import { presence } from './other'\nexport const { subscribe, close } = presence.hooks\n",
        f"{_IMPORT}export const {{ subscribe, close }} = cursor.hooks\n",
        f"{_IMPORT}export const {{ subscribe, unsubscribe, close }} = presence.hooks\n",
        f"{_IMPORT}export const {{ select }} = presence.hooks\n",
        f"{_IMPORT}export const {{ subscribe, close }} = presence\n",
        f"{_IMPORT}cursor.hooks.close(ws, ctx)\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays_everywhere("UPJ10", source, lib_redis=EXTENSIONS)


@pytest.mark.spec("UPGC-81", "UPGC-53")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "export const { subscribe, close } = presence.hooks;",
            "export const { subscribe, close, unsubscribe } = presence.hooks;",
        ),
        (
            "export const {\n\tsubscribe,\n\tclose,\n} = presence.hooks",
            "export const {\n\tsubscribe,\n\tclose,\n\tunsubscribe,\n} = presence.hooks",
        ),
        (
            "export const close = presence.hooks.close; // leave",
            "export const close = presence.hooks.close; // leave\n"
            "export const unsubscribe = presence.hooks.unsubscribe;",
        ),
    ],
)
def test_unsubscribe_is_taken_too(before: str, expected: str) -> None:
    assert becomes("UPJ10", f"{_IMPORT}{before}\n", f"{_IMPORT}{expected}\n", lib_redis=EXTENSIONS)


@pytest.mark.spec("UPGC-81", "UPGC-52", "UPGC-53")
@pytest.mark.parametrize(
    ("source", "row"),
    [
        ("const { subscribe, close } = presence.hooks", "S-22"),
        ("export function unsubscribe() {}; export const { subscribe, close } = presence.hooks", "S-22"),
        ("export function subscribe(ws, t, ctx) { cursor.hooks.subscribe(ws, t, ctx) }", "S-21"),
        (
            "export const join = live(async (ctx, t) => { await presence.join(ctx.ws, t, ctx.platform) })",
            "S-21",
        ),
        (
            "export const out = live(async (ctx, t) => { await presence.leave(ctx.ws, ctx.platform, t) }); cursor",
            "S-21",
        ),
    ],
)
def test_what_is_told(source: str, row: str) -> None:
    source = f"{_IMPORT}import {{ live }} from 'svelte-realtime/server'\nexport const c = cursor\n{source}\n"
    assert told("UPJ10", source, lib_redis=EXTENSIONS) == [(row, 4)]


def test_what_attaches_is_not_told() -> None:
    source = (
        f"{_IMPORT}import {{ live }} from 'svelte-realtime/server'\nexport const join = live(async (ctx, t) => {{\n"
        "\tawait presence.join(ctx.ws, t, ctx.platform)\n\tawait cursor.attach(ctx.ws, t, ctx.platform)\n})\n"
    )
    assert stays_everywhere("UPJ10", source, lib_redis=EXTENSIONS)


def test_two_exports_of_one_name_are_never_made() -> None:
    source = (
        f"{_IMPORT}export {{ message, close }} from 'svelte-realtime/server'\n"
        "export const { subscribe } = presence.hooks\n"
    )
    text = after({"UPJ01", "UPJ10"}, source, path="src/hooks.ws.js", lib_redis=EXTENSIONS)
    assert text == source.replace("close }", "close, unsubscribe }")
