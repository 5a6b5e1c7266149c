"""UPJ01: the hooks file hands on `unsubscribe` of the live layer."""

from __future__ import annotations

import pytest

from tests.upgrade.scriptprojects import HOOKS, after, stays, told


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize(
    "source",
    [
        "export { message, close } from 'another/server'\n",
        "export { message, close, unsubscribe } from 'svelte-realtime/server'\n",
        "export { message } from 'svelte-realtime/server'\n",
        "import { close } from './other'\nexport { close }\n",
        "// export { message, close } from 'svelte-realtime/server'\n",
        "export const text = `export { message, close } from 'svelte-realtime/server'`\n",
        "export { message, close as closed } from 'svelte-realtime/server'\n",
    ],
)
@pytest.mark.parametrize("path", HOOKS)
def test_look_alikes_stay(source: str, path: str) -> None:
    assert stays("UPJ01", source, path=path)


def test_only_the_hooks_file_is_concerned() -> None:
    assert stays(
        "UPJ01", "export { message, close } from 'svelte-realtime/server'\n", path="src/lib/hooks.js"
    )


@pytest.mark.spec("UPGC-81", "UPGC-37")
@pytest.mark.parametrize("path", HOOKS)
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "export { message, close } from 'svelte-realtime/server';\n",
            "export { message, close, unsubscribe } from 'svelte-realtime/server';\n",
        ),
        (
            'export {message,close} from "svelte-realtime/server"  // all\n',
            'export {message,close, unsubscribe} from "svelte-realtime/server"  // all\n',
        ),
        (
            "export {\n\tmessage,\n\tclose,\n} from 'svelte-realtime/server'\n",
            "export {\n\tmessage,\n\tclose,\n\tunsubscribe,\n} from 'svelte-realtime/server'\n",
        ),
        (
            "export {\n  message, // first\n  close\n} from 'svelte-realtime'\n",
            "export {\n  message, // first\n  close,\n  unsubscribe\n} from 'svelte-realtime'\n",
        ),
        (
            "import { message, close } from 'svelte-realtime/server'\nexport { message, close }\n",
            "import { message, close, unsubscribe } from 'svelte-realtime/server'\n"
            "export { message, close, unsubscribe }\n",
        ),
    ],
)
def test_it_is_exported_too(before: str, expected: str, path: str) -> None:
    assert after("UPJ01", before, path=path) == expected


@pytest.mark.spec("UPGC-81", "UPGC-37")
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "import { message, close } from 'svelte-realtime/server'\nfunction unsubscribe() {}\n"
            "export { message, close }\n",
            [("S-07", 3)],
        ),
        ("export function unsubscribe(ws, topic) {}\n", [("S-07", 1)]),
        ("export function close(ws) { other(ws) }\n", [("S-07", 1)]),
        (
            "import { close as live } from 'svelte-realtime/server'\nexport function close(ws, c) { live(ws, c) }\n",
            [],
        ),
        (
            "import { pushHooks } from 'svelte-realtime/server'\n"
            "export const close = (ws, c) => pushHooks.close(ws, c)\n",
            [],
        ),
    ],
)
def test_what_is_told(source: str, expected: list[tuple[str, int]]) -> None:
    assert told("UPJ01", source, path="src/hooks.ws.js") == expected
