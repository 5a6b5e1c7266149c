"""UPG117: cursors are attached beside presence, and only where that is certain."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import after, flagged, stays, upgrade

SERVICES = (
    "from runtime.cluster import Cursor, Presence\n\npresence = Presence(redis)\ncursor = Cursor(redis)\n"
)
WIRED = "from services import cursor\n\nsubscribe = cursor.hooks.subscribe\n"
LIVE = "from runtime import live\nfrom services import {names}\n\n\n@live\nasync def join(ctx, board):\n    {line}\n"
JOIN = "await presence.join(ctx.ws, f'board:{board}', ctx.platform)"
ATTACH = "await cursor.attach(ctx.ws, f'board:{board}', ctx.platform)"
TODO = "# TODO(realtime-upgrade UPG117): cursors need attach() beside presence.join(); check the topic"


def live(line: str, names: str = "cursor, presence") -> str:
    return LIVE.replace("{names}", names).replace("{line}", line)


@pytest.mark.parametrize(
    ("source", "others"),
    [
        (live(JOIN), {}),  # nothing wired, nothing updated
        (
            live(JOIN),
            {"more": WIRED, "two": "from runtime.cluster import Cursor\n\nsecond = Cursor(redis)\n"},
        ),
        (live(JOIN + "\n    " + ATTACH), {"more": WIRED}),
        (live(JOIN).replace("@live\n", ""), {"more": WIRED}),
        (live("await room.join(ctx.ws, 'a', ctx.platform)"), {"more": WIRED}),
        (live("await presence.join(*board)"), {"more": WIRED}),
        (live("', '.join(board)"), {"more": WIRED}),
    ],
)
def test_look_alikes_stay(source: str, others: dict[str, str]) -> None:
    files: dict[str, str | bytes] = {"live/a.py": source, "services.py": SERVICES}
    files |= {f"{name}.py": text for name, text in others.items()}
    done = upgrade(files, only="UPG117")
    assert done.files["live/a.py"] == source
    assert [one for one in done.findings if one.path == "live/a.py"] == []


def test_a_join_in_a_hook_is_left_alone() -> None:
    hook = (
        "from services import presence\n\n\nasync def open(ws, ctx):\n"
        "    await presence.join(ws, 'a', ctx.platform)\n"
    )
    assert stays("UPG117", hook, path="hooks.py", services=SERVICES)


@pytest.mark.spec("UPGC-52")
def test_attach_stands_below_join() -> None:
    text = after("UPG117", live(JOIN + "  # in"), services=SERVICES, more=WIRED)
    assert text == live(f"{JOIN}  # in\n    {TODO}\n    {ATTACH}")


@pytest.mark.spec("UPGC-52")
def test_detach_stands_below_leave_and_the_cursors_are_imported() -> None:
    line = "await presence.leave(ctx.ws, ctx.platform, board)"
    text = after("UPG117", live(line, "presence"), services=SERVICES, more=WIRED)
    assert "from services import presence, cursor\n" in text
    assert "\n    await cursor.detach(ctx.ws, board, ctx.platform)\n" in text
    assert "detach() beside presence.leave()" in text


@pytest.mark.spec("UPGC-52")
def test_an_update_of_the_same_topic_is_reason_enough() -> None:
    update = (
        "from services import cursor\n\n\nasync def f(ws, board):\n"
        "    await cursor.update(ws, f'board:{board}', 1)\n"
    )
    assert ATTACH in after("UPG117", live(JOIN), services=SERVICES, more=update)
    other = update.replace("board:", "desk:")
    assert after("UPG117", live(JOIN), services=SERVICES, more=other) == live(JOIN)


@pytest.mark.spec("UPGC-52")
@pytest.mark.parametrize(
    "line",
    [
        "await presence.join(ctx.ws, name(board), ctx.platform)",
        "await presence.join(ctx.ws, f'{await name(board)}', ctx.platform)",
        "presence.join(ctx.ws, board, ctx.platform)",
        "joined = await presence.join(ctx.ws, board, ctx.platform)",
        "cursor = 1; await presence.join(ctx.ws, board, ctx.platform)",
    ],
)
def test_what_cannot_be_copied_is_told(line: str) -> None:
    source = live(line)
    assert flagged("UPG117", source, services=SERVICES, more=WIRED) == [("S-21", 7)]
    assert after("UPG117", source, services=SERVICES, more=WIRED) == source


@pytest.mark.spec("UPGC-52")
def test_the_old_hook_gets_a_todo() -> None:
    hook = (
        "from services import cursor\n\n\nasync def subscribe(ws, topic, ctx):\n"
        "    await cursor.hooks.subscribe(ws, topic, ctx)\n"
    )
    text = after("UPG117", hook, path="hooks.py", services=SERVICES)
    assert text.splitlines()[4] == (
        "    # TODO(realtime-upgrade UPG117): no-op in 0.5; call cursor.attach() where the user joins"
    )


@pytest.mark.spec("UPGC-26")
def test_an_open_todo_is_listed_and_without_it_nothing_is_told() -> None:
    source = live(f"{JOIN}\n    {TODO}\n    {ATTACH}")
    done = upgrade({"live/a.py": source, "services.py": SERVICES, "more.py": WIRED}, only="UPG117")
    assert [one.status for one in done.findings if one.path == "live/a.py"] == ["open"]
