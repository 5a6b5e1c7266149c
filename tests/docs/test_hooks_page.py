"""The reference page of the hooks agrees with the table that binds their parameters."""

from __future__ import annotations

import re

from runtime.server.hooks import HOOKS
from tests.docs.examples import ROOT


def test_the_page_has_every_hook_with_its_parameters() -> None:
    text = (ROOT / "docs" / "reference" / "hooks.md").read_text(encoding="utf-8")
    table = text.partition("## The table")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", table, re.MULTILINE)
    assert {name: tuple(re.findall(r"`(\w+)`", names)) for name, names in rows} == dict(HOOKS)
