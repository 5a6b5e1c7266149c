"""UPG104: the live layer's hooks leave the hooks file, in every form."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import after, flagged, stays


@pytest.mark.parametrize(
    "source",
    [
        "from other import close, message\n",
        "def close(ws, ctx):\n    pass\n",
        "from runtime import live\n\n\nasync def close(ws, ctx):\n    for t in ctx.subscriptions:\n        pass\n",
        "from runtime.plugins import close\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG104", source, path="hooks.py")


def test_only_the_hooks_file_counts() -> None:
    assert stays("UPG104", "from runtime import close, message\n", path="live/a.py")


@pytest.mark.spec("UPGC-37")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("import a\nfrom runtime import close, message  # both\n\nx = 1\n", "import a\n\nx = 1\n"),
        ("# above\nfrom runtime import message\n", "# above\n"),
        ("if x:\n    from runtime import close, message  # both\n", "if x:\n    pass  # both\n"),
        (
            "try:\n    from runtime import close\nexcept OSError:\n    y()\n",
            "try:\n    pass\nexcept OSError:\n    y()\n",
        ),
        ("from runtime import close, live, message\n", "from runtime import live\n"),
        ("from runtime import live, unsubscribe\n", "from runtime import live\n"),
        (
            "from runtime import (\n    close,  # one\n    live,\n    message,\n)\n",
            "from runtime import (\n    live,\n)\n",
        ),
        (
            "from runtime import close, live\n\n__all__ = ['close', 'live']\n",
            "from runtime import live\n\n__all__ = ['live']\n",
        ),
        (
            "from runtime import live, message\n\n__all__ = ['live', 'message']\n",
            "from runtime import live\n\n__all__ = ['live']\n",
        ),
        (
            "from runtime import close as live_close\n\n\nasync def close(ws, ctx):\n"
            "    await live_close(ws, ctx)\n    done()\n",
            "\n\nasync def close(ws, ctx):\n    done()\n",
        ),
        (
            "from runtime import message as m\n\n\ndef message(ws, ctx):\n    m(ws, ctx)\n",
            "\n\ndef message(ws, ctx):\n    pass\n",
        ),
    ],
)
def test_re_exports_go(before: str, expected: str) -> None:
    assert after("UPG104", before, path="hooks.py") == expected


@pytest.mark.spec("UPGC-37")
@pytest.mark.parametrize(
    "source",
    [
        "from runtime import *\n",
        "from runtime import close as c\n\n\nasync def close(ws, ctx):\n    return await c(ws, ctx)\n",
        "from runtime import message\n\nhandlers = [message]\n",
    ],
)
def test_what_is_used_for_more_is_told(source: str) -> None:
    assert [row for row, _ in flagged("UPG104", source, path="hooks.py")] == ["S-07"]
    assert after("UPG104", source, path="hooks.py") == source


def test_a_close_that_loops_over_its_own_topics_is_told() -> None:
    source = "TOPICS = []\n\n\nasync def close(ws, ctx):\n    for t in TOPICS:\n        await left(ws, t)\n"
    assert flagged("UPG104", source, path="hooks.py") == [("S-08", 5)]
