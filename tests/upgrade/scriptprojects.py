"""Small svelte-realtime 0.4 projects in memory: what the tests of script codemods are written with."""

from __future__ import annotations

import textwrap

from tests.upgrade.projects import Upgraded, upgrade

__all__ = ["PACKAGE", "after", "done", "stays", "told"]

PACKAGE = '{\n  "dependencies": {\n    "svelte-realtime": "^0.4.5"\n  }\n}\n'
"""The package.json of a 0.4 project."""


def done(codemod: str, source: str, path: str, **others: str) -> Upgraded:
    """Upgrade one script; `others` are further files, ``lib_redis="..."`` for ``src/lib/redis.js``."""
    files: dict[str, str | bytes] = {"package.json": PACKAGE, path: source}
    files |= {f"src/{name.replace('_', '/')}.js": text for name, text in others.items()}
    return upgrade(files, only=codemod)


def after(codemod: str, source: str, *, path: str = "src/live/a.js", **others: str) -> str:
    """Return one script after a codemod."""
    return done(codemod, source, path, **others).files[path]


def told(codemod: str, source: str, *, path: str = "src/live/a.js", **others: str) -> list[tuple[str, int]]:
    """Return row and line of what is told about one script and was not edited; nothing else may be edited."""
    found = done(codemod, source, path, **others)
    assert found.files[path] == textwrap.dedent(source).lstrip("\n")
    return [(one.row, one.line) for one in found.findings if one.status == "flagged" and one.path == path]


def stays(codemod: str, source: str, *, path: str = "src/live/a.js", **others: str) -> bool:
    """Say whether nothing is edited and nothing told: the look-alikes."""
    found = done(codemod, source, path, **others)
    assert found.findings == [], found.findings
    return found.files[path] == textwrap.dedent(source).lstrip("\n")
