"""UPJ02, and with it every way in which a script can import a name of ours."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import upgrade
from tests.upgrade.scriptprojects import PACKAGE, after, becomes, done, stays_everywhere


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize(
    "source",
    [
        "import { onCronError } from 'another'\nonCronError(f)\n",
        "function onCronError(f) {}\nonCronError(f)\n",
        "import { onError } from 'svelte-realtime/server'\nconst text = 'onCronError'\n// onCronError\n",
        "import * as ours from 'another'\nours.onCronError(f)\n",
        "const { onCronError } = await import('another')\n",
        "const things = { onCronError: 1 }\nthings.onCronError\n",
        "import { live } from 'svelte-realtime/server'\nlive.onCronError\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays_everywhere("UPJ02", source)


@pytest.mark.spec("UPGC-81", "UPGC-41")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "import { onCronError } from 'svelte-realtime/server'\nonCronError((path, error) => {})\n",
            "import { onError } from 'svelte-realtime/server'\nonError((path, error) => {})\n",
        ),
        (
            "import { live, onCronError as oops } from 'svelte-realtime'\noops(f)\n",
            "import { live, onError as oops } from 'svelte-realtime'\noops(f)\n",
        ),
        (
            "import * as rt from 'svelte-realtime/server';\nrt.onCronError(f); rt['onCronError']\n",
            "import * as rt from 'svelte-realtime/server';\nrt.onError(f); rt['onCronError']\n",
        ),
        (
            "const { onCronError } = await import('svelte-realtime/server')\nonCronError(f)\n",
            "const { onError: onCronError } = await import('svelte-realtime/server')\nonCronError(f)\n",
        ),
        (
            "const { onCronError: x, live } = require('svelte-realtime/server')\nx(f)\n",
            "const { onError: x, live } = require('svelte-realtime/server')\nx(f)\n",
        ),
        (
            "import { onCronError } from 'svelte-realtime/server'\nexport const all = { onCronError }\n",
            "import { onError } from 'svelte-realtime/server'\nexport const all = { onCronError: onError }\n",
        ),
        (
            "import { onCronError } from 'svelte-realtime/server'\nexport { onCronError }\n",
            "import { onError } from 'svelte-realtime/server'\nexport { onError as onCronError }\n",
        ),
        (
            "export { onCronError } from 'svelte-realtime/server'\n",
            "export { onError as onCronError } from 'svelte-realtime/server'\n",
        ),
    ],
)
def test_the_import_and_its_uses_follow(before: str, expected: str) -> None:
    assert becomes("UPJ02", before, expected)


@pytest.mark.spec("UPGC-81", "UPGC-17")
def test_a_name_that_is_taken_is_kept_by_as() -> None:
    before = """
        import { onCronError } from 'svelte-realtime/server'
        const onError = 1
        onCronError(f)
        """
    assert becomes("UPJ02", before, before.replace("{ onCronError }", "{ onError as onCronError }"))


@pytest.mark.spec("UPGC-81", "UPGC-22")
def test_a_parameter_of_that_name_is_another_thing() -> None:
    before = """
        import { onCronError } from 'svelte-realtime/server'
        function f(onCronError) { return onCronError(1) }
        try {} catch (onCronError) { onCronError() }
        for (const onCronError of list) onCronError()
        class A { onCronError() { this.onCronError() } }
        onCronError(f)
        """
    expected = before.replace("{ onCronError } from", "{ onError } from").replace(
        "\n        onCronError(f)", "\n        onError(f)"
    )
    assert becomes("UPJ02", before, expected)


@pytest.mark.spec("UPGC-81", "UPGC-41")
def test_both_registrations_are_told() -> None:
    source = "import { onCronError, onError } from 'svelte-realtime/server'\nonError(a)\nonCronError(b)\n"
    found = done("UPJ02", source, "src/hooks.ws.js")
    assert "{ onError as onCronError, onError }" in found.files["src/hooks.ws.js"]
    assert ("R-04", "src/hooks.ws.js", 3, "flagged") in found.told()


@pytest.mark.spec("UPGC-81", "UPGC-27")
def test_what_is_suppressed_stays() -> None:
    line = "import { onCronError } from 'svelte-realtime/server' // realtime-upgrade: skip=UPJ02\n"
    found = done("UPJ02", line, "src/live/a.ts")
    assert found.files["src/live/a.ts"] == line
    assert [one.status for one in found.findings] == ["skipped"]
    atop = "// realtime-upgrade: skip\nimport { onCronError } from 'svelte-realtime/server'\n"
    assert after("UPJ02", atop) == atop


@pytest.mark.spec("UPGC-81")
def test_a_statement_that_cannot_be_read_is_told() -> None:
    source = """import { onCronError } from 'svelte-realtime/server'
import * as rt from 'svelte-realtime'
rt.onCronError(( => 1)
"""
    found = done("UPJ02", source, "src/live/a.js")
    assert found.files["src/live/a.js"].startswith("import { onError }")
    assert "rt.onCronError(" in found.files["src/live/a.js"]
    assert ("R-04", "src/live/a.js", 3, "flagged") in found.told()


@pytest.mark.spec("UPGC-81", "UPGC-11")
@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbfimport { onCronError } from 'svelte-realtime/server'\r\nonCronError(f) // \xc3\xa4\r\n\nlast",
        b"// \xe2\x82\xac\xf0\x9f\x98\x80\n\timport { onCronError } from 'svelte-realtime';\r\n\r\nonCronError(f)",
    ],
)
def test_marks_line_ends_and_letters_survive(raw: bytes) -> None:
    found = upgrade({"package.json": PACKAGE, "a.js": raw}, only="UPJ02")
    assert found.files["a.js"].encode() == raw.replace(b"onCronError", b"onError")


def test_bytes_that_are_no_text_are_left_alone() -> None:
    raw = b"import { onCronError } from 'svelte-realtime/server'\n// \xff\n"
    found = upgrade({"package.json": PACKAGE, "a.js": raw}, only="UPJ02")
    assert found.files["a.js"].encode(errors="surrogateescape") == raw
    assert [(one.codemod, one.status) for one in found.findings] == [("UPG100", "skipped")]
