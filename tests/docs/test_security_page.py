"""The page about security names every switch as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from runtime.core.settings import SecuritySettings
from runtime.server.startup import DANGEROUS, OTHER_SWITCHES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]
OPTED_OUT = {"async_predicates": '"legacy_allow"', "require_guard": '"off"'}


def switches() -> list[str]:
    defaults = SecuritySettings()
    return [
        name
        for name in SecuritySettings.__struct_fields__
        if isinstance(getattr(defaults, name), bool) or name in {*OTHER_SWITCHES, "require_guard"}
    ]


@pytest.mark.parametrize("name", switches())
def test_each_switch_has_a_row_with_its_value_its_danger_and_its_cost(name: str) -> None:
    default = getattr(SecuritySettings(), name)
    value = OPTED_OUT.get(name) or json.dumps(not default)
    (row,) = [row for row in ROWS if f"`{name} = {value}`" in row[2]]
    assert (f"`{name} = {value}` **D**" in row[2]) is (name in DANGEROUS)
    assert len(row[3].strip(" |")) > 20


def test_every_row_has_a_threat_a_rule_and_where_there_is_an_opt_out_its_cost() -> None:
    assert len(ROWS) > 22
    for row in ROWS:
        assert len(row) == 4, row
        if row[2] not in ("none", "opt-out"):
            assert row[3].strip(" |"), row


def test_it_names_what_exists() -> None:
    for name in re.findall(r"`(?:\[security\] )?([a-z_]+) = ", PAGE):
        assert name in SecuritySettings.__struct_fields__ or name in (
            "trusted_proxies",
            "compression",
            "allowed_origins",
        ), name
    assert (ROOT / "tests" / "server" / "attacks").is_dir()


def test_security_md_says_how_to_report_and_where_the_rest_stands() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert "Report a vulnerability" in text
    assert "docs/security.md" in text
