"""Scripts as files of a project: without their parser, of others, and of a Python project."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from realtime_cli.codemods import scriptparser
from realtime_cli.codemods.catalog import run_order
from realtime_cli.codemods.detect import detect
from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.project import Project, Tree
from realtime_cli.codemods.scan import scan
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptfile import ScriptFile
from realtime_cli.codemods.scriptfilter import script_paths
from realtime_cli.codemods.scripts import SUFFIXES, upgrade_script
from tests.upgrade.projects import upgrade, write
from tests.upgrade.scriptprojects import EXTENSIONS, PACKAGE, after, stays, told

_PLACES = (Path("/usr/share/nodejs"), Path("/usr/lib/node_modules"), Path("/usr/local/lib/node_modules"))
_MOST = 150


@pytest.mark.spec("UPGC-86")
def test_without_the_parser_it_is_said_once_and_python_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    scriptparser._language.cache_clear()
    for name in ("tree_sitter", "tree_sitter_javascript", "tree_sitter_typescript"):
        monkeypatch.setitem(sys.modules, name, None)
    files: dict[str, str | bytes] = {
        "package.json": PACKAGE,
        "Dockerfile": "FROM node:20\n",
        "src/hooks.ws.js": "export { message, close } from 'svelte-realtime/server'\n",
        "src/live/a.js": "import { onCronError } from 'svelte-realtime/server'\n",
        "live/a.py": "from runtime import on_cron_error\n\non_cron_error(print)\n",
    }
    done = upgrade({**files}, only={"UPG107", "UPJ01", "UPJ02", "UPJ16", "UPJ17", "UPJ18"})
    scriptparser._language.cache_clear()
    told_of = [(one.codemod, str(one.severity), one.advice) for one in done.findings if one.path == ""]
    assert [(name, severity) for name, severity, _ in told_of] == [("UPG100", "error")]
    assert "pip install 'realtime-toolkit[js]'" in told_of[0][2]
    assert "on_error(print)" in done.files["live/a.py"]
    assert {path: done.files[path] for path in files if path != "live/a.py"} == {
        path: text for path, text in files.items() if path != "live/a.py"
    }


@pytest.mark.spec("UPGC-86")
def test_a_python_project_whose_pages_use_nothing_of_ours_hears_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scriptparser._language.cache_clear()
    monkeypatch.setitem(sys.modules, "tree_sitter", None)
    done = upgrade(
        {"hooks.py": "", "web/app.js": "document.close(); status === 'closed'\n"}, only={"UPJ01", "UPJ06"}
    )
    scriptparser._language.cache_clear()
    assert done.findings == []


@pytest.mark.spec("UPGC-87")
def test_help_and_list_load_no_parser() -> None:
    program = (
        "import sys\nfrom realtime_cli.main import run\n"
        "sys.argv = ['realtime', 'upgrade', sys.argv[1]]\n"
        "try:\n    run()\nexcept SystemExit:\n    pass\n"
        "loaded = [name for name in sys.modules if name.startswith('tree_sitter')]\n"
        "assert not loaded, loaded\n"
    )
    for option in ("--help", "--list"):
        done = subprocess.run(
            [sys.executable, "-c", program, option], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        if option == "--list":
            assert all(f"UPJ{number:02}" in done.stdout for number in range(1, 19))


@pytest.mark.spec("UPGC-14")
def test_scripts_of_others_are_left_alone() -> None:
    found = [
        path
        for place in _PLACES
        if place.is_dir()
        for path in sorted(place.rglob("*"))
        if path.suffix in SUFFIXES
        and path.is_file()
        and not path.is_symlink()
        and path.stat().st_size < 150_000
    ]
    step = max(1, len(found) // _MOST)
    paths = [str(path.relative_to("/")) for path in found[::step]]
    project = Project(Tree(Path("/"), sorted(paths)))
    codemods = [one for one in run_order() if one.id.startswith("UPJ")]
    assert script_paths(project, codemods) == []
    for path in paths:
        outcome = upgrade_script(project, path, codemods)
        assert (outcome.new, outcome.unproved, outcome.findings) == (None, False, []), path


@pytest.mark.spec("UPGC-20")
@pytest.mark.parametrize(("hops", "followed"), [(1, True), (8, True), (9, False)])
def test_names_are_followed_through_files_of_the_project(hops: int, followed: bool) -> None:
    files = {f"lib_m{number}": f"export {{ bus }} from './m{number + 1}'\n" for number in range(hops - 1)}
    files[f"lib_m{hops - 1}"] = EXTENSIONS
    source = "import { bus } from '$lib/m0.js'\nexport function open(ws, { platform }) { bus.activate(platform) }\n"
    text = after("UPJ09", source, path="src/hooks.ws.js", **files)
    assert ("bus.hooks" in text) is followed


@pytest.mark.spec("UPGC-20")
def test_a_circle_of_re_exports_ends() -> None:
    source = (
        "import { bus } from './lib/a'\nexport function open(ws, { platform }) { bus.activate(platform) }\n"
    )
    circle = {"lib_a": "export * from './b'\n", "lib_b": "export { bus } from './a'\n"}
    assert stays("UPJ09", source, path="src/hooks.ws.js", **circle)


def test_paths_of_tsconfig_are_known() -> None:
    done = upgrade(
        {
            "package.json": PACKAGE,
            "tsconfig.json": '{ // ours\n "compilerOptions": { "paths": { "@server/*": ["./src/server/*"], } } }\n',
            "src/server/all.ts": EXTENSIONS,
            "src/hooks.ws.ts": """
                import { bus } from '@server/all'
                export function open(ws, { platform }) { bus.activate(platform) }
                """,
        },
        only="UPJ09",
    )
    assert "export const { open } = bus.hooks" in done.files["src/hooks.ws.ts"]


@pytest.mark.spec("UPGC-8")
def test_kinds_of_projects(tmp_path: Path) -> None:
    def kind(files: dict[str, str | bytes]) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        write(folder, files)
        return detect(Tree(folder, scan(folder).paths)).kind

    new = PACKAGE.replace("0.4.5", "0.5.0")
    assert kind({"package.json": PACKAGE}) == "javascript"
    assert kind({"package.json": new}) == "done"
    assert kind({"package.json": "{}"}) == "none"
    assert kind({"package.json": new, "src/a.js": "// TODO(realtime-upgrade UPJ04): x\n"}) == "javascript"
    assert kind({"package.json": PACKAGE, "realtime.toml": ""}) == "both"
    assert kind({"apps/a/package.json": PACKAGE, "apps/b/package.json": new}) == "javascript"


def test_host_pins_are_looked_for() -> None:
    config = "import adapter from 'svelte-adapter-uws'\nexport default { kit: { adapter: adapter() } }\n"
    files: dict[str, str | bytes] = {"package.json": PACKAGE, "svelte.config.js": config}

    def severities(more: dict[str, str | bytes]) -> list[str]:
        done = upgrade({**files, **more}, only="UPJ18")
        return [str(one.severity) for one in done.findings if one.row == "S-26"]

    assert severities({}) == ["warning"]
    assert severities({"src/hooks.ws.js": "export function upgrade() {}\n"}) == ["info"]
    assert severities({".env": "ORIGIN=https://a.example\n"}) == []
    pinned = config.replace("adapter()", "adapter({ websocket: { allowedOrigins: ['https://a.example'] } })")
    assert severities({"svelte.config.js": pinned}) == []


def test_the_pace_of_cursors_is_told() -> None:
    source = (
        "import { createCursor } from 'svelte-adapter-uws-extensions/redis'\nconst c = createCursor(r, {0})\n"
    )
    given = "{ select, throttle: 20, topicThrottle: 20 }"
    assert stays("UPJ18", source.replace("{0}", given))
    assert told("UPJ18", source.replace("{0}", "{ select, throttle: 20 }")) == [("D-34", 2)]


@pytest.mark.parametrize(
    "line",
    [
        "x" + ".a()" * 5000,
        "a" + "+b" * 5000,
        "(" * 5000,
        "{" * 3000 + "}" * 3000,
        "[{a:" * 2000,
        "f(`${" * 1500,
    ],
)
def test_deep_and_broken_scripts_cost_themselves_only(line: str) -> None:
    source = f"import {{ onCronError }} from 'svelte-realtime/server'\nonCronError(f)\n{line}\n"
    done = upgrade({"package.json": PACKAGE, "src/a.js": source}, only="UPJ02")
    assert done.files["src/a.js"] in (source, source.replace("onCronError", "onError"))


def test_what_a_bundler_wrote_is_not_read(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "package.json": PACKAGE,
            "a.js": "status;" * 4000,
            "b.js": "// svelte-realtime\n" + "status;" * 4000,
        },
    )
    project = Project(Tree(tmp_path, scan(tmp_path).paths))
    assert script_paths(project, [one for one in run_order() if one.id == "UPJ06"]) == ["b.js"]


@pytest.mark.parametrize("follower", ["[1].map(f)", "(f)()", "`a`", "/a/.test(b)"])
def test_no_statement_runs_into_the_next_line(follower: str) -> None:
    source = (
        "import { bus } from '$lib/redis'\nexport function open(ws, ctx) { bus.activate(ctx.platform) }\n"
    )
    text = after("UPJ09", f"{source}{follower}\n", path="src/hooks.ws.js", lib_redis=EXTENSIONS)
    assert text.endswith(f"export const {{ open }} = bus.hooks;\n{follower}\n")
    page = f"<script>\n\timport {{ notes }} from '$live/a'\n\t{follower}\n</script>\n{{$notes.error}}\n"
    assert f"const notesError = notes.error;\n\t{follower}" in after("UPJ07", page, path="src/A.svelte")


def test_a_statement_that_keeps_two_others_apart_stays() -> None:
    source = (
        "import { setCronPlatform } from 'svelte-realtime/server'\nexport function open(ws, { platform }) {\n"
        "\tgreet(ws)\n\tsetCronPlatform(platform);\n\t[1].map(f)\n}\n"
    )
    assert told("UPJ08", source, path="src/hooks.ws.js") == [("S-09", 4)]


class _Careless(ScriptCodemod):
    """Takes away what it does not name."""

    id: ClassVar[str] = "UPJ99"
    title: ClassVar[str] = "careless"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ()

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        for node in file.nodes("identifier"):
            if file.text(node) == "bad":
                yield self.rewritten(
                    file, node, "R-04", "opens a call", [file.before(node, "f("), file.after(node, "")]
                )
            if file.text(node) == "good":
                yield self.rewritten(file, node, "R-04", "renamed", [file.replace(node, "better")])


@pytest.mark.spec("UPGC-29")
def test_an_edit_that_cannot_be_proved_is_told_and_not_made(tmp_path: Path) -> None:
    write(tmp_path, {"a.js": "good()\nbad()\nlast()\n"})
    project = Project(Tree(tmp_path, ["a.js"]))
    outcome = upgrade_script(project, "a.js", [_Careless()])
    assert outcome.new == b"better()\nbad()\nlast()\n"
    assert [(one.line, one.status) for one in outcome.findings] == [(1, "edited"), (2, "flagged")]


def test_pages_that_are_rendered_on_the_server_are_told() -> None:
    files: dict[str, str | bytes] = {
        "package.json": PACKAGE,
        "src/routes/+page.server.ts": "import { boards } from '$live/boards'\n",
        "src/routes/+layout.server.ts": "import { boards } from '$lib/db'\n",
    }
    told_of = [(one.row, one.path) for one in upgrade(files, only="UPJ18").findings]
    assert told_of == [("R-09", "src/routes/+page.server.ts")]


def test_only_what_is_connected_to_a_module_of_ours_is_parsed(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "package.json": PACKAGE,
            "src/hooks.ws.js": "export function close() {}\n",
            "src/lib/redis.js": EXTENSIONS,
            "src/lib/more.js": "export * from './redis'\nexport const status = 1\n",
            "src/lib/use.ts": "import { bus } from '$lib/more'\nbus.close(status)\n",
            "src/lib/alone.js": "import fs from 'node:fs'\nfs.close(status)\n",
            "src/lib/beside.js": "import './alone'\nconst status = 1\n",
        },
    )
    project = Project(Tree(tmp_path, scan(tmp_path).paths))
    codemods = [one for one in run_order() if one.id in ("UPJ01", "UPJ06")]
    assert script_paths(project, codemods) == ["src/hooks.ws.js", "src/lib/more.js", "src/lib/use.ts"]
