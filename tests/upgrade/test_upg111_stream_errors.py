"""UPG111: a value of a stream is never an error."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import flagged, stays

HEAD = "from runtime.client import connect\n\n\nasync def main():\n    conn = await connect('ws://x')\n"


@pytest.mark.parametrize(
    "body",
    [
        "    reply = await conn.call('a')\n    reply['error']\n",
        "    async for value in other.stream('a'):\n        value['error']\n",
        "    async for value in conn.stream('a'):\n        value['errors']\n",
        "    value = {}\n    value.get('error')\n",
        "    s = conn.stream('a')\n    s.error\n",
    ],
)
def test_look_alikes_stay(body: str) -> None:
    assert stays("UPG111", HEAD + body, path="bot.py")


@pytest.mark.spec("UPGC-46")
@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("    async for value in conn.stream('a'):\n        value['error']\n", 7),
        (
            "    async for value in conn.stream('a'):\n        if value and value.get('error'):\n            pass\n",
            7,
        ),
        ("    async for v in conn.stream('a'):\n        if 'error' in v:\n            pass\n", 7),
        ("    s = conn.stream('a')\n    s.value['error']\n", 7),
        ("    s = conn.stream('a')\n    s.subscribe(lambda v: v['error'])\n", 7),
    ],
)
def test_reads_of_an_error_are_told(body: str, line: int) -> None:
    assert flagged("UPG111", HEAD + body, path="bot.py") == [("D-05", line)]
