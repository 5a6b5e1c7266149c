"""The program as a whole: help, version, unknown commands, what it imports, completion."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from realtime_cli.main import COMMANDS
from tests.cli.commands import PROGRAM, environment, realtime

SHARED_FLAGS = ("--json", "--quiet", "-q", "--verbose", "-v", "--no-color", "--project", "--yes")
HEAVY = (
    "anyio",
    "asyncpg",
    "asyncio",
    "copier",
    "jinja2",
    "libcst",
    "msgspec",
    "pydantic",
    "redis",
    "rich",
    "runtime",
    "starlette",
    "tomlkit",
    "tree_sitter",
    "uvicorn",
    "watchfiles",
    "websockets",
    "yaml",
)
IMPORTED_BY = """
import json, runpy, sys
sys.argv = {argv!r}
try:
    runpy.run_module("realtime_cli", run_name="__main__")
except SystemExit as end:
    print(json.dumps([end.code, sorted({{name.partition(".")[0] for name in sys.modules}})]), file=sys.stderr)
"""


def imported(*arguments: str, cwd: Path) -> set[str]:
    """The top-level packages that a run of the program loads."""
    source = IMPORTED_BY.format(argv=["realtime", *arguments])
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=cwd, env=environment(), capture_output=True, text=True, check=True
    )
    code, names = json.loads(done.stderr.splitlines()[-1])
    assert code in (0, None)
    return set(names)


@pytest.mark.spec("PLAT-171")
@pytest.mark.parametrize("name", ["realtime", "realtime-toolkit"])
def test_both_programs_give_the_same_help(name: str, tmp_path: Path) -> None:
    script = Path(sys.executable).parent / name
    ended = realtime("--help", cwd=tmp_path, program=(str(script),))
    assert ended.code == 0
    assert ended.err == ""
    assert f"Usage: {name} " in ended.out
    for command, line in COMMANDS.items():
        assert f"  {command} " in ended.out
        assert line in ended.out


@pytest.mark.spec("PLAT-171")
@pytest.mark.parametrize(
    "arguments", [("--help",), ("new", "--help"), ("serve", "--help"), ("routes", "--help")]
)
def test_help_imports_no_server_driver_or_template_engine(arguments: tuple[str, ...], tmp_path: Path) -> None:
    names = imported(*arguments, cwd=tmp_path)
    assert "typer" in names
    allowed = (
        set() if arguments == ("--help",) else {"pydantic"}
    )  # typer uses it for options where it is there
    assert names & set(HEAVY) <= allowed


@pytest.mark.spec("PLAT-171")
def test_help_of_the_program_imports_no_command(tmp_path: Path) -> None:
    source = IMPORTED_BY.format(argv=["realtime", "--help"]).replace('.partition(".")[0]', "")
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    names = json.loads(done.stderr.splitlines()[-1])[1]
    ours = [name.partition(".")[2] for name in names if name.startswith("realtime_cli.")]
    assert ours == ["console", "exitcodes", "jsontext", "main"]


def test_version_names_the_distribution(tmp_path: Path) -> None:
    from importlib.metadata import version

    ended = realtime("--version", cwd=tmp_path)
    assert ended.code == 0
    assert ended.out.startswith(f"realtime-toolkit {version('realtime-toolkit')} ")


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("routs", "Did you mean 'routes'?"),
        ("server", "Did you mean 'serve'?"),
        ("xyzzy", "Commands: new, dev"),
    ],
)
def test_an_unknown_command_is_named_with_the_nearest(wrong: str, expected: str, tmp_path: Path) -> None:
    ended = realtime(wrong, cwd=tmp_path)
    assert ended.code == 2
    assert f"No such command '{wrong}'. {expected}" in ended.err


@pytest.mark.parametrize("arguments", [("--frobnicate",), ("new", "--frobnicate"), ("serve", "--port", "x")])
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ended = realtime(*arguments, cwd=tmp_path)
    assert ended.code == 2
    assert ended.out == ""


def test_without_a_command_the_help_is_shown(tmp_path: Path) -> None:
    ended = realtime(cwd=tmp_path)
    assert ended.code == 2
    assert "Commands:" in ended.err


PRINTING = [("--help",), ("--version",), ("new", "--help"), ("new", "--list"), ("new", "--list", "--json")]


def run_into(stdout: IO[str], *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, *arguments]
    env = environment({"PYTHONUNBUFFERED": None})
    return subprocess.run(
        command, cwd=cwd, env=env, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", PRINTING)
def test_a_full_disk_behind_stdout_ends_with_1_and_one_line(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    with Path("/dev/full").open("w") as full:
        ended = run_into(full, *arguments, cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "error: cannot write to the standard output: No space left on device",
        "  next: make room there, or send the output somewhere else",
    ]


@pytest.mark.parametrize("arguments", PRINTING)
def test_a_reader_that_goes_away_changes_nothing(arguments: tuple[str, ...], tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as gone:  # noqa: PTH123
        ended = run_into(gone, *arguments, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("arguments", PRINTING)
def test_a_closed_stdout_is_no_mistake(arguments: tuple[str, ...], tmp_path: Path) -> None:
    line = f"{shlex.join([*PROGRAM, *arguments])} >&-"
    ended = realtime("-c", line, cwd=tmp_path, program=("sh",))
    assert (ended.code, ended.err) == (0, "")


#: How to call a command that is a group of others.
WHOLE = {"config": ("config", "show")}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_the_shared_flags(command: str, tmp_path: Path) -> None:
    ended = realtime(*WHOLE.get(command, (command,)), "--help", cwd=tmp_path)
    assert ended.code == 0
    for flag in SHARED_FLAGS:
        assert flag in ended.out


# `call` and `watch` need an address, `upgrade` looks for a project of the old layout.
@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"new", "call", "watch", "upgrade"}))
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_outside_a_project_every_command_ends_with_2(
    command: str, flags: tuple[str, ...], tmp_path: Path
) -> None:
    ended = realtime(*WHOLE.get(command, (command,)), *flags, cwd=tmp_path)
    assert ended.code == 2
    assert "no realtime.toml in" in ended.err
    assert "realtime new NAME" in ended.err
    if flags:
        assert ended.data["error"]["exit"] == 2


def test_shell_completion_lists_commands_and_flags(tmp_path: Path) -> None:
    def complete(words: str) -> list[str]:
        env = {
            "_REALTIME_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        script = Path(sys.executable).parent / "realtime"
        return realtime(cwd=tmp_path, env=env, program=(str(script),)).out.split()

    assert complete("realtime ") == list(COMMANDS)
    assert complete("realtime ro") == ["routes"]
    assert complete("realtime new --te") == ["--template"]


def test_completion_script_is_shown_for_the_shell_that_asks(tmp_path: Path) -> None:
    script = Path(sys.executable).parent / "realtime"
    ended = realtime("-c", f"{script} --show-completion; true", cwd=tmp_path, program=("bash",))
    assert ended.code == 0
    assert "_REALTIME_COMPLETE=complete_bash" in ended.out
