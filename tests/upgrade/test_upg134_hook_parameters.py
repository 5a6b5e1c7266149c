"""UPG134: parameters of hooks are bound by name."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import after, flagged, stays


@pytest.mark.parametrize(
    "source",
    [
        "async def open(ws, ctx):\n    hello(ws)\n",
        "def subscribe(ws, topic, platform):\n    return None\n",
        "def close(ws, code, reason, subscriptions):\n    ...\n",
        "def upgrade(headers, cookies):\n    return {}\n",
        "class A:\n    def close(self, sock):\n        ...\n",
        "def helper(sock, c):\n    ...\n",
        "def f():\n    def close(sock, c):\n        ...\n",
        "def _subscribed(ws):\n    ...\n",
        "def warm_up():\n    ...\n",
        "open = bus.hooks.open\nclose = make()\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG134", source, path="hooks.py")


def test_other_files_stay() -> None:
    assert stays("UPG134", "def close(sock, c):\n    ...\n", path="jobs.py")


@pytest.mark.spec("UPGC-61")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "def close(sock, c):\n    print(c.subscriptions, sock)  # sock\n",
            "def close(ws, ctx):\n    print(ctx.subscriptions, ws)  # sock\n",
        ),
        (
            "async def open(socket, ctx):\n    await join(socket, socket=socket, x=ctx.socket)\n",
            "async def open(ws, ctx):\n    await join(ws, socket=ws, x=ctx.socket)\n",
        ),
        (
            "def subscribe(s, t, c):\n    return [t for x in s if t] + [f'{t}', (lambda: t)()]\n",
            (
                "def subscribe(ws, topic, ctx):\n"
                "    return [topic for x in ws if topic] + [f'{topic}', (lambda: topic)()]\n"
            ),
        ),
        (
            (
                "def message(w: object, ctx):\n    def inner():\n"
                "        nonlocal w\n        w = 1\n        return w\n\n    w = 2\n"
            ),
            (
                "def message(ws: object, ctx):\n    def inner():\n"
                "        nonlocal ws\n        ws = 1\n        return ws\n\n    ws = 2\n"
            ),
        ),
        (
            "def upgrade(c):\n    return c.cookies.get('a')\n",
            "def upgrade(ctx):\n    return ctx.cookies.get('a')\n",
        ),
        ("def close(sock, c): ...\n", "def close(ws, ctx): ...\n"),
        (
            "def close(sock, ctx):\n    [sock for sock in ctx]\n    return sock\n",
            "def close(ws, ctx):\n    [sock for sock in ctx]\n    return ws\n",
        ),
    ],
)
def test_parameters_and_their_uses_are_renamed(before: str, expected: str) -> None:
    assert after("UPG134", before, path="hooks.py") == expected


@pytest.mark.spec("UPGC-61")
@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("def close(sock, ctx):\n    ws = other()\n    return ws, sock\n", 1),
        ("def close(sock, ctx):\n    return ws, sock\n", 1),
        ("def close(sock, ctx):\n    ...\n\n\nclose(sock=1, ctx=2)\n", 1),
        ("def close(*args):\n    ...\n", 1),
        ("def open(sock):\n    ...\n", 1),
        ("from functools import partial\n\nopen = partial(f, 1)\n", 3),
        ("class Open: ...\n\n\nopen = Open()\n", 4),
    ],
)
def test_what_cannot_be_renamed_is_told(source: str, line: int) -> None:
    assert flagged("UPG134", source, path="hooks.py") == [("P-01", line)]
    assert after("UPG134", source, path="hooks.py") == source


@pytest.mark.spec("UPGC-61")
def test_names_that_nearly_are_hooks_are_told() -> None:
    assert flagged("UPG134", "def subscribed(ws):\n    ...\n", path="hooks.py") == [("P-02", 1)]
