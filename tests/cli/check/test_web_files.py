"""The rules about the files of the web folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from realtime_cli.rules.engine import run_rules
from realtime_cli.rules.examples import BASE
from realtime_cli.rules.project import Project
from tests.cli.check.projects import findings, report_of

HOOKS = (BASE / "hooks.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"web/index.html": "", "web/app.js": "x;\n"}, True),
        ({"web/index.html": "", "web/index.html.j2": "<p>{{ x }}\n"}, False),
        (
            {
                "web/index.html": "",
                "hooks.py": HOOKS
                + "\n\nfrom starlette.routing import Route as R, Route\n\nroutes = [Route('/', print)]\n",
            },
            False,
        ),
        ({"web/index.html": "", "hooks.py": HOOKS + "\n\nroutes = [Mount('/', app)]\n"}, False),
    ],
)
def test_something_has_to_answer_at_the_root(tmp_path: Path, files: dict[str, str], found: bool) -> None:
    report_of(tmp_path, {name: text for name, text in files.items() if text})
    tmp_path.joinpath("web/index.html").unlink()
    rules = [one.rule for one in run_rules(Project.read(tmp_path, environ={})).findings]
    assert rules == ["CFG018"] * found


def test_siblings_are_compared_by_time_and_size(tmp_path: Path) -> None:
    files = {"web/deep/app.js": "a longer text than what is compressed\n", "web/deep/app.js.br": "short\n"}
    assert findings(tmp_path, files) == []
    sibling = tmp_path / "web/deep/app.js.br"
    os.utime(sibling, (1, 1))
    (found,) = run_rules(Project.read(tmp_path, environ={})).findings
    assert (found.rule, found.path, "older" in found.message) == ("CFG019", "web/deep/app.js.br", True)
    tmp_path.joinpath("web/deep/app.js").unlink()
    assert run_rules(Project.read(tmp_path, environ={})).findings == ()
