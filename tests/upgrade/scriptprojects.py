"""Small svelte-realtime 0.4 projects in memory: what the tests of script codemods are written with."""

from __future__ import annotations

import textwrap

from tests.upgrade.projects import Upgraded, upgrade

__all__ = ["EXTENSIONS", "HOOKS", "PACKAGE", "after", "becomes", "done", "stays", "stays_everywhere", "told"]

PACKAGE = '{\n  "dependencies": {\n    "svelte-realtime": "^0.4.5"\n  }\n}\n'
"""The package.json of a 0.4 project."""
HOOKS = ("src/hooks.ws.js", "src/hooks.ws.ts")
EXTENSIONS = """
import { createCursor, createPresence, createPubSubBus } from 'svelte-adapter-uws-extensions/redis'
export const bus = createPubSubBus(redis)
export const presence = createPresence(redis, { select: (user) => user })
export const cursor = createCursor(redis, { select: (user) => user })
"""
"""The content of ``src/lib/redis.js`` in many tests."""
_KINDS = ("src/live/a.js", "src/live/a.ts", "src/routes/A.svelte")


def done(codemod: str | set[str], source: str, path: str, **others: str) -> Upgraded:
    """Upgrade one script; `others` are further files, ``lib_redis="..."`` for ``src/lib/redis.js``."""
    files: dict[str, str | bytes] = {"package.json": PACKAGE, path: source}
    files |= {f"src/{name.replace('_', '/')}.js": text for name, text in others.items()}
    return upgrade(files, only=codemod)


def after(codemod: str | set[str], source: str, *, path: str = "src/live/a.js", **others: str) -> str:
    """Return one script after a codemod."""
    return done(codemod, source, path, **others).files[path]


def told(codemod: str, source: str, *, path: str = "src/live/a.js", **others: str) -> list[tuple[str, int]]:
    """Return row and line of what is told about one script; nothing may be edited."""
    found = done(codemod, source, path, **others)
    assert found.files[path] == textwrap.dedent(source).lstrip("\n")
    return [(one.row, one.line) for one in found.findings if one.status == "flagged" and one.path == path]


def stays(codemod: str, source: str, *, path: str = "src/live/a.js", **others: str) -> bool:
    """Say whether nothing is edited and nothing told: the look-alikes."""
    found = done(codemod, source, path, **others)
    assert found.findings == [], found.findings
    return found.files[path] == textwrap.dedent(source).lstrip("\n")


def _in(path: str, source: str) -> str:
    text = textwrap.dedent(source).lstrip("\n")
    return f"<script lang='ts'>\n{text}</script>\n\n<p>a < b</p>\n" if path.endswith(".svelte") else text


def stays_everywhere(codemod: str, source: str, **others: str) -> bool:
    """Say whether a look-alike stays in JavaScript, in TypeScript and in a component."""
    return all(stays(codemod, _in(path, source), path=path, **others) for path in _KINDS)


def becomes(codemod: str, source: str, expected: str, **others: str) -> bool:
    """Say whether a text becomes another in JavaScript, in TypeScript and in a component."""
    for path in _KINDS:
        assert after(codemod, _in(path, source), path=path, **others) == _in(path, expected), path
    return True
