"""`realtime serve` with settings that are not safe to start with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.apps import PINNED, write_project
from tests.cli.commands import realtime, serving

HOOK = """
    def upgrade():
        return None
"""


@pytest.mark.spec("WIRE-7", "PLAT-110")
def test_it_ends_with_2_and_names_what_would_do(tmp_path: Path) -> None:
    project = write_project(tmp_path / "app", {"realtime.toml": ""})
    ended = realtime("serve", "--port", "0", "--project", project, cwd=tmp_path)
    assert ended.code == 2
    assert "refused to start: nothing says which host is the app's own" in ended.err
    assert 'allowed_hosts = ["localhost", "127.0.0.1"]' in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.spec("WIRE-7", "PLAT-110")
@pytest.mark.parametrize(
    "files",
    [
        {"realtime.toml": PINNED},
        {"realtime.toml": "", "hooks.py": HOOK},
        {"realtime.toml": "[server]\norigin = 'https://app.example.com'\n"},
        {"realtime.toml": "[security]\nunsafe_same_origin_without_host_pin = true\n"},
    ],
)
def test_what_it_names_does(files: dict[str, str], tmp_path: Path) -> None:
    with serving(write_project(tmp_path / "app", files)) as (_, url):
        assert url.startswith("http://")
