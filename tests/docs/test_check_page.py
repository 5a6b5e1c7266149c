"""The page of the rules is what the rules and their examples say."""

from __future__ import annotations

import pytest
from typer.main import get_command

from realtime_cli.commands import check
from realtime_cli.rules.catalog import all_rules
from realtime_cli.rules.page import FAMILIES, render_page
from tests.docs import examples

PAGE = examples.ROOT / "docs/reference/check.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_page(), (
        "run: python -m realtime_cli.rules.page docs/reference/check.md"
    )


def test_every_rule_belongs_to_a_family_of_the_page() -> None:
    assert {rule[:3] for rule in all_rules()} <= set(FAMILIES)


@pytest.mark.parametrize(
    "flag", [p.opts[0] for p in get_command(check.app).params if p.opts[0].startswith("--")]
)
def test_every_flag_is_there(flag: str) -> None:
    shared = {"--json", "--quiet", "--verbose", "--no-color", "--project", "--yes"}
    assert flag in shared or f"`{flag}" in PAGE.read_text(encoding="utf-8")
