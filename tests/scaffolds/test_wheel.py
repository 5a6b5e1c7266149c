"""The wheel: what it carries, and that it works where nothing of the checkout is.

The wheel's own files come from the wheel; its dependencies are shared with this environment by a path file, so
that the test needs no network.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from realtime_cli.templates import list_templates
from tests.cli.commands import TIMEOUT, environment, realtime
from tests.scaffolds.conftest import Visitors

ROOT = Path(__file__).resolve().parents[2]
BUILD_TIMEOUT = 300


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_TIMEOUT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment with the wheel in it."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, symlinks=True, with_pip=False)
    python = home / "bin/python"
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "-q",
        "--no-index",
        "--no-deps",
    ]
    done = subprocess.run(
        [*command, str(wheel)], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    packages = next(home.glob("lib/python*/site-packages"))
    # A path in a path file is searched, but path files inside it are not: our editable install stays out.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def test_the_wheel_carries_templates_browser_files_and_type_marker(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for template in list_templates():
        for path in template.folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"realtime_cli/scaffolds/{template.name}/{path.relative_to(template.folder)}" in names
    assert {
        "runtime/py.typed",
        "runtime/client/browser/realtime.js",
        "runtime/client/browser/realtime.min.js",
        "runtime/client/browser/realtime.d.ts",
        "realtime_cli/devserver/dev.js",
    } <= names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"runtime", "realtime_cli"}
    assert not [name for name in names if "__pycache__" in name or name.endswith((".sqlite3", ".pyc"))]


def test_both_programs_come_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    for name in ("realtime", "realtime-toolkit"):
        ended = realtime("--version", cwd=tmp_path, program=(str(installed / name),))
        assert ended.code == 0, ended.err
        assert ended.out.startswith("realtime-toolkit ")
    where = "import runtime, realtime_cli; print(runtime.__file__, realtime_cli.__file__)"
    ended = realtime("-c", where, cwd=tmp_path, program=(str(installed / "python"),))
    assert all(path.startswith(str(installed.parent)) for path in ended.out.split())


@pytest.fixture
def dev(installed: Path, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A project made and served by the installed program; gives its folder and address."""
    program = (str(installed / "realtime"),)
    made = realtime("new", "from-wheel", "--json", cwd=tmp_path, program=program)
    assert made.code == 0, made.err
    project = tmp_path / "from-wheel"
    child = subprocess.Popen(
        [*program, "dev", "--port", "0", "--json-log"],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout is not None
    try:
        for line in child.stdout:
            said = json.loads(line)
            if said["event"] == "listening":
                yield project, said["url"]
                break
        else:
            pytest.fail(f"realtime dev ended with {child.wait()}")
    finally:
        child.terminate()
        child.communicate(timeout=TIMEOUT)
    assert child.returncode == 0


def test_a_project_is_made_served_and_edited_outside_the_checkout(
    dev: tuple[Path, str], visitors: Visitors
) -> None:
    project, url = dev
    page = visitors.open(url)
    expect(page.locator(".card")).to_have_count(4)
    page.get_by_label("New task").fill("From the wheel")
    page.keyboard.press("Enter")
    expect(page.locator('[data-status="todo"]')).to_contain_text("From the wheel")

    module = project / "live/board.py"
    module.write_text(
        module.read_text().replace('LiveError("EMPTY_NAME", "A name', 'LiveError("EMPTY_NAME", "Your name')
    )
    page.get_by_role("button", name="Change your name").click()
    field = page.get_by_role("textbox", name="Your name")
    expect(field).to_be_visible()
    page.wait_for_function(
        "async () => (await import('/live/board.js')).call_me.fresh(' ').catch(e => e.message.startsWith('Your'))"
    )
    assert (project / "types/live/board.d.ts").exists()
    assert [said for said in visitors.complaints if "EMPTY_NAME" not in said] == []
