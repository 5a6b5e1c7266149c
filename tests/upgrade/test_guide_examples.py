"""The code that the migration guide shows before and after a change is what its codemod makes of it."""

from __future__ import annotations

import textwrap

import pytest

from realtime_cli.codemods.guide import all_advice
from realtime_cli.codemods.project import Options
from realtime_cli.codemods.rows import all_rows
from tests.upgrade.projects import upgrade

SERVICES = (
    "from runtime.cluster import Cursor, IdempotencyStore, JobQueue, PgReplay, Presence, PubSubBus\n"
    "from runtime.plugins import Lock\n\nbus = PubSubBus(redis)\npresence = Presence(redis)\ncursor = Cursor(redis)\n"
    "replay = PgReplay(pg, table='x')\nlocks = Lock()\nstore = IdempotencyStore(redis)\n"
)
PLAIN = "{code}"
IMPORTS = (
    "from runtime import activate_derived, live, pipe, set_cron_platform\n"
    "from services import {names}\n\n\n{code}"
)
CALL = (
    "from runtime import live\nfrom services import cursor, locks, presence, replay, store\n\n\n"
    "@live\nasync def f(ctx, topic, note, user, board, err, name, platform, event, data):\n{inside}"
)
CLIENT = (
    "from runtime.client import connect\n\n\nasync def main():\n    conn = await connect('ws://a')\n{inside}"
)
HOOKS = (
    "from services import bus, presence, registry\n"
    "from runtime import activate_derived, live, set_cron_platform\n\n\n{code}"
)
EXAMPLES: dict[str, tuple[str, str]] = {
    "C-03": ("live/a.py", IMPORTS.replace("{names}", "is_member")),
    "S-07": ("hooks.py", PLAIN),
    "S-15": (
        "live/a.py",
        "from runtime import live\n\n\n{code}\n\nroom = live.room(topic=t, init=i, on_leave=left)\n",
    ),
    "S-20": (
        "hooks.py",
        "from services import bus\n\n\nasync def init(ctx):\n    await bus.activate(ctx.platform)\n\n\n{code}",
    ),
    "S-21": ("live/a.py", CALL),
    "S-22": ("hooks.py", HOOKS),
    "S-23": ("a.py", "from runtime.cluster import JobQueue\n\n{code}"),
    "S-24": ("live/a.py", CALL),
    "S-29": ("a.py", PLAIN),
    "S-30": ("live/a.py", "from services import store\n\n\nasync def f(name):\n{inside}"),
    "S-31": ("a.py", "def f(ws):\n{inside}"),
    "D-02": ("client/a.py", CLIENT),
    "D-23": ("a.py", "from services import replay\n\n\ndef wrap(platform):\n{inside}"),
    "D-29": ("a.py", PLAIN),
    "D-34": ("a.py", "from runtime.cluster import Cursor\n\n{code}"),
    "D-36": ("live/a.py", CALL),
    "R-01": ("live/a.py", CALL),
    "R-02": ("live/a.py", CALL),
    "R-03": ("live/a.py", "from runtime import live\n\n\n{code}"),
    "R-04": ("a.py", "from runtime import on_cron_error\n\n\n{code}"),
    "R-06": ("client/a.py", CLIENT),
    "P-01": ("hooks.py", PLAIN),
    "P-07": ("hooks.py", "from runtime import create_message\nfrom services import bus\n\n{code}"),
    "P-08": ("live/a.py", CALL),
}


def project(row: str, code: str) -> dict[str, str | bytes]:
    path, around = EXAMPLES[row]
    text = around.replace("{code}", code.strip("\n") + "\n").replace(
        "{inside}", textwrap.indent(code.strip("\n") + "\n", "    ")
    )
    wired = "from services import cursor\n\nwired = cursor.hooks.subscribe\n"
    return {path: text.encode(), "services.py": SERVICES, "wired.py": wired}


@pytest.mark.spec("UPGC-84")
@pytest.mark.parametrize("row", EXAMPLES)
def test_the_codemod_makes_what_the_guide_shows(row: str) -> None:
    path, around = EXAMPLES[row]
    advice = all_advice()[row]
    codemods = {one for one in all_rows()[row].codemod.split(", ") if one.startswith("UPG")}
    done = upgrade(project(row, advice.before), only=codemods, options=Options(pin_defaults=row == "D-34"))
    lines = [line for line in done.files[path].splitlines() if "TODO(realtime-upgrade" not in line]
    expected = advice.after.strip("\n")
    shown = textwrap.indent(expected, "    ") if "{inside}" in around else expected
    assert shown in "\n".join(lines)
