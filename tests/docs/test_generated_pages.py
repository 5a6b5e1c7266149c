"""The pages that are written from constants and settings are what these say."""

from __future__ import annotations

import re

import pytest

from realtime_cli.codemods.rows import all_rows
from runtime.core import capacity
from runtime.core.settings import SECTIONS, keys_of
from tests.docs import examples
from tools.configuration_page import FIRST, TITLES, render_configuration
from tools.limits_page import GROUPS, render_limits

LIMITS = examples.ROOT / "docs/production-limits.md"
CONFIGURATION = examples.ROOT / "docs/configuration.md"


@pytest.mark.spec("UPGC-85")
def test_the_page_of_the_limits_is_up_to_date() -> None:
    assert LIMITS.read_text(encoding="utf-8") == render_limits(), (
        "run: python -m tools.limits_page docs/production-limits.md"
    )


@pytest.mark.spec("UPGC-85")
def test_every_bound_is_there_once_with_what_happens() -> None:
    text = LIMITS.read_text(encoding="utf-8").partition("## Constants")[2].partition("## Settings")[0]
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([\d,]+) \| (.+?) \| (\w+): (.+) \|$", text, re.MULTILINE)
    assert sorted(name for name, *_ in rows) == sorted(capacity.DEFAULTS)
    assert {name: int(value.replace(",", "")) for name, value, *_ in rows} == dict(capacity.DEFAULTS)
    assert re.findall(r"^### (.+)$", text, re.MULTILINE) == list(GROUPS)


@pytest.mark.spec("UPGC-85")
def test_the_page_of_the_configuration_is_up_to_date() -> None:
    assert CONFIGURATION.read_text(encoding="utf-8") == render_configuration(), (
        "run: python -m tools.configuration_page docs/configuration.md"
    )


@pytest.mark.spec("UPGC-85")
def test_every_setting_is_there_and_the_security_flags_come_first() -> None:
    text = CONFIGURATION.read_text(encoding="utf-8")
    found = re.findall(r"^\| `\[([\w.]+)\] (\w+)` \| `(\w+)` \|", text, re.MULTILINE)
    assert sorted((section, key) for section, key, _ in found) == sorted(
        (section, key) for section, struct in SECTIONS.items() for key in keys_of(struct)
    )
    assert found[0][0] == FIRST
    assert len({variable for _, _, variable in found}) == len(found)
    assert TITLES.keys() <= SECTIONS.keys()


@pytest.mark.spec("UPGC-85")
def test_the_tour_names_what_the_guide_and_the_pages_have() -> None:
    tour = (examples.ROOT / "docs/whats-new-0.5.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", tour, re.MULTILINE)
    for part in ("Uploads", "Lifecycle", "Windows", "Platform", "Plugins", "Cluster", "Capacity", "Security"):
        assert part in headings
    fragment = (examples.ROOT / "docs/changelog.d/upgrade.added.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\b([CSDRP]-\d\d)\b", fragment)) <= all_rows().keys()


@pytest.mark.spec("UPGC-85")
@pytest.mark.parametrize(
    "module", ["runtime/core/capacity.py", "realtime_cli/codemods", "realtime_cli/rules"]
)
def test_the_architecture_names_the_places(module: str) -> None:
    text = (examples.ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert module.removeprefix("runtime/") in text
