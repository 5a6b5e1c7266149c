"""A project that was just made gives `realtime check` nothing to say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import realtime


@pytest.mark.spec("PLAT-157")
@pytest.mark.parametrize("template", ["board", "minimal"])
def test_a_fresh_project_is_clean(template: str, tmp_path: Path) -> None:
    made = realtime("new", "app", "--template", template, "--defaults", cwd=tmp_path)
    assert made.code == 0, made.err
    ended = realtime("check", "--strict", "--json", cwd=tmp_path / "app")
    found = json.loads(ended.out)["findings"]
    assert [(one["rule"], one["path"], one["message"]) for one in found if one["severity"] != "info"] == []
    assert ended.code == 0
