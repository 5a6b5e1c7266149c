"""Promises of the whole that no codemod makes alone."""

from __future__ import annotations

import importlib
import shutil
import tomllib
from pathlib import Path

import pytest

import runtime
from realtime_cli.codemods.catalog import all_codemods
from realtime_cli.rules.catalog import all_rules
from realtime_cli.rules.examples import BASE
from tests.cli.commands import realtime
from tests.upgrade.projects import after, stays, upgrade

ROOT = Path(__file__).parents[2]


@pytest.mark.spec("UPGC-5")
@pytest.mark.parametrize("arguments", [(), ("--dry-run",), ("--check",)])
def test_a_project_of_0_5_has_nothing_to_do(arguments: tuple[str, ...], tmp_path: Path) -> None:
    root = tmp_path / "app"
    shutil.copytree(BASE, root)
    before = {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()
    }
    ended = realtime("upgrade", "--allow-dirty", *arguments, cwd=root)
    assert ended.code == 0, ended.out + ended.err
    assert "nothing to do" in (ended.out + ended.err).lower()
    after_it = {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()
    }
    assert after_it == before


@pytest.mark.spec("UPGC-21")
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("['on_cron_error']", "['on_error']"),
        ('("x", "on_cron_error")', '("x", "on_error")'),
        ("[\n    'on_cron_error',  # kept\n    'x',\n]", "[\n    'on_error',  # kept\n    'x',\n]"),
    ],
)
def test_the_list_of_public_names_follows_a_rename(names: str, expected: str) -> None:
    source = f"from runtime import on_cron_error\n\n__all__ = {names}\nx = 1\n\non_cron_error(print)\n"
    made = after("UPG107", source)
    assert made == f"from runtime import on_error\n\n__all__ = {expected}\nx = 1\n\non_error(print)\n"


@pytest.mark.spec("UPGC-21")
def test_the_list_of_a_module_that_has_a_name_of_its_own_stays() -> None:
    assert stays("UPG107", "__all__ = ['on_cron_error']\n\n\ndef on_cron_error(f): ...\n")


CONFIG = "config = {'port': 3000, 'host': '0.0.0.0'}\n"


@pytest.mark.spec("UPGC-28")
def test_an_import_that_is_needed_twice_is_added_once_and_what_is_unused_goes() -> None:
    source = "from realtime_config import config\n\na = config['port']\nb = config['host']\n"
    made = upgrade({"realtime_config.py": CONFIG, "live/a.py": source}, only="UPG102").files["live/a.py"]
    assert made.count("from runtime import settings") == 1
    assert "realtime_config" not in made
    assert "a = settings().server.port\nb = settings().server.host\n" in made


@pytest.mark.spec("UPGC-28")
def test_an_import_that_was_there_is_used_and_one_that_was_unused_before_stays() -> None:
    imports = "from os import path\nfrom realtime_config import config\nfrom runtime import settings\n"
    source = imports + "\na = config['port']\n"
    made = upgrade({"realtime_config.py": CONFIG, "live/a.py": source}, only="UPG102").files["live/a.py"]
    assert made.count("import settings") == 1
    assert "from os import path" in made
    assert "realtime_config" not in made


@pytest.mark.spec("UPGC-28")
def test_an_import_that_something_else_still_uses_stays() -> None:
    source = "from realtime_config import config\n\na = config['port']\nb = dict(config)\n"
    made = upgrade({"realtime_config.py": CONFIG, "live/a.py": source}, only="UPG102").files["live/a.py"]
    assert "from realtime_config import config" in made


@pytest.mark.spec("UPGC-88")
def test_every_change_says_what_tells_of_it_in_0_5() -> None:
    rows = tomllib.loads((ROOT / "realtime_cli/codemods/rows.toml").read_text(encoding="utf-8"))["rows"]
    told = tomllib.loads((ROOT / "tests/spec/upgrade_slugs.toml").read_text(encoding="utf-8"))
    slugs = {row["check"] for row in rows} - {"-"}
    assert slugs == {*told["rules"], *told["upgrade_only"]}
    assert set(told["rules"]).isdisjoint(told["upgrade_only"])
    assert {rule for rules in told["rules"].values() for rule in rules} <= set(all_rules())


@pytest.mark.spec("UPGC-89")
def test_a_name_that_is_gone_says_what_it_is_called_now() -> None:
    with pytest.raises(
        ImportError,
        match=r"runtime\.on_cron_error is runtime\.on_error since 0\.5: realtime upgrade renames it",
    ):
        exec("from runtime import on_cron_error", {})
    with pytest.raises(ImportError, match="on_error"):
        getattr(runtime, "on_cron_error")  # noqa: B009
    assert not hasattr(runtime, "never_there")


@pytest.mark.spec("UPGC-89")
def test_every_public_rename_of_a_codemod_is_told() -> None:
    gone = importlib.import_module("runtime")._GONE
    renames = [
        rename
        for codemod in all_codemods().values()
        for rename in vars(importlib.import_module(type(codemod).__module__)).values()
        if type(rename).__name__ == "Rename"
    ]
    public = {rename.name: rename.new for rename in renames if rename.old.count(".") == 1}
    assert public == gone
    assert set(gone.values()) <= set(runtime.__all__)
