"""UPG109: one name of an option, and chunks that are put together by hand."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import after, flagged, stays, upgrade

CLIENT = "from runtime.client import connect\n\n\nasync def main():\n    conn = await connect('ws://x')\n    "


@pytest.mark.parametrize(
    "source",
    [
        "conn.configure(upload={'chunk_size': 1})\n",
        CLIENT + "conn.configure(other={'chunk_size': 1})\n",
        CLIENT + "conn.configure(upload={'frame_size': 1})\n",
        CLIENT + "other(upload={'chunk_size': 1})\n",
        "from runtime import live\n\n\n@live.binary\nasync def put(ctx, buffer):\n"
        "    found = []\n    found.append(buffer)\n",
        "from other import live\n\n\n@live.binary\nasync def put(ctx, buffer, last):\n    pass\n",
        "chunk_size = 3\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG109", source)


@pytest.mark.spec("UPGC-44")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("conn.configure(upload={'chunk_size': 1})", "conn.configure(upload={'frame_size': 1})"),
        ("conn.configure(upload=dict(chunk_size=1))", "conn.configure(upload=dict(frame_size=1))"),
        (
            'conn.configure(upload={"chunk_size": 1, "frame_size": 2})',
            'conn.configure(upload={"frame_size": 2})',
        ),
        (
            'conn.configure(upload={"frame_size": 2, "chunk_size": 1})',
            'conn.configure(upload={"frame_size": 2})',
        ),
    ],
)
def test_the_option_has_its_new_name(before: str, expected: str) -> None:
    assert after("UPG109", CLIENT + before + "\n") == CLIENT + expected + "\n"


@pytest.mark.spec("UPGC-44")
def test_of_the_module_too() -> None:
    text = after("UPG109", "from runtime import client\n\nclient.configure(upload={'chunk_size': 1})\n")
    assert "upload={'frame_size': 1}" in text


@pytest.mark.spec("UPGC-44")
@pytest.mark.parametrize(
    "function",
    [
        "async def put(ctx, buffer, name, last):\n    pass\n",
        "async def put(ctx, buffer, chunk_index):\n    pass\n",
        "async def put(ctx, buffer, name):\n    CHUNKS[name].append(buffer)\n",
        "async def put(ctx, buffer, name):\n    CHUNKS.setdefault(name, []).append(buffer)\n",
    ],
)
def test_chunks_by_hand_are_told_with_a_skeleton(function: str) -> None:
    source = f"from runtime import live\n\nCHUNKS = {{}}\n\n\n@live.binary\n{function}"
    assert flagged("UPG109", source) == [("R-05", 7)]
    (finding,) = upgrade({"live/a.py": source}, only="UPG109").findings
    assert "@live.upload\nasync def put(ctx" in finding.advice
    assert "async for chunk in ctx.stream:" in finding.advice
