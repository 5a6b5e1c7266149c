"""The page about the command line has every command, and every flag of the commands that it describes."""

from __future__ import annotations

import re
from types import ModuleType
from typing import get_args

import pytest
from typer.main import get_command

from realtime_cli import exitcodes
from realtime_cli.commands import call, types, watch
from realtime_cli.main import COMMANDS
from realtime_cli.typegen.compatibility import ChangeKind
from tests.docs import examples

PAGE = (examples.ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")


def test_every_command_and_exit_code_is_there() -> None:
    listed = set(re.findall(r"^\| \[?`(\w+)", PAGE.partition("| exit code |")[0], re.MULTILINE))
    assert listed == set(COMMANDS)
    codes = {value for name, value in vars(exitcodes).items() if name.isupper()}
    assert set(map(int, re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE))) == codes


@pytest.mark.parametrize("command", [types, call, watch], ids=lambda module: module.__name__)
def test_every_flag_is_there(command: ModuleType) -> None:
    declared = {
        flag
        for parameter in get_command(command.app).params
        for flag in parameter.opts
        if flag.startswith("--")
    }
    assert {flag for flag in declared if f"`{flag}" not in PAGE} <= {"--quiet", "--verbose"}


def test_every_kind_of_breaking_change_is_there() -> None:
    kinds = get_args(ChangeKind)
    assert len(kinds) == 6
    assert [kind for kind in kinds if f"`{kind}`" not in PAGE] == []
