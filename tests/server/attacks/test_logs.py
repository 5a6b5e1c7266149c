"""What a client says stands in the log as what it is: no line of its own, no colours, no secret. Platform 3.9."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.attacks.people import attacker, chat, upgrade_head
from tests.server.attacks.target import SECRET, TOKEN, VICTIM, target

# Each wants to be a line that begins with FORGED, to colour or clear the terminal, or to hide what comes behind.
FORGED = "%0d%0aFORGED%20ERROR%20realtime:%20all%20is%20well"
TARGETS = [
    f"/hit{FORGED}",
    "/%0aFORGED",
    "/%1b[2J%1b[31mred",
    "/%c2%9b31mred",
    "/%e2%80%aebackwards",
    "/%e2%80%a8FORGED",
    "/%c2%85FORGED",
    "/%00FORGED",
    f"/header?v={SECRET}&token={TOKEN}{FORGED}",
    "/%ff%fe",
    "/" + "x" * 5000,
]
HEADERS = [
    "user-agent: \x1b[31mred\x1b[0m",
    "referer: http://x/\x85FORGED",
    f"authorization: Bearer {TOKEN}",
    f"cookie: sid={VICTIM}; other={SECRET}",
    "x-request-id: FORGED",
    "origin: http://\u00e9vil\x1b[2J",
]


@pytest.mark.spec("PLAT-95", "PLAT-168")
@pytest.mark.parametrize("form", ["text", "json"])
async def test_no_request_writes_a_line_of_its_own(tmp_path: Path, form: str) -> None:
    more = "[websocket]\n    ws_debug = true\n    upgrade_rate_limit = 0\n\n    [env.production.server]\n"
    more += f'    access_log = "{form}"\n    log_format = "{form}"\n'
    with target(tmp_path, more) as server:
        async with attacker(server) as mallory:
            for path in TARGETS:
                await mallory.get(path, *HEADERS[:4])
                await mallory.get(path, method="POST")
            for header in HEADERS:
                await mallory.get("/", header)
                async with mallory.peer(upgrade_head(server, header, sid=None, origin=None)):
                    pass
            async with mallory.peer() as peer:
                talk = chat(peer)
                for ref, topic in enumerate(
                    ["a\nFORGED", "\x1b[31m", "\u2028FORGED", "\u202ex", "room:victim"]
                ):
                    talk.write({"type": "subscribe", "topic": topic, "ref": ref})
                talk.write({"rpc": "ledger/\nFORGED", "id": "a\nFORGED", "args": []})
                talk.write({"type": "reply", "ref": "\nFORGED", "data": "\nFORGED"})
                talk.write('{"type":"FORGED\\n","FORGED\\n":1}')
                await talk.settle()
        said = server.said()
    assert "/hit" in said
    for line in said.splitlines():  # also at the separators that only Unicode knows
        assert not line.lstrip().startswith("FORGED"), line
    for character in "\x1b\x9b\x85\u2028\u2029\u202e\x00\r":
        assert character not in said, repr(character)
    for secret in (SECRET, TOKEN, VICTIM):
        assert secret not in said
