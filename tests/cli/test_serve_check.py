"""`realtime serve` says what `realtime check` finds, and refuses to start on what that marks."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Literal

import pytest

from realtime_cli.rules.catalog import all_rules
from realtime_cli.rules.examples import BASE, environment_of, write_example
from tests.cli.commands import PROGRAM, environment, realtime

BLOCKING = sorted(rule.id for rule in all_rules().values() if rule.blocking)
#: The certificate of its example is a name only.
STARTS = [rule for rule in BLOCKING if rule != "CFG004"]
#: That of CFG012 is about another system than this one.
REFUSED = [rule for rule in BLOCKING if rule != "CFG012"]
CASES = [*((rule, "bad") for rule in REFUSED), *((rule, "ok") for rule in STARTS)]
PATIENCE = 60.0


def started(project: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, "serve", "--host", "127.0.0.1", "--port", "0"],
        cwd=project,
        env=environment({"REALTIME_CHECK__ON_START": None, **env}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_errors_are_logged_when_it_has_started_and_warnings_are_not(tmp_path: Path) -> None:
    shutil.copytree(BASE, tmp_path, dirs_exist_ok=True)
    write_example("LIV002", "bad", tmp_path)
    (tmp_path / "app.py").write_text("database = None\n")
    text = (tmp_path / "live/todos.py").read_text()
    nap = text.replace("from app", "import time\n\nfrom app").replace("await database.delete", "time.sleep")
    (tmp_path / "live/nap.py").write_text(nap)
    child = started(tmp_path, {})
    try:
        assert child.stderr is not None
        lines: list[str] = []
        deadline = time.monotonic() + PATIENCE
        while not any("LIV002" in line for line in lines) and time.monotonic() < deadline:
            lines.append(child.stderr.readline())
        assert any("Listening on" in line for line in lines), lines
        [told] = [line for line in lines if "LIV002" in line]
        assert "ERROR realtime.check: live/todos.py:12: LIV002 remove is public" in told
        assert not any("LIV003" in line for line in lines)
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=PATIENCE)
    assert child.returncode == 0


@pytest.mark.spec("PLAT-155")
@pytest.mark.parametrize(("rule", "which"), CASES)
def test_it_refuses_what_a_marked_rule_finds_and_starts_without(
    rule: str, which: Literal["bad", "ok"], tmp_path: Path
) -> None:
    write_example(rule, which, tmp_path)
    found = environment_of(rule, which)
    variables = {name: value for name, value in found.items() if not name.startswith("REALTIME_CHECK_")}
    if which == "bad":
        ended = realtime("serve", "--host", "127.0.0.1", "--port", "0", cwd=tmp_path, env=variables)
        assert ended.code in {2, 3}, ended.err
        return
    child = started(tmp_path, {**variables, "REALTIME_CHECK__ON_START": "0"})
    try:
        assert child.stderr is not None
        line = child.stderr.readline()
        while line and "Listening on" not in line:
            line = child.stderr.readline()
        assert "Listening on" in line
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=PATIENCE)
