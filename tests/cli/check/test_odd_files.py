"""Files that are no UTF-8, no files at all, or named to deceive: looked at as far as they run, and never changed."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from realtime_cli.rules.engine import Report, run_rules
from realtime_cli.rules.examples import BASE
from realtime_cli.rules.project import Project
from realtime_cli.rules.report_text import render_text
from tests.cli.check.projects import LIVE

if TYPE_CHECKING:
    from pathlib import Path

WAITS = "import time\n\n\n@live\nasync def wait(ctx, who: str) -> None:\n    time.sleep(1)\n"


def report_with(root: Path, path: str, content: bytes) -> Report:
    shutil.copytree(BASE, root, dirs_exist_ok=True)
    root.joinpath(path).write_bytes(content)
    return run_rules(Project.read(root, environ={}))


def test_python_in_another_encoding_is_looked_at(tmp_path: Path) -> None:
    text = "# -*- coding: latin-1 -*-\n# gr\xfcn\n" + LIVE + WAITS
    report = report_with(tmp_path, "live/old.py", text.encode("latin-1"))
    assert [one.rule for one in report.findings] == ["LIV003"]
    assert report.skipped == {}


def test_a_wrong_byte_hides_nothing(tmp_path: Path) -> None:
    text = (
        "# gr\xfcn\r\n" + LIVE + WAITS + "    platform = ctx.platform\n    platform.subscribe(ctx.ws, 'x')\n"
    )
    report = report_with(tmp_path, "live/old.py", text.encode("latin-1"))
    assert [one.rule for one in report.findings] == ["LIV003", "LIV014"]
    assert report.fixable == 0  # writing it would change the byte, too


def test_an_encoding_that_does_not_exist_breaks_nothing(tmp_path: Path) -> None:
    for name in ("nosuch", "rot13", "hex"):
        content = f"# coding: {name}\n".encode() + b"x = '\xff'\n"
        report = report_with(tmp_path / name, "live/old.py", content)
        assert report.failed == {}


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    shutil.copytree(BASE, tmp_path, dirs_exist_ok=True)
    for path in ("live/pipe.py", "web/pipe.html", ".env"):
        os.mkfifo(tmp_path / path)
    project = Project.read(tmp_path, environ={})
    report = run_rules(project)
    assert report.skipped == {"live/pipe.py": "no file"}
    assert project.dotenv == {".env": ""}


def test_names_and_texts_cannot_move_the_cursor(tmp_path: Path) -> None:
    name = "live/a\n0 errors\x1b[2J\x9b.py"
    report = report_with(tmp_path, name, (LIVE + WAITS).encode())
    lines = list(render_text(report, {}, paint=lambda text, _: text, excerpts=False))
    assert len(lines) == 3
    assert lines[0].startswith("live/a?0 errors?[2J?.py:")
    assert all(line.isprintable() for line in lines)
