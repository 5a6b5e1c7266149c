"""The rules about what is left of 0.4 in pages, scripts and clients."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.check.projects import findings, fixed, marked, report_of


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "if (status.get() === 'closed') go();",
            "if ((status.get() === 'disconnected' || status.get() === 'failed')) go();",
        ),
        (
            'status.subscribe((s) => s == "closed" && go());',
            'status.subscribe((s) => (s == "disconnected" || s == "failed") && go());',
        ),
    ],
)
def test_a_status_that_is_closed_in_a_page_is_mended(tmp_path: Path, before: str, after: str) -> None:
    script = f'import {{ status }} from "/live/client.js";\n\n// status === "closed"\n{before}\n'
    assert fixed(tmp_path, {"web/app.js": script})["web/app.js"].endswith(f"{after}\n")


def test_a_status_in_a_component_is_mended(tmp_path: Path) -> None:
    component = (
        '<script>\nimport { status } from "$live/client.js";\nif ($status !== "closed") go();\n</script>\n'
    )
    text = fixed(tmp_path, {"web/App.svelte": component})["web/App.svelte"]
    assert '($status !== "disconnected" && $status !== "failed")' in text


def test_what_the_upgrade_leaves_alone_is_told_and_not_mended(tmp_path: Path) -> None:
    script = 'import { status } from "/live/client.js";\n\nif ("closed" === $status) go();\n'
    (found,) = report_of(tmp_path, {"web/app.js": script}).findings
    assert (found.rule, found.edits) == ("UPG005", ())


def test_a_status_under_another_name_is_mended(tmp_path: Path) -> None:
    script = 'import { on, status as connection } from "$live/client.js";\n\nif (connection.get() === "closed") go();\n'
    text = fixed(tmp_path, {"web/deep/app.ts": script})["web/deep/app.ts"]
    assert '(connection.get() === "disconnected" || connection.get() === "failed")' in text


@pytest.mark.parametrize(
    "script",
    [
        'export const open = (ticket) => ticket.status !== "closed";\n',
        'import { todos } from "/live/todos.js";\n\nexport const done = (issue) => issue.status === "closed";\n',
        'import { status } from "/live/client.js";\n\nexport const off = () => status.get() === "failed";\n',
        'import { status } from "/live/client.js";\n\n/* status === "closed" */ export { status };\n',
    ],
)
def test_other_things_may_be_closed(tmp_path: Path, script: str) -> None:
    assert findings(tmp_path, {"web/app.js": script}) == []


def test_a_status_of_a_python_client_is_mended(tmp_path: Path) -> None:
    code = (
        "from runtime.client import connect\n\n\n"
        "async def watch() -> bool:\n"
        '    client = connect("wss://app.example.com/ws")\n'
        '    if client.status.value == "closed":\n'
        "        return False\n"
        '    return client.status.value != "closed"\n'
    )
    text = fixed(tmp_path, {"worker.py": code})["worker.py"]
    assert 'if client.status.value in ("disconnected", "failed"):' in text
    assert 'return client.status.value not in ("disconnected", "failed")' in text


def test_other_things_of_python_may_be_closed(tmp_path: Path) -> None:
    code = '\n@live\nasync def done(ctx, at: int) -> bool:\n    return (await load(at)).status == "closed"\n'
    marked(tmp_path, {"live/orders.py": code})


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        (
            "web/a.js",
            'on("__presence:x").subscribe((e) => { switch (e.event) { case "list": draw(e.data); } });\n',
            True,
        ),
        (
            "web/a.html",
            '<script>\nif (frame.event === "updated" && frame.topic === "__presence:x") draw();\n</script>\n',
            True,
        ),
        (
            "bot.py",
            'TOPIC = "__presence:x"\n\n\ndef take(frame):\n    if frame["event"] == "updated":\n        return frame\n',
            True,
        ),
        ("web/a.js", 'on("todos").subscribe((e) => { if (e.event === "updated") draw(e.data); });\n', False),
        (
            "web/a.js",
            'import { on, presence } from "/live/client.js";\n\npresence("x").subscribe(draw);\n'
            'on("todos").subscribe((e) => { if (e.event === "updated") draw(e.data); });\n',
            False,
        ),
        (
            "web/a.js",
            'on("__presence:x").subscribe((e) => { if (e.event === "presence_diff") draw(e.data); });\n',
            False,
        ),
        ("bot.py", 'def take(frame):\n    return frame["event"] == "updated"\n', False),
    ],
)
def test_presence_of_0_4_is_found_where_it_is_read_by_hand(
    tmp_path: Path, name: str, text: str, rule: bool
) -> None:
    assert [one[-6:] for one in findings(tmp_path, {name: text})] == ["UPG006"] * rule


CHUNKS = """
@live.binary
async def put(ctx, data: bytes, index: int, total: int) -> int:  #! UPG007
    return index


@live.binary
async def avatar(ctx, data: bytes, name: str) -> str:
    return name
"""


def test_pieces_are_found_where_they_are_put_together(tmp_path: Path) -> None:
    script = 'import { put } from "/live/files.js";\nfor (const at of all) { await put(file.slice(at, at + 9), at); }\n'
    marked(tmp_path, {"live/files.py": CHUNKS.replace("#! UPG007", "#! UPG007"), "web/a.js": script})


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        (
            "web/a.js",
            'import * as files from "$live/files.js";\n\nlet at = 0;\nwhile (at < file.size) {\n'
            "  const part = file.slice(at, at + 9);\n  if (part.size) { await files.put(part); }\n  at += 9;\n}\n",
            True,
        ),
        (
            "send.py",
            "async def send(client, data: bytes) -> None:\n    for at in range(0, len(data), 65536):\n"
            '        await client.binary("files/put", data[at : at + 65536])\n',
            True,
        ),
        (
            "web/a.js",
            'import { rows } from "/live/rows.js";\n\nfor (const row of all.slice(0, 9)) { await rows(row); }\n',
            False,
        ),
        ("web/a.js", "for (let i = 0; i < 9; i++) { list.push(text.slice(i)); }\n", False),
        (
            "send.py",
            'async def send(client, data: bytes) -> None:\n    await client.binary("files/put", data[1:])\n',
            False,
        ),
    ],
)
def test_loops_that_cut_files_are_found(tmp_path: Path, name: str, text: str, rule: bool) -> None:
    assert [one[-6:] for one in findings(tmp_path, {name: text})] == ["UPG007"] * rule


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("web/a.js", 'fetch("/x", { headers: { "X-No-Dedup": "1" } });\n', 1),
        ("bot.py", 'HEADERS = {"X-No-Dedup": "1"}\n\n\ndef f():\n    return {"x-no-dedup": "1"}\n', 2),
        ("web/a.js", '// x-no-dedup is gone\nfetch("/x");\n', 0),
        ("bot.py", '# x-no-dedup is gone\nNOTE = "about x-no-dedup headers"\n', 0),
    ],
)
def test_the_header_that_does_nothing_is_found(tmp_path: Path, name: str, text: str, count: int) -> None:
    assert [one[-6:] for one in findings(tmp_path, {name: text})] == ["UPG011"] * count


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("web/a.js", "ws.send(JSON.stringify({ topic: '__presence:x', type: 'subscribe' }));\n", True),
        ("web/a.ts", 'send({ "type": "subscribe-batch", "topics": [`__signal:${id}`] });\n', True),
        ("bot.py", 'FRAME = {"type": "subscribe", "topic": f"__presence:{1}"}\n', True),
        (
            "bot.py",
            'def f(ws):\n    ws.send({"topics": ["a", "__b"], "type": "subscribe-batch", "ref": 1})\n',
            True,
        ),
        ("web/a.js", '// send({ type: "subscribe", topic: "__presence:x" })\n', False),
        ("web/a.js", 'send({ type: "subscribe", topic: "todos" });\n', False),
        ("bot.py", 'FRAME = {"type": "subscribe", "topic": "todos", "note": "__x"}\n', False),
        ("tests/test_wire.py", 'FRAME = {"type": "subscribe", "topic": "todos"}\n', False),
    ],
)
def test_subscriptions_to_the_framework_s_topics_are_found(
    tmp_path: Path, name: str, text: str, rule: bool
) -> None:
    assert [one[-6:] for one in findings(tmp_path, {name: text})] == ["UPG014"] * rule
