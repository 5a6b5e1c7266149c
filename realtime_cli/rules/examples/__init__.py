"""The examples of the rules: for each a project in which it finds something, and one in which it finds nothing.

A folder `SEC001_bad` or `SEC001_ok` holds the files in which the example differs from the project in `base`, which is
clean. A file that is empty there does not exist in the example.
The keys of a `realtime.toml` are put into that of the base project, unless its first line is a comment that says "the
whole file", or it is no TOML. A file `environment` holds the variables, a line `NAME=VALUE` for each; `answers.json`
what the backends that the settings name answer, in the examples of rules that ask them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

__all__ = ["ANSWERS", "BASE", "FOLDER", "answers_of", "environment_of", "examples_of", "write_example"]

FOLDER = Path(__file__).parent
BASE = FOLDER / "base"
ENVIRONMENT = "environment"
ANSWERS = "answers.json"


def examples_of(rule: str, which: Literal["bad", "ok"]) -> dict[str, str]:
    """Return the files of an example by path, without those of the base project."""
    folder = FOLDER / f"{rule}_{which}"
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def write_example(rule: str, which: Literal["bad", "ok"], target: Path) -> None:
    """Write the whole project of an example into a folder."""
    shutil.copytree(BASE, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in examples_of(rule, which).items():
        if name in {ENVIRONMENT, ANSWERS}:
            continue
        path = target / name
        if name == "realtime.toml":
            text = _merged(text)
        if text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        else:
            path.unlink(missing_ok=True)


def environment_of(rule: str, which: Literal["bad", "ok"]) -> dict[str, str]:
    """Return the variables of an example."""
    lines = examples_of(rule, which).get(ENVIRONMENT, "").splitlines()
    return dict(line.split("=", 1) for line in lines if line)


def answers_of(rule: str, which: Literal["bad", "ok"]) -> dict[str, dict[str, Any]] | None:
    """Return what the backends answer in an example, by backend; None where the rule asks none."""
    text = examples_of(rule, which).get(ANSWERS)
    answers: dict[str, dict[str, Any]] | None = None if text is None else json.loads(text)
    return answers


def _merged(text: str) -> str:
    """Return the settings of the base project with those of an example."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    if not text or "the whole file" in text.split("\n", 1)[0]:
        return text
    base = tomlkit.parse((BASE / "realtime.toml").read_text(encoding="utf-8"))
    try:
        added = tomlkit.parse(text)
    except TOMLKitError:
        return text
    _put(base, added)
    return tomlkit.dumps(base)


def _put(into: Any, added: Any) -> None:
    for name, value in added.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _put(into[name], value)
        else:
            into[name] = value
