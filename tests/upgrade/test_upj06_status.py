"""UPJ06: the states of the client."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import upgrade
from tests.upgrade.scriptprojects import after, becomes, done, stays, stays_everywhere, told

_CLIENT = "import { status } from 'svelte-adapter-uws/client'\nimport { get } from 'svelte/store'\n"
_PAGE = "src/routes/+page.svelte"


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize(
    "source",
    [
        "if (status === 'closed') x()\n",
        "import { status } from './own'\nstatus.subscribe((s) => s === 'closed')\n",
        f"{_CLIENT}if (status === 'closed') x()\n",
        f"{_CLIENT}if (get(status) === 'connecting') x()\n",
        f"{_CLIENT}if (get(other) === 'closed') x()\n",
        f"{_CLIENT}function f(status) {{ return get(status) === 'closed' }}\n",
        f"{_CLIENT}if (get(status) < 'closed') x()\n",
        f"{_CLIENT}if (get(status) === closed) x()\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays_everywhere("UPJ06", source)


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize(
    "markup",
    [
        "{#each list as status}{$status === 'closed'}{/each}",
        "{#snippet row(status)}{$status === 'closed'}{/snippet}",
        "<List let:status>{$status === 'closed'}</List>",
        "{#await load() then status}{$status === 'closed'}{/await}",
        "<p>$status === 'closed'</p>",
        "<!-- {$status === 'closed'} -->",
        "<style>p { content: '{$status === closed}'; }</style>",
        "{'$status === \\'closed\\''}",
        "{other === 'closed'}",
    ],
)
def test_look_alikes_in_markup_stay(markup: str) -> None:
    assert stays("UPJ06", f"<script>\n{_CLIENT}</script>\n{markup}\n", path=_PAGE)


@pytest.mark.spec("UPGC-81", "UPGC-45")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("get(status) === 'closed'", "(get(status) === 'disconnected' || get(status) === 'failed')"),
        ('get(status) == "closed"', '(get(status) == "disconnected" || get(status) == "failed")'),
        ("'closed' !== get(status)", "('disconnected' !== get(status) && 'failed' !== get(status))"),
        ("status.get() != 'closed'", "(status.get() != 'disconnected' && status.get() != 'failed')"),
    ],
)
def test_closed_is_two_states(before: str, expected: str) -> None:
    assert becomes("UPJ06", f"{_CLIENT}const a = !x || {before}\n", f"{_CLIENT}const a = !x || {expected}\n")


@pytest.mark.spec("UPGC-81", "UPGC-45")
def test_the_value_that_subscribers_get() -> None:
    source = f"{_CLIENT}status.subscribe((now) => {{\n\tif (now === 'closed') x()\n}})\n"
    expected = source.replace("now === 'closed'", "(now === 'disconnected' || now === 'failed')")
    assert becomes("UPJ06", source, expected)


@pytest.mark.spec("UPGC-81", "UPGC-45")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "{#if $status === 'closed'}<b>x</b>{:else if $status !== 'closed'}y{/if}",
            "{#if ($status === 'disconnected' || $status === 'failed')}<b>x</b>"
            "{:else if ($status !== 'disconnected' && $status !== 'failed')}y{/if}",
        ),
        (
            "<b class:off={$status === 'closed'} title=\"is {$status == 'closed' ? '}' : '{'}\">ä</b>",
            "<b class:off={($status === 'disconnected' || $status === 'failed')} "
            "title=\"is {($status == 'disconnected' || $status == 'failed') ? '}' : '{'}\">ä</b>",
        ),
        (
            "{@const off = $status === 'closed'}{#each [$status === 'closed'] as one (one)}{one}{/each}",
            "{@const off = ($status === 'disconnected' || $status === 'failed')}"
            "{#each [($status === 'disconnected' || $status === 'failed')] as one (one)}{one}{/each}",
        ),
        (
            "<Tag {...rest} on:click={() => { if ($status === 'closed') go() }} />",
            "<Tag {...rest} on:click={() => { if (($status === 'disconnected' || $status === 'failed')) go() }} />",
        ),
    ],
)
@pytest.mark.parametrize("lang", ["", " lang='ts'"])
def test_markup(before: str, expected: str, lang: str) -> None:
    page = f"<script{lang}>\n\timport {{ status }} from 'svelte-realtime/client'\n</script>\n\n{{0}}\n"
    assert after("UPJ06", page.replace("{0}", before), path=_PAGE) == page.replace("{0}", expected)


@pytest.mark.spec("UPGC-81", "UPGC-25", "UPGC-45")
def test_open_gets_a_mark_where_comments_can_stand() -> None:
    page = """
        <script>
        \timport { status } from 'svelte-adapter-uws/client'
        \tlet on = $derived($status === 'open')
        </script>
        <div
        \tclass:on={$status === 'open'}
        >
        \t{#if $status !== 'open'}off{/if}
        </div>
        <pre>
        {$status === 'open'}
        </pre>
        """
    found = done("UPJ06", page, _PAGE)
    lines = found.files[_PAGE].split("\n")
    marks = [number for number, line in enumerate(lines, 1) if "TODO(realtime-upgrade UPJ06)" in line]
    assert marks == [3, 6, 10]
    assert [lines[number - 1].strip()[:4] for number in marks] == ["// T", "<!--", "<!--"]
    assert [lines[number] for number in marks] == [
        "\tlet on = $derived($status === 'open')",
        "<div",
        "\t{#if $status !== 'open'}off{/if}",
    ]
    assert [one[3] for one in found.told()] == ["todo", "todo", "todo", "flagged"]
    again = done("UPJ06", found.files[_PAGE], _PAGE)
    assert [one[3] for one in again.told()] == ["open", "open", "open", "flagged"]


@pytest.mark.spec("UPGC-81", "UPGC-45")
@pytest.mark.parametrize(
    "line",
    [
        "switch (get(status)) { case 'closed': break }",
        "const text = { closed: 'off', open: 'on' }[get(status)]",
        "const off = ['closed', 'connecting'].includes(get(status))",
    ],
)
def test_tables_and_switches_are_told(line: str) -> None:
    assert told("UPJ06", f"{_CLIENT}{line}\n") == [("D-04", 3)]


@pytest.mark.spec("UPGC-81")
def test_a_statement_that_would_be_read_as_a_call_is_told() -> None:
    assert told("UPJ06", f"{_CLIENT}f()\nget(status) === 'closed' && g()\n") == [("D-02", 4)]
    source = f"{_CLIENT}f();\nget(status) === 'closed' && g();\n"
    assert "(get(status) === 'disconnected' ||" in after("UPJ06", source)


@pytest.mark.spec("UPGC-81")
def test_pages_of_a_python_project() -> None:
    page = "import { status } from '/live/client.js';\nstatus.subscribe((s) => show(s === 'closed'));\n"
    found = upgrade({"hooks.py": "", "web/app.js": page}, only="UPJ06")
    assert "show((s === 'disconnected' || s === 'failed'))" in found.files["web/app.js"]
