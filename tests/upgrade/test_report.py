"""Reports and the terminal: names and code of the project are shown, and steer nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from realtime_cli.codemods.shown import as_code, as_prose, printable, utf8
from tests.cli.commands import Ended, realtime
from tests.upgrade.projects import write

LIVE = """
from runtime import live, on_cron_error


@live
async def a(ctx):
    ctx.throttle(1, 2, 3, 4, 5)
    ctx.publish('__`|<b>', 1)
"""
NAMES = ("a`b|c", "`", "new\nline", "<b>", "x*y", "esc\x1b[31m", os.fsdecode(b"bad\xff"))


@pytest.fixture(name="root")
def project(tmp_path: Path) -> Path:
    root = tmp_path / "app"
    files: dict[str, str | bytes] = {f"live/{name}.py": LIVE for name in NAMES}
    files["pyproject.toml"] = '[project]\nname = "x"\ndependencies = ["realtime-toolkit~=0.4.20"]\n'
    write(root, files)
    (root / "live/`big\x1b.py").write_bytes(b"#" * (2 * 1024 * 1024 + 1))
    return root


def run(root: Path, *arguments: str | Path, env: dict[str, str] | None = None) -> Ended:
    return realtime("upgrade", *arguments, cwd=root, env=env)


def test_odd_names_and_code_break_neither_reports_nor_the_terminal(root: Path, tmp_path: Path) -> None:
    reports = [tmp_path / "r.md", tmp_path / "r.json"]
    done = run(root, "--no-verify", "--allow-dirty", "--report", reports[0], "--report", reports[1])
    assert done.code == 0, done.err
    text = reports[0].read_text()
    assert "\x1b" not in text + done.err
    assert "left alone live/`big\\x1b.py: " in done.err
    for name in ("esc\\x1b[31m.py", "new\\nline.py", "bad\\xff.py"):
        assert name in text
    assert "``live/a`b|c.py:1:27``" in text
    assert "* ``live/`.py``: edited\n" in text
    assert "ctx.publish('\\_\\_\\`|\\<b>')" in text
    assert ". ctx.publish_throttled(topic, event, data, seconds) publishes" in text
    report = json.loads(reports[1].read_text())
    paths = {one["path"] for one in report["files"]}
    assert {"live/a`b|c.py", "live/new\nline.py", "live/bad\\xff.py"} <= paths
    assert run(root, "--undo").code == 0
    for name in NAMES:
        assert "on_cron_error" in (root / f"live/{name}.py").read_text()


@pytest.mark.parametrize("name", ["nowhere/r.md", "live", "report", "report.txt"])
def test_a_report_that_cannot_be_written_is_refused_before_anything(root: Path, name: str) -> None:
    before = {path: path.read_bytes() for path in root.rglob("*.*") if path.is_file()}
    refused = run(root, "--no-verify", "--allow-dirty", "--report", name)
    assert refused.code == 2
    assert "--report: " in refused.err
    assert {path: path.read_bytes() for path in root.rglob("*.*") if path.is_file()} == before


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {}, {"TERM": "dumb"}])
@pytest.mark.parametrize("flag", ["--diff", "--dry-run", "--check"])
def test_there_is_no_colour_where_nobody_looks(root: Path, variables: dict[str, str], flag: str) -> None:
    looked = run(root, flag, "--exclude", "live/esc*", "--exclude", "live/?big*", env=variables)
    assert "\x1b" not in looked.out + looked.err
    coloured = run(root, "--diff", env={"FORCE_COLOR": "1"})
    assert "\x1b[32m+" in coloured.out
    plain = run(root, "--diff", env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).out
    assert "\x1b[32m+" not in plain


@pytest.mark.parametrize(
    ("text", "code", "prose"),
    [
        ("plain_name", "`plain_name`", "plain_name"),
        ("`x`", "`` `x` ``", "\\`x\\`"),
        ("a``b", "```a``b```", "a\\`\\`b"),
        ("__init__", "`__init__`", "\\_\\_init\\_\\_"),
        ("a < b, x<y, 1<2", "`a < b, x<y, 1<2`", "a < b, x\\<y, 1<2"),
        ("*a [b](c) \\*", "`*a [b](c) \\*`", "\\*a \\[b](c) \\\\\\*"),
        ("a\r\nb\x9b\u202e", "`a\\r\\nb\\x9b\\u202e`", "a\\r\\nb\\x9b\\u202e"),
        ("é \udcff", "`é \\xff`", "é \\xff"),
    ],
)
def test_texts_in_markdown(text: str, code: str, prose: str) -> None:
    assert as_code(text) == code
    assert as_prose(text) == prose
    assert printable(text).isprintable()
    assert utf8(text).encode()
