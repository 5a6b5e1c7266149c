"""UPJ05: `upload.chunkSize` of the client is `frameSize`."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import upgrade
from tests.upgrade.scriptprojects import becomes, stays_everywhere, told

_CLIENT = "import { configure } from 'svelte-realtime/client'\n"


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize(
    "source",
    [
        "configure({ upload: { chunkSize: 5 } })\n",
        "import { configure } from 'another'\nconfigure({ upload: { chunkSize: 5 } })\n",
        f"{_CLIENT}configure({{ chunkSize: 5 }})\n",
        f"{_CLIENT}configure({{ upload: {{ frameSize: 5 }} }})\nconst chunkSize = 1\n",
        f"{_CLIENT}configure({{ other: {{ chunkSize: 5 }} }})\n",
        f"{_CLIENT}const options = {{ chunkSize: 5 }}\nsend(options)\n",
        f"{_CLIENT}function f(configure) {{ configure({{ upload: {{ chunkSize: 5 }} }}) }}\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays_everywhere("UPJ05", source)


@pytest.mark.spec("UPGC-81", "UPGC-44")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("configure({ upload: { chunkSize: 5 } })", "configure({ upload: { frameSize: 5 } })"),
        ("configure({ upload: { 'chunkSize': n } })", "configure({ upload: { 'frameSize': n } })"),
        ("configure({ upload: { chunkSize } })", "configure({ upload: { frameSize: chunkSize } })"),
        (
            "const upload = { chunkSize: 5 }\nconfigure({ upload })",
            "const upload = { frameSize: 5 }\nconfigure({ upload })",
        ),
        (
            "const all = { upload: { /* kB */ chunkSize: 5, }, }\nconfigure(all)",
            "const all = { upload: { /* kB */ frameSize: 5, }, }\nconfigure(all)",
        ),
    ],
)
def test_the_key_is_renamed(before: str, expected: str) -> None:
    assert becomes("UPJ05", f"{_CLIENT}{before}\n", f"{_CLIENT}{expected}\n")


@pytest.mark.spec("UPGC-81", "UPGC-44")
def test_both_keys_are_told() -> None:
    assert told("UPJ05", f"{_CLIENT}configure({{ upload: {{ chunkSize: 5, frameSize: 6 }} }})\n") == [
        ("R-06", 2)
    ]


@pytest.mark.spec("UPGC-81")
def test_pages_of_a_python_project_are_edited() -> None:
    found = upgrade(
        {
            "hooks.py": "",
            "web/app.js": "import { configure } from '/live/client.js';\nconfigure({ upload: { chunkSize: 5 } });\n",
            "web/index.html": """
                <script type="module">
                  import { configure } from '/live/client.js';
                  configure({ upload: { chunkSize: 5 } });
                </script>
                <script type="text/template">configure({ upload: { chunkSize: 5 } });</script>
                <p>configure({ upload: { chunkSize: 5 } })</p>
                """,
        },
        only="UPJ05",
    )
    assert "frameSize: 5" in found.files["web/app.js"]
    assert found.files["web/index.html"].count("frameSize") == 1
    assert found.files["web/index.html"].count("chunkSize") == 2
