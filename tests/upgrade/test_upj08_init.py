"""UPJ08: what `open` sets up for the process moves to `init`."""

from __future__ import annotations

import pytest

from tests.upgrade.scriptprojects import EXTENSIONS, HOOKS, after, done, stays

_IMPORT = "import { _activateDerived, live, setCronPlatform } from 'svelte-realtime/server'\n"


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize("path", HOOKS)
@pytest.mark.parametrize(
    "source",
    [
        "import { setCronPlatform } from 'another'\nexport function open(ws, ctx) { setCronPlatform(ctx.platform) }\n",
        f"{_IMPORT}export function init({{ platform }}) {{ setCronPlatform(platform) }}\n",
        f"{_IMPORT}function open(ws, {{ platform }}) {{ setCronPlatform(platform) }}\n",
        f"{_IMPORT}export function opened(ws, {{ platform }}) {{ setCronPlatform(platform) }}\n",
        f"{_IMPORT}live.configurePush({{ identify }})\nexport function open(ws) {{}}\n",
        "export function open(ws, { platform }) { this.setCronPlatform(platform) }\n",
    ],
)
def test_look_alikes_stay(source: str, path: str) -> None:
    assert stays("UPJ08", source, path=path)


def test_another_file_is_no_hooks_file() -> None:
    assert stays("UPJ08", f"{_IMPORT}export function open(ws, ctx) {{ setCronPlatform(ctx.platform) }}\n")


@pytest.mark.spec("UPGC-81", "UPGC-38")
@pytest.mark.parametrize("path", HOOKS)
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "// people come in\nexport function open(ws, { platform }) {\n\t// cron\n\tsetCronPlatform(platform);\n\n"
            "\tgreet(ws);\n\t_activateDerived(platform); // both\n}\n",
            "export async function init({ platform }) {\n\t// cron\n\tsetCronPlatform(platform);\n"
            "\t_activateDerived(platform); // both\n}\n\n"
            "// people come in\nexport function open(ws, { platform }) {\n\n\tgreet(ws);\n}\n",
        ),
        (
            "// set up\nexport function open(ws, ctx) {\n  setCronPlatform(ctx.platform)\n}\n\nlet x\n",
            "// set up\nexport async function init({ platform }) {\n  setCronPlatform(platform)\n}\n\nlet x\n",
        ),
        (
            "export function init({ platform }) {\n\tfirst()\n}\n"
            "export const open = async (ws, ctx) => {\n\tawait setCronPlatform(ctx.platform)\n\tgreet(ws)\n}\n",
            "export async function init({ platform }) {\n\tfirst()\n\tawait setCronPlatform(platform)\n}\n"
            "export const open = async (ws, ctx) => {\n\tgreet(ws)\n}\n",
        ),
        (
            "export function init(ctx) {}\n"
            "export function open(ws, { platform }) {\n\tsetCronPlatform(platform)\n\tgreet(ws)\n}\n",
            "export function init(ctx) {\n\tsetCronPlatform(ctx.platform)\n}\n"
            "export function open(ws, { platform }) {\n\tgreet(ws)\n}\n",
        ),
        (
            "export function open(ws, { platform }) {\n\tlive.configurePush({\n\t\tremoteRegistry: all,\n\t})\n"
            "\tgreet(ws)\n}\n",
            "export async function init({ platform }) {\n\tlive.configurePush({\n\t\tremoteRegistry: all,\n\t})\n}\n\n"
            "export function open(ws, { platform }) {\n\tgreet(ws)\n}\n",
        ),
    ],
)
def test_it_moves_in_order_with_its_comments(before: str, expected: str, path: str) -> None:
    assert after("UPJ08", _IMPORT + before, path=path) == _IMPORT + expected


@pytest.mark.spec("UPGC-81", "UPGC-39")
@pytest.mark.parametrize("path", HOOKS)
def test_what_is_guarded_gets_a_mark(path: str) -> None:
    source = (
        f"{_IMPORT}let started = false\nexport function open(ws, {{ platform }}) {{\n\tif (!started) {{\n"
        "\t\tsetCronPlatform(platform)\n\t\tstarted = true\n\t}\n}\n"
    )
    found = done("UPJ08", source, path)
    mark = "\t\t// TODO(realtime-upgrade UPJ08): setCronPlatform() belongs into init({ platform }), which runs once\n"
    assert found.files[path] == source.replace("\t\tset", f"{mark}\t\tset")
    assert [one.status for one in found.findings] == ["todo"]


@pytest.mark.spec("UPGC-81", "UPGC-38")
@pytest.mark.parametrize(
    "body",
    [
        "live.configurePush({ identify: () => ws.id })",
        "const id = ws.id; setCronPlatform(platform)",
        "const x = setCronPlatform(platform)",
        "const name = f()\n\tlive.configurePush({ name })",
        "list.forEach(() => setCronPlatform(platform))",
    ],
)
def test_refusals_are_told(body: str) -> None:
    source = f"{_IMPORT}export function open(ws, {{ platform }}) {{\n\t{body}\n}}\n"
    found = done("UPJ08", source, "src/hooks.ws.js")
    assert found.files["src/hooks.ws.js"] == source
    assert [one.status for one in found.findings] == ["flagged"]


@pytest.mark.spec("UPGC-81", "UPGC-30")
def test_with_the_bus_in_the_same_open() -> None:
    source = (
        f"{_IMPORT}import {{ bus }} from '$lib/redis'\n\nexport function open(ws, {{ platform }}) {{\n"
        "\tsetCronPlatform(platform)\n\tbus.activate(platform)\n}\n"
    )
    text = after({"UPJ08", "UPJ09"}, source, path="src/hooks.ws.js", lib_redis=EXTENSIONS)
    assert text == (
        f"{_IMPORT}import {{ bus }} from '$lib/redis'\n\nexport async function init({{ platform }}) {{\n"
        "\tsetCronPlatform(platform)\n}\n\nexport const { open } = bus.hooks\n"
    )


@pytest.mark.spec("UPGC-81")
def test_a_hook_that_is_exported_elsewhere_stays() -> None:
    source = f"{_IMPORT}function open(ws, ctx) {{\n\tsetCronPlatform(ctx.platform)\n}}\nexport {{ open }}\n"
    assert after("UPJ08", source, path="src/hooks.ws.js") == (
        f"{_IMPORT}export async function init({{ platform }}) {{\n\tsetCronPlatform(platform)\n}}\n\n"
        "function open(ws, ctx) {\n}\nexport { open }\n"
    )
