"""UPJ09: the bus in `open`."""

from __future__ import annotations

import pytest

from tests.upgrade.scriptprojects import EXTENSIONS, HOOKS, after, done, stays

_IMPORT = "import { bus, presence } from '$lib/redis'\n"
_TODO = (
    "// TODO(realtime-upgrade UPJ09): this was bus.activate(platform); "
    "open is async now, and needs no other call to the bus\n"
)


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize("path", HOOKS)
@pytest.mark.parametrize(
    "source",
    [
        "import { bus } from './other'\nexport function open(ws, { platform }) { bus.activate(platform) }\n",
        f"{_IMPORT}export function open(ws, {{ platform }}) {{ presence.activate(platform) }}\n",
        f"{_IMPORT}export function init({{ platform }}) {{ bus.activate(platform) }}\nexport function open(ws) {{}}\n",
        f"{_IMPORT}export const {{ open }} = bus.hooks // bus.activate\n",
        "import { createPubSubBus } from 'svelte-adapter-uws-extensions/redis'\n"
        "const quiet = createPubSubBus(redis, { systemChannel: null })\n"
        "export function open(ws, { platform }) { quiet.activate(platform) }\n",
    ],
)
def test_look_alikes_stay(source: str, path: str) -> None:
    assert stays("UPJ09", source, path=path, lib_redis=EXTENSIONS)


@pytest.mark.spec("UPGC-81", "UPGC-51")
@pytest.mark.parametrize("path", HOOKS)
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "// the bus\nexport function open(ws, { platform }) {\n\tbus.activate(platform);\n}\n",
            "// the bus\nexport const { open } = bus.hooks;\n",
        ),
        (
            "export const open = async (ws, ctx) => {\n\tawait bus.activate(ctx.platform)\n}\n",
            "export const { open } = bus.hooks\n",
        ),
        (
            "export function open(ws, { platform }) {\n\tbus.activate(platform)\n"
            "\tpresence.join(ws, 'all', platform)\n}\n",
            f"export async function open(ws, {{ platform }}) {{\n\t{_TODO}"
            "\tawait bus.hooks.open(ws, { platform })\n\tpresence.join(ws, 'all', platform)\n}\n",
        ),
        (
            "export const open = (socket, ctx) => {\n  // first\n  bus.activate(ctx.platform)\n}\n",
            f"export const open = async (socket, ctx) => {{\n  // first\n  {_TODO}"
            "  await bus.hooks.open(socket, ctx)\n}\n",
        ),
    ],
)
def test_the_hook_of_the_bus_takes_its_place(before: str, expected: str, path: str) -> None:
    assert after("UPJ09", _IMPORT + before, path=path, lib_redis=EXTENSIONS) == _IMPORT + expected


@pytest.mark.spec("UPGC-81", "UPGC-51")
@pytest.mark.parametrize(
    "body",
    [
        "if (x) bus.activate(platform)",
        "const done = bus.activate(platform)",
        "bus.activate(platform); bus.hooks.open(ws, { platform })",
        "bus.activate(platform); second.activate(platform)",
    ],
)
def test_refusals_are_told(body: str) -> None:
    source = (
        f"{_IMPORT}import {{ createPubSubBus }} from 'svelte-adapter-uws-extensions/redis/pubsub'\n"
        f"const second = createPubSubBus(other)\nexport function open(ws, {{ platform }}) {{\n\t{body}\n}}\n"
    )
    found = done("UPJ09", source, "src/hooks.ws.js", lib_redis=EXTENSIONS)
    assert found.files["src/hooks.ws.js"] == source
    assert {one.status for one in found.findings} == {"flagged"}


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize(
    "declared",
    [
        "function open(ws, ctx) {\n\tbus.activate(ctx.platform)\n}",
        "const open = (ws, ctx) => {\n\tbus.activate(ctx.platform)\n}",
    ],
)
def test_a_hook_that_is_exported_elsewhere(declared: str) -> None:
    source = f"{_IMPORT}{declared}\nexport {{ open }}\n"
    expected = f"{_IMPORT}const {{ open }} = bus.hooks\nexport {{ open }}\n"
    assert after("UPJ09", source, path="src/hooks.ws.js", lib_redis=EXTENSIONS) == expected
