"""The reference page of `realtime upgrade` is what the command and the catalogue say."""

from __future__ import annotations

import pytest
from typer.main import get_command

from realtime_cli import exitcodes
from realtime_cli.codemods.referencepage import EXAMPLES, EXIT_CODES, render_reference
from realtime_cli.commands import upgrade
from tests.docs import examples

PAGE = examples.ROOT / "docs/reference/upgrade.md"
SHARED = {"--json", "--quiet", "--verbose", "--no-color", "--project", "--yes"}


@pytest.mark.spec("UPGC-84")
def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_reference(), (
        "run: python -m realtime_cli.codemods.referencepage docs/reference/upgrade.md"
    )


@pytest.mark.spec("UPGC-84")
def test_every_option_has_an_example_that_uses_it() -> None:
    known = {
        flag
        for parameter in get_command(upgrade.app).params
        for flag in (*parameter.opts, *parameter.secondary_opts)
        if flag.startswith("--")
    }
    assert known - SHARED - {"--verify"} == EXAMPLES.keys()
    short = {"--interactive": "-i"}
    for option, (example, text) in EXAMPLES.items():
        assert example.startswith("realtime upgrade ")
        assert short.get(option, option) in example.split()
        assert text


def test_every_exit_code_of_the_command_is_told() -> None:
    assert EXIT_CODES.keys() <= {value for name, value in vars(exitcodes).items() if name.isupper()}
