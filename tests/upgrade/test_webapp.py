"""A whole SvelteKit app, upgraded: `webapp/before` becomes `webapp/after`, byte for byte."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from realtime_cli.codemods.catalog import all_codemods
from realtime_cli.codemods.engine import Plan, make_plan
from realtime_cli.codemods.portreport import live_exports, port_report
from realtime_cli.codemods.project import Options, Project, Tree
from realtime_cli.codemods.scan import scan
from tests.upgrade.projects import write

HERE = Path(__file__).parent / "webapp"
_SCRIPT_CODEMODS = frozenset(name for name in all_codemods() if name.startswith("UPJ"))


def _planned(root: Path) -> tuple[Project, Plan]:
    project = Project(Tree(root, scan(root).paths), Options(), "javascript")
    plan = make_plan(project, selected=_SCRIPT_CODEMODS)
    assert not plan.unproved, plan.findings
    return project, plan


def _files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A copy of the app before, in a folder of its own."""
    return Path(shutil.copytree(HERE / "before", tmp_path / "app"))


@pytest.mark.spec("UPGC-1", "UPGC-10", "UPGC-81")
def test_the_app_becomes_what_is_written_down(app: Path) -> None:
    project, _ = _planned(app)
    expected = _files(HERE / "after")
    assert {path: project.tree.read(path) for path in project.tree.files()} == expected
    assert _files(app) == _files(HERE / "before")


@pytest.mark.spec("UPGC-30", "UPGC-79")
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_second_run_edits_nothing(tmp_path: Path, end: bytes) -> None:
    after = {path: raw.replace(b"\n", end) for path, raw in _files(HERE / "after").items()}
    write(tmp_path, {**after})
    project, plan = _planned(tmp_path)
    assert project.tree.changed == {}
    statuses = {str(one.status) for one in plan.findings}
    assert statuses == {"open", "flagged"}


@pytest.mark.spec("UPGC-11")
def test_line_ends_are_kept(tmp_path: Path) -> None:
    write(tmp_path, {path: raw.replace(b"\n", b"\r\n") for path, raw in _files(HERE / "before").items()})
    project, _ = _planned(tmp_path)
    expected = {path: raw.replace(b"\n", b"\r\n") for path, raw in _files(HERE / "after").items()}
    assert {path: project.tree.read(path) for path in project.tree.files()} == expected


def test_what_is_told_of_the_app(app: Path) -> None:
    _, plan = _planned(app)
    told = [(one.codemod, one.row, one.path, one.line) for one in plan.findings if one.status == "flagged"]
    assert told == [
        ("UPJ16", "S-05", "package.json", 10),
        ("UPJ10", "S-21", "src/hooks.ws.ts", 26),
        ("UPJ01", "S-07", "src/hooks.ws.ts", 29),
        ("UPJ18", "D-18", "src/lib/server/redis.ts", 8),
        ("UPJ18", "C-02", "src/live/boards.ts", 6),
        ("UPJ18", "C-01", "src/live/boards.ts", 8),
        ("UPJ10", "S-21", "src/live/boards.ts", 30),
        ("UPJ07", "D-05", "src/routes/+page.svelte", 18),
        ("UPJ07", "D-05", "src/routes/+page.svelte", 18),
    ]


@pytest.mark.spec("UPGC-83")
def test_the_settings_in_toml(app: Path) -> None:
    lines = port_report(Project(Tree(app, scan(app).paths), kind="javascript"))
    text = "\n".join(lines)
    settings = text[text.index("```toml") :].split("```")[1]
    assert settings.removeprefix("toml\n") == (HERE / "settings.toml").read_text()
    assert "* `BODY_SIZE_LIMIT` is `REALTIME_SERVER__BODY_LIMIT`" in lines
    assert "* `PORT` is `REALTIME_SERVER__PORT`" in lines
    assert "* svelte.config.js: allowedOrigins cannot be read without running the file" in lines
    assert "1M" not in text


def test_the_inventory(app: Path) -> None:
    project = Project(Tree(app, scan(app).paths), kind="javascript")
    (member,) = project.scripts.members
    found = {one.path: (one.kind, one.parameters) for one in live_exports(project, member)}
    assert found == {
        "boards/_guard": ("gate", ()),
        "boards/addBoard": ("rpc", ("title", "color")),
        "boards/boards": ("stream", ()),
        "boards/joinBoard": ("rpc", ("id",)),
        "boards/notes/focusNote": ("rpc", ("id",)),
        "boards/notes/notes": ("stream", ("board",)),
        "boards/room": ("room", ("id",)),
        "boards/tick": ("cron", ()),
    }
    text = "\n".join(port_report(project))
    assert "* `add_board`: `boards/addBoard`" in text
    assert "`@live.stream(...) over async def notes(ctx, board)`" in text
    assert "* `bus` (src/lib/server/redis.ts:6): `runtime.cluster.PubSubBus`" in text
    assert "* `upgrade`: `upgrade` of `hooks.py`" in text
    assert "* src/routes/+page.svelte:3: `notes` of `$live/boards/notes`" in text


@pytest.mark.spec("UPGC-9")
def test_each_member_of_a_workspace_has_its_own(tmp_path: Path) -> None:
    before = _files(HERE / "before")
    write(tmp_path, {"package.json": b'{"workspaces": ["apps/*"]}'})
    for member in ("a", "b"):
        write(tmp_path, {f"apps/{member}/{path}": raw for path, raw in before.items()})
    project, _ = _planned(tmp_path)
    after = _files(HERE / "after")
    for member in ("a", "b"):
        for path, raw in after.items():
            assert project.tree.read(f"apps/{member}/{path}") == raw, path
    text = "\n".join(port_report(project))
    assert [line for line in text.split("\n") if line.startswith("## ")] == [
        "## Inventory for a port of apps/a/",
        "## Inventory for a port of apps/b/",
    ]


@pytest.mark.spec("UPGC-31")
def test_in_several_processes_the_result_is_the_same(tmp_path: Path) -> None:
    before = _files(HERE / "before")
    for number in range(4):
        write(tmp_path, {f"apps/{number}/{path}": raw for path, raw in before.items()})
    project = Project(Tree(tmp_path, scan(tmp_path).paths), Options(), "javascript")
    plan = make_plan(project, selected=_SCRIPT_CODEMODS, jobs=2)
    alone, other = _planned(tmp_path)
    assert project.tree.changed == alone.tree.changed
    assert plan.findings == other.findings


def _write_mixed(root: Path) -> None:
    """A Python 0.4 project beside a SvelteKit app, each in its own way. Spec: upgrade 7, 15."""
    write(root, {f"site/{path}": raw for path, raw in _files(HERE / "before").items()})
    write(
        root,
        {
            "hooks_ws.py": "from runtime import on_cron_error\n\non_cron_error(print)\n",
            "src/live/a.py": "",
            "web/app.js": "import { status } from '/live/client.js';\nstatus.subscribe((s) => show(s === 'closed'));\n",
        },
    )


@pytest.mark.spec("UPGC-8", "UPGC-81")
def test_python_and_javascript_side_by_side(tmp_path: Path) -> None:
    _write_mixed(tmp_path)
    project = Project(Tree(tmp_path, scan(tmp_path).paths), Options(), "both")
    plan = make_plan(project)
    assert not plan.unproved
    for path, raw in _files(HERE / "after").items():
        assert project.tree.read(f"site/{path}") == raw, path
    assert b"on_error(print)" in project.tree.read("hooks.py")
    assert "live/a.py" in project.tree
    assert b"(s === 'disconnected' || s === 'failed')" in project.tree.read("web/app.js")


@pytest.mark.spec("UPGC-81")
def test_with_the_codemods_of_python_nothing_else_changes(app: Path) -> None:
    project = Project(Tree(app, scan(app).paths), Options(), "javascript")
    make_plan(project)
    assert {path: project.tree.read(path) for path in project.tree.files()} == _files(HERE / "after")
