"""UPG106: what must not change first, then each shape of its table."""

from __future__ import annotations

import textwrap

import pytest

from tests.upgrade.projects import after, flagged, stays, upgrade

LIVE = "from runtime import live\n\n\n@live\nasync def move(ctx, note: int):\n    {line}\n"


def moved(line: str) -> str:
    """One line in a live function, after the codemod."""
    text = after("UPG106", LIVE.format(line=line))
    return textwrap.dedent(text.split("note: int):\n", 1)[1]).rstrip("\n")


@pytest.mark.parametrize(
    "source",
    [
        "from runtime.plugins import throttle\n\nthrottle(1, 2, 3, 4)\n",
        "def move(ctx):\n    ctx.throttle('a', 1)\n",
        "class live:\n    pass\n\n\n@live\ndef move(ctx):\n    ctx.throttle('a', 1)\n",
        "from other import live\n\n\n@live\ndef move(ctx):\n    ctx.throttle('a', 1)\n",
        "from runtime import live\n\n\n@live\ndef move(ctx):\n    ctx.signal.throw_if_aborted()\n",
        "from runtime import live\n\n\n@live\ndef move(ctx):\n    ctx = other()\n    ctx.throttle('a', 1)\n",
        "from runtime import live\n\n\n@live\ndef move(ctx):\n    [ctx.throttle(1, 2) for ctx in it]\n",
        "from runtime import live\n\n\n@live\ndef move(user, ctx):\n    ctx.throttle('a', 1)\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG106", source)


@pytest.mark.spec("UPGC-40")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "ctx.throttle('a', 'b', note, 0.05)  # 20 Hz",
            "ctx.publish_throttled('a', 'b', note, 0.05)  # 20 Hz",
        ),
        ("ctx.debounce('a', 'b', data=note, s=1)", "ctx.publish_debounced('a', 'b', data=note, s=1)"),
        ("x = ctx . debounce('a', 'b', note, 1)", "x = ctx . publish_debounced('a', 'b', note, 1)"),
        ("ctx.signal('u', 'e', 1)", "ctx.send_signal('u', 'e', 1)"),
        ("t = ctx.throttle; t(1, 2, 3, 4)", "t = ctx.publish_throttled; t(1, 2, 3, 4)"),
    ],
)
def test_names_that_publish_say_so(before: str, expected: str) -> None:
    assert moved(before) == expected


@pytest.mark.spec("UPGC-40")
def test_the_gate_that_gated_nothing_becomes_skip() -> None:
    assert moved("ctx.throttle(f'n:{note}', 0.05)") == (
        "# TODO(realtime-upgrade UPG106): this call gated nothing in 0.4; skip() now does\n"
        "if ctx.skip(f'n:{note}', 0.05):\n"
        "    return"
    )


@pytest.mark.spec("UPGC-40")
@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("ctx.throttle()", "R-01"),
        ("ctx.throttle('a')", "R-01"),
        ("ctx.throttle('a', 'b', 1)", "R-01"),
        ("ctx.throttle('a', 'b', 1, 2, 3)", "R-01"),
        ("ctx.throttle(*args)", "R-01"),
        ("ctx.debounce('a', 1)", "R-02"),
        ("x = ctx.throttle('a', 1)", "R-03"),
        ("if note: ctx.throttle('a', 1)", "R-03"),
        ("t = ctx.throttle; t(1, 2)", "R-01"),
        ("use(ctx.throttle)", "R-01"),
        ("getattr(ctx, 'debounce')(1)", "R-02"),
    ],
)
def test_what_cannot_be_told_apart_is_flagged(line: str, row: str) -> None:
    assert flagged("UPG106", LIVE.format(line=line)) == [(row, 6)]
    assert moved(line) == line


@pytest.mark.spec("UPGC-23")
def test_four_arguments_on_an_unproved_ctx_are_told() -> None:
    assert flagged("UPG106", "def helper(ctx):\n    ctx.throttle(1, 2, 3, 4)\n") == [("R-01", 2)]


@pytest.mark.spec("UPGC-25", "UPGC-26")
def test_a_todo_is_the_mark_that_it_was_told() -> None:
    source = after("UPG106", LIVE.format(line="ctx.throttle('a', 1)"))
    again = upgrade({"live/a.py": source.replace("ctx.skip", "ctx.skip")}, only="UPG106")
    assert again.findings == []
    kept = LIVE.format(line="# TODO(realtime-upgrade UPG106): look\n    ctx.throttle('a', 1)")
    assert [one.status for one in upgrade({"live/a.py": kept}, only="UPG106").findings] == ["open"]
