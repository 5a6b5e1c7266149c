"""What every template promises: its own tests pass, its types are right, its declarations can be written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from realtime_cli.templates import list_templates
from tests.cli.commands import environment, realtime

TIMEOUT = 180
TEMPLATES = [template.name for template in list_templates()]
OPTIONAL = ("redis", "asyncpg", "pydantic", "opentelemetry", "tree_sitter")
# Python runs this file first in every process, so the packages are missing for whoever asks.
BLOCK = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""

pytestmark = pytest.mark.parametrize("template", TEMPLATES)


def run(command: list[str], cwd: Path, env: Mapping[str, str | None] | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=environment(env), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_own_tests_pass(template: str, make: Callable[[str], Path]) -> None:
    project = make(template)
    assert " passed" in run([str(Path(sys.executable).parent / "pytest")], project)
    assert not (project / "data").exists()  # the tests have a board of their own


@pytest.mark.spec("PLAT-175")
def test_its_own_tests_pass_without_the_optional_packages(
    template: str, make: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    env = {"PYTHONPATH": str(tmp_path)}
    check = f"import importlib.util as u; print([n for n in {OPTIONAL!r} if u.find_spec(n)])"
    with pytest.raises(AssertionError, match="No module named 'redis'"):
        run([sys.executable, "-c", check], tmp_path, env)
    assert " passed" in run([sys.executable, "-m", "pytest"], make(template), env)


@pytest.fixture(autouse=True, scope="session")
def one_mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Read the standard library's types once for all templates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYPY_CACHE_DIR", str(tmp_path_factory.mktemp("mypy")))
        yield


def test_its_types_are_right(template: str, make: Callable[[str], Path]) -> None:
    project = make(template)
    assert "Success" in run([sys.executable, "-m", "mypy"], project)
    out = run([sys.executable, "-m", "pyright", "--pythonpath", sys.executable], project)
    assert "0 errors, 0 warnings" in out


def test_its_style_is_ours(template: str, make: Callable[[str], Path]) -> None:
    run(
        [sys.executable, "-m", "ruff", "check", "--select", "E,F,I,UP,B,SIM,RUF", "--line-length", "110"],
        make(template),
    )


def test_its_scripts_are_javascript(template: str, make: Callable[[str], Path]) -> None:
    node = shutil.which("node")
    assert node is not None, "node is missing: `make test` installs it"
    for script in (make(template) / "web").glob("*.js"):
        module = script.rename(script.with_suffix(".mjs"))
        run([node, "--check", str(module)], script.parent)


def test_every_path_is_listed_with_its_guard_and_types_can_be_written(
    template: str, make: Callable[[str], Path]
) -> None:
    project = make(template)
    routes = realtime("routes", "--json", cwd=project).data
    assert routes["ok"] is True
    assert all(route["guard"] or route["public"] for route in routes["routes"])
    assert all(route["doc"] for route in routes["routes"])
    assert realtime("types", cwd=project).code == 0
    assert realtime("types", "--check", cwd=project).code == 0
    run([sys.executable, "-m", "mypy", "--strict", "types/python/realtime_live.pyi"], project)
