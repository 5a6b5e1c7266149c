"""The migration guide has every change, and says what the codemods say."""

from __future__ import annotations

import re

import pytest

from realtime_cli.codemods.catalog import all_codemods
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.guide import all_advice
from realtime_cli.codemods.migrationpage import render_guide
from realtime_cli.codemods.rows import all_rows
from tests.docs import examples

PAGE = examples.ROOT / "docs/migration-0.4-to-0.5.md"
PARTS = {"C": "critical", "S": "required", "D": "defaults", "R": "recommended", "P": "layout"}
TIERS = ["Critical", "Required", "Our layout", "Notable defaults", "Recommended", "Cosmetic"]


@pytest.mark.spec("UPGC-84")
def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_guide(), (
        "run: python -m realtime_cli.codemods.migrationpage docs/migration-0.4-to-0.5.md"
    )


@pytest.mark.spec("UPGC-84")
def test_every_row_has_an_entry_in_its_tier() -> None:
    assert all_advice().keys() == all_rows().keys()
    assert {row: advice.part for row, advice in all_advice().items()} == {
        row: PARTS[row[0]] for row in all_rows()
    }
    text = PAGE.read_text(encoding="utf-8")
    entries = re.findall(r"^### ([A-Z]-\d\d) ", text, re.MULTILINE)
    assert sorted(entries) == sorted(all_rows())
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[: len(TIERS)] == TIERS


@pytest.mark.spec("UPGC-84")
@pytest.mark.parametrize("row", all_rows())
def test_every_entry_says_all_five_things(row: str) -> None:
    entry = PAGE.read_text(encoding="utf-8").split(f"### {row} ", 1)[1].split("\n### ", 1)[0]
    labels = re.findall(r"^\* \*\*(.+?)\*\*", entry, re.MULTILINE)
    assert labels[:5] == ["Before:", "Now:", "Does it concern you?", "The command:", "You:"]
    told = all_rows()[row]
    for codemod in re.findall(r"UP[GJ]\d{3}", told.codemod):
        assert f"`{codemod}`" in entry


@pytest.mark.parametrize(
    "row", [row for row, advice in all_advice().items() if advice.before or advice.before_toml]
)
def test_code_is_shown_before_and_after(row: str) -> None:
    advice = all_advice()[row]
    assert bool(advice.before) <= bool(advice.after or advice.after_toml)
    assert advice.before != advice.after or advice.before_toml != advice.after_toml


def test_rows_with_an_edit_in_python_show_code() -> None:
    shown = {row for row, advice in all_advice().items() if advice.before or advice.before_toml}
    files = {
        "S-01",
        "S-02",
        "S-04",
        "S-05",
        "S-06",
        "D-03",
        "R-13",
        "R-18",
        "P-04",
        "P-06",
    }  # no line of Python shows it
    edited = {row.id for row in all_rows().values() if row.change.startswith(("AUTO", "ASSISTED"))}
    assert edited - files <= shown


@pytest.mark.parametrize(
    "codemod", [one for one in all_codemods().values() if one.id.startswith("UPG")], ids=lambda one: one.id
)
def test_a_codemod_finds_the_rows_that_name_it(codemod: Codemod) -> None:
    rows = {row.id for row in all_rows().values() if codemod.id in row.codemod}
    shared = {"D-01", "D-03", "D-21"}  # introductions to other rows, and tabs, which only pages have
    assert rows - shared <= set(codemod.rows) <= rows | shared
