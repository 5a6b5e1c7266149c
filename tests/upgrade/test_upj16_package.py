"""UPJ16: ranges of npm packages."""

from __future__ import annotations

import json

import pytest

from realtime_cli.codemods.project import Project, Tree
from realtime_cli.codemods.scriptproject import PACKAGES, TABLES, is_04
from tests.upgrade.projects import upgrade
from tests.upgrade.scriptprojects import PACKAGE


@pytest.mark.spec("UPGC-8")
@pytest.mark.parametrize(
    ("wanted", "old"),
    [
        *(
            (one, True)
            for one in ("^0.4.5", "~0.4.0", "0.4.23", "0.4.x", ">=0.4.0 <0.5.0", "0.3 - 0.4", "^0.5.0-next.3")
        ),
        *(
            (one, False)
            for one in ("^0.5.0", ">=0.4.0", "0.4 || 0.5", "*", "latest", "~0.5.2", "^0.6.0", "^1.0.0")
        ),
        *(
            (one, False)
            for one in ("workspace:*", "github:a/b#v0.4.1", "file:../a", "https://a.b/c-0.4.0.tgz")
        ),
    ],
)
def test_ranges(wanted: str, old: bool) -> None:
    assert is_04(wanted) is old


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize(
    "text",
    [
        '{"dependencies": {"svelte-realtime": "^0.5.0"}, "engines": {"node": ">=22.0.0"}}',
        '{"dependencies": {"other-realtime": "^0.4.0"}, "engines": {"node": ">=18"}}',
        '{"name": "svelte-realtime", "version": "0.4.0"}',
        '{"scripts": {"svelte-realtime": "^0.4.0"}}',
        '{"dependencies": ["svelte-realtime", "^0.4.0"]}',
        '["svelte-realtime"]',
        "{}",
    ],
)
def test_look_alikes_stay(text: str) -> None:
    done = upgrade({"package.json": text}, only="UPJ16")
    assert (done.findings, done.files["package.json"]) == ([], text)


@pytest.mark.spec("UPGC-8", "UPGC-81", "UPGC-36")
@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("table", TABLES)
def test_each_package_in_each_table(name: str, table: str) -> None:
    text = json.dumps({"name": "a", table: {"x": "^0.4.0", name: "~0.4.2"}}, indent="\t") + "\r\n"
    done = upgrade({"package.json": text.encode()}, only="UPJ16")
    assert done.files["package.json"] == text.replace("~0.4.2", "^0.5.0")
    assert [(one.row, one.line, one.status) for one in done.findings] == [("S-05", 5, "edited")]


@pytest.mark.spec("UPGC-81")
def test_the_text_around_stays_and_the_rest_is_told() -> None:
    text = (
        '{ "name":"a",\n   "engines" : { "node": ">=20.3" ,"npm":">=9"},\n'
        '  "dependencies": {"svelte-realtime":"^0.4.5","uWebSockets.js": "github:x/y#v20.51.0" },\n'
        '"overrides": {"svelte-adapter-uws": "0.4.14"}}'
    )
    done = upgrade({"package.json": text}, only="UPJ16")
    assert done.files["package.json"] == text.replace(">=20.3", ">=22.0.0").replace("^0.4.5", "^0.5.0")
    assert [(one.line, one.status) for one in done.findings] == [
        (2, "edited"),
        (3, "edited"),
        (3, "flagged"),
        (4, "flagged"),
    ]
    assert "v20.67.0" in done.findings[2].advice


@pytest.mark.spec("UPGC-81")
def test_a_file_that_is_no_json_is_told() -> None:
    text = '{"dependencies": {"svelte-realtime": "^0.4.5",}}'
    done = upgrade({"package.json": text}, only="UPJ16")
    assert done.files["package.json"] == text
    assert [one.status for one in done.findings] == ["flagged"]


@pytest.mark.spec("UPGC-9", "UPGC-81")
def test_members_of_a_workspace_are_told_apart(tmp_path) -> None:  # type: ignore[no-untyped-def]
    files = {
        "package.json": '{"workspaces": ["apps/*"]}',
        "apps/old/package.json": PACKAGE,
        "apps/old/src/hooks.ws.js": "",
        "apps/old/src/live/a.js": "",
        "apps/old/svelte.config.js": "import adapter from 'svelte-adapter-uws'",
        "apps/old/vite.config.ts": "import realtime from 'svelte-realtime/vite'",
        "apps/new/package.json": PACKAGE.replace("0.4.5", "0.5.1"),
        "apps/none/package.json": "{}",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    members = Project(Tree(tmp_path, sorted(files))).scripts.members
    assert [(one.folder, one.is_04, one.is_05) for one in members] == [
        ("apps/new/", False, True),
        ("apps/old/", True, False),
    ]
    assert members[1].markers == ["src/hooks.ws.js", "src/live/", "svelte.config.js", "vite.config.ts"]
    done = upgrade({**files}, only="UPJ16")
    assert [(one.path, one.status) for one in done.findings] == [("apps/old/package.json", "edited")]
