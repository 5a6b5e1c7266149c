"""Every example of the documents runs, loads, or at least compiles."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import anyio.to_thread
import pytest

from runtime import create_app
from runtime.server.settings_source import load_settings
from tests.docs import examples
from tests.docs.examples import Example

RUN_TIMEOUT = 60
PROJECT_DOCUMENTS = [
    name for name in examples.documents() if any(example.file for example in examples.examples_of(name))
]
TESTED_DOCUMENTS = [
    name
    for name in PROJECT_DOCUMENTS
    if any((example.file or "").startswith("tests/") for example in examples.examples_of(name))
]
RUN_EXAMPLES = [
    example for example in examples.all_examples("python") if example.first_line.startswith("# doctest: run")
]


def ids(found: list[Example]) -> list[str]:
    return [example.id for example in found]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONWARNINGS": "error"}


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


async def load(folder: Path) -> None:
    """Start and stop the app of a project; every problem of its modules is a failure."""
    app = create_app(folder, lifespan="manual")
    await app.start()
    try:
        assert not app.state.runtime.live.registry.problems
    finally:
        await app.stop("lifespan")


PYTHON = examples.all_examples("python")


@pytest.mark.parametrize("example", PYTHON, ids=ids(PYTHON))
def test_python_compiles(example: Example) -> None:
    compile(example.text, example.id, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


TOML = examples.all_examples("toml")


@pytest.mark.parametrize("example", TOML, ids=ids(TOML))
def test_toml_is_valid(example: Example, tmp_path: Path) -> None:
    tomllib.loads(example.text)
    if example.file == "realtime.toml":
        examples.write(example, tmp_path)
        load_settings(tmp_path)


def _scripts() -> list[Example]:
    inline = [
        Example(page.document, page.line, "js", script)
        for page in examples.all_examples("html")
        for script in re.findall(r'<script type="module">(.*?)</script>', page.text, re.DOTALL)
    ]
    return examples.all_examples("js", "javascript") + inline


SCRIPTS = _scripts()


@pytest.mark.parametrize("example", SCRIPTS, ids=ids(SCRIPTS))
def test_javascript_parses(example: Example, tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node, "node is needed: make system"
    path = tmp_path / "example.mjs"
    path.write_text(example.text, encoding="utf-8")
    run([node, "--check", str(path)], tmp_path)


@pytest.mark.parametrize("document", PROJECT_DOCUMENTS)
async def test_project_of_a_document_loads_at_every_step(document: str, tmp_path: Path) -> None:
    examples.start_project(document, tmp_path)
    for example in examples.examples_of(document):
        if example.file is None:
            continue
        examples.write(example, tmp_path)
        if example.file.startswith("live/") or example.file in ("hooks.py", "realtime.toml"):
            await load(tmp_path)


@pytest.mark.parametrize("document", TESTED_DOCUMENTS)
def test_tests_of_a_document_pass(document: str, tmp_path: Path) -> None:
    examples.start_project(document, tmp_path)
    for example in examples.examples_of(document):
        if example.file:
            examples.write(example, tmp_path)
    run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"], tmp_path)


@pytest.mark.parametrize("example", RUN_EXAMPLES, ids=ids(RUN_EXAMPLES))
async def test_script_runs(example: Example, tmp_path: Path) -> None:
    from runtime.testing import running_server

    examples.start_project(example.document, tmp_path)
    for other in examples.examples_of(example.document):
        if other.file:
            examples.write(other, tmp_path)
    script = tmp_path / "example_script.py"
    if "with server" not in example.first_line:
        script.write_text(example.text, encoding="utf-8")
        run([sys.executable, str(script)], tmp_path)
        return
    async with running_server(tmp_path) as server:
        text = example.text.replace("127.0.0.1:3000", server.url.removeprefix("http://").rstrip("/"))
        script.write_text(text, encoding="utf-8")
        await anyio.to_thread.run_sync(run, [sys.executable, str(script)], tmp_path)


COMMANDS = [
    (example, line.strip())
    for example in examples.all_examples("bash", "sh")
    for line in example.text.splitlines()
    if line.strip() and not line.startswith("#")
]


@pytest.mark.parametrize(
    ("example", "line"), COMMANDS, ids=[f"{found.id} {line}" for found, line in COMMANDS]
)
def test_command_exists(example: Example, line: str, tmp_path: Path) -> None:
    """`make` targets and `realtime` commands with their flags; anything else must be a plain known command."""
    words = line.split("#")[0].split()
    match words:
        case ["make", *targets]:
            known = set(re.findall(r"^([\w-]+):", (examples.ROOT / "Makefile").read_text(), re.MULTILINE))
            assert {target for target in targets if "=" not in target} <= known
        case ["realtime", command, *rest]:
            text = run([sys.executable, "-m", "realtime_cli", command, "--help"], tmp_path)
            missing = [flag for flag in rest if flag.startswith("--") and flag not in text]
            assert not missing, f"realtime {command} knows no {missing}"
        case [program, *_]:
            assert program in {"cd", "uvx", "python", "pip", "git", ".venv/bin/python", "uvicorn"}, line
