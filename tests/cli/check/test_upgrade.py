"""The rules about what is left of 0.4: found under other names, in other files and in nested places, and only then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from realtime_cli.codemods.settingsmap import KEYS
from realtime_cli.rules.engine import run_rules
from realtime_cli.rules.examples import BASE
from realtime_cli.rules.imported import import_project
from realtime_cli.rules.oldsettings import new_key
from realtime_cli.rules.project import Project
from tests.cli.check.projects import findings, fixed, marked, report_of
from tests.upgrade.projects import upgrade

CLEAN = (BASE / "realtime.toml").read_text(encoding="utf-8")
HOOKS = (BASE / "hooks.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({"hooks_ws.py": "async def open(ws, ctx): ...\n"}, "hooks_ws.py:1"),
        ({"src/hooks_ws.py": "", "src/live/a.py": ""}, "src/hooks_ws.py:1"),
        ({"src/live/deep/todos.ts": "export {};\n"}, "src/live/deep/todos.ts:1"),
        ({"realtime_config.py": "config = {}\n", "hooks_ws.py": ""}, "hooks_ws.py:1"),
        ({"pyproject.toml": '[project]\nname = "a"\n\n[tool.realtime]\nport = 1\n'}, "pyproject.toml:4"),
    ],
)
def test_the_layout_of_0_4_is_told_once(tmp_path: Path, files: dict[str, str], place: str) -> None:
    assert findings(tmp_path, files) == [f"{place} UPG001"]


def test_a_project_without_settings_but_those_of_0_4_is_one(tmp_path: Path) -> None:
    found = findings(tmp_path, {"realtime_config.py": "config = {}\n", "realtime.toml": ""})
    assert "realtime_config.py:1 UPG001" in found


@pytest.mark.parametrize(
    "files",
    [
        {"realtime_config.py": "THEME = 'dark'\n"},
        {"src/app.py": "x = 1\n", "src/alive/a.js": ""},
        {
            "realtime.toml": CLEAN.replace("[server]\n", '[server]\nlive = "src/live"\n', 1),
            "src/live/a.py": "",
        },
    ],
)
def test_other_layouts_are_fine(tmp_path: Path, files: dict[str, str]) -> None:
    assert findings(tmp_path, files) == []


def test_what_open_keeps_beyond_the_connection_is_found(tmp_path: Path) -> None:
    hooks = """
    import services
    from runtime import activate_derived, live, set_cron_platform as cron

    STATE = {"platform": None}
    STARTED = False


    async def open(ws, platform):
        global STARTED
        if not STARTED:
            STARTED = True
            services.platform = platform  #! UPG002
            STATE["platform"] = platform  #! UPG002
            cron(platform)  #! UPG002
            try:
                activate_derived(platform)  #! UPG002
                live.configure_push(remote_registry=services.registry)  #! UPG002
                await services.bus.activate(platform)  #! UPG002
            finally:
                pass
    """
    marked(tmp_path, {"hooks.py": hooks})


def test_what_open_keeps_for_the_connection_is_fine(tmp_path: Path) -> None:
    hooks = """
    import services


    async def init(platform):
        services.platform = platform


    async def open(ws, platform):
        here = platform
        ws.user_data["seen"] = True
        await here.subscribe(ws, "news")
        await services.bus.hooks.open(ws, platform)
    """
    marked(tmp_path, {"hooks.py": hooks})


EXPORTS = [
    "from runtime import close, message\n",
    "from runtime import message\n",
    "from runtime import (\n    close,\n    message,\n)\n",
]


@pytest.mark.parametrize("line", EXPORTS)
def test_hooks_of_the_framework_are_taken_out_of_hooks(tmp_path: Path, line: str) -> None:
    files = {"hooks.py": HOOKS.replace("SESSIONS:", line + "\nSESSIONS:", 1)}
    found = findings(tmp_path, files)
    assert [one[-6:] for one in found] == ["UPG003"]
    text = fixed(tmp_path, files)["hooks.py"]
    assert "message" not in text
    assert "close" not in text
    compile(text, "hooks.py", "exec")


@pytest.mark.parametrize(
    "line", ["import runtime\n\nmessage = runtime.message\n", "from runtime.live import unsubscribe\n"]
)
def test_other_ways_to_export_them_are_told(tmp_path: Path, line: str) -> None:
    files = {"hooks.py": HOOKS.replace("SESSIONS:", line + "\nSESSIONS:", 1)}
    (found,) = report_of(tmp_path, files).findings
    assert found.rule == "UPG003"


def test_other_names_of_the_line_stay(tmp_path: Path) -> None:
    line = "from runtime import LiveError as Refused, close, live, message\n"
    files = {"hooks.py": HOOKS.replace("SESSIONS:", line + "\nUSED = (Refused, live)\nSESSIONS:", 1)}
    assert "from runtime import LiveError as Refused, live\n" in fixed(tmp_path, files)["hooks.py"]


@pytest.mark.parametrize(
    "code",
    [
        "from services import close, message\n",
        "from runtime import create_message\n\nmessage = create_message()\n",
        "async def message(ws, data): ...\n\n\nasync def close(ws): ...\n",
    ],
)
def test_hooks_of_the_app_are_its_own(tmp_path: Path, code: str) -> None:
    marked(tmp_path, {"hooks.py": code})


def test_an_export_that_does_not_import_is_told_once(tmp_path: Path) -> None:
    report_of(tmp_path, {"hooks.py": HOOKS.replace("SESSIONS:", EXPORTS[0] + "\nSESSIONS:", 1)})
    project = Project.read(tmp_path, environ={})
    imported = import_project(tmp_path, env="production", environ=dict(os.environ))
    assert [one.rule for one in run_rules(project, imported=imported).findings] == ["UPG003"]


GATES = """
from runtime import get_platform


@live
async def watch(ctx, room: str) -> bool:
    denied = ctx.platform.check_subscribe(ctx.ws, "news")  #! UPG004
    if denied:
        return False
    while ctx.platform.subscribe(ctx.ws, "news") is not None:  #! UPG004
        break
    platform = ctx.platform
    return not platform.check_subscribe(ctx.ws, "news")  #! UPG004


@live
async def enter(ctx) -> bool:
    def allowed() -> bool:
        return bool(get_platform().check_subscribe(ctx.ws, "news"))  #! UPG004

    ctx.platform.subscribe(ctx.ws, "news")  #! LIV014
    if await ctx.platform.check_subscribe(ctx.ws, "news"):
        return allowed()
    waiting = ctx.platform.check_subscribe(ctx.ws, "other")
    return await waiting is None
"""


def test_answers_of_0_4_are_told_apart_from_forgotten_ones(tmp_path: Path) -> None:
    marked(tmp_path, {"live/rooms.py": GATES})


def test_the_fix_awaits_the_answer(tmp_path: Path) -> None:
    code = (
        '\n@live\nasync def watch(ctx) -> None:\n    if ctx.platform.check_subscribe(ctx.ws, "news"): ...\n'
    )
    live = "from runtime import guard, live\n\n_guard = guard(authenticated=True)\n" + code
    text = fixed(tmp_path, {"live/rooms.py": live})["live/rooms.py"]
    assert '    if await ctx.platform.check_subscribe(ctx.ws, "news"): ...\n' in text


@pytest.mark.parametrize(
    ("settings", "rules"),
    [
        ("[websocket]\nmaxPayloadLength = 1048576\n", ["UPG008"]),
        ("[websocket]\nidleTimeout = 60\nsend_pings_automatically = true\n", ["UPG008", "UPG008"]),
        ("[websocket.pressure]\nmemoryHeapUsedRatio = 0.8\n", ["UPG008"]),
        ('[server]\nbody_size_limit = "1M"\n', ["UPG008"]),
        ('[redis]\nredis_url = "redis://localhost"\n', ["UPG008"]),
        ("[websocket]\nidle_timout = 60\n", ["CFG001"]),
        ("[websocket]\nidleTimout = 60\n", ["CFG001"]),
        ("[websocket]\nidle_timeout = 60\n", []),
    ],
)
def test_settings_of_0_4_are_told_instead_of_unknown_ones(
    tmp_path: Path, settings: str, rules: list[str]
) -> None:
    import tomlkit

    whole = tomlkit.parse(CLEAN)
    for section, keys in tomlkit.parse(settings).items():
        table = whole.setdefault(section, tomlkit.table())
        for key, value in keys.items():
            table[key] = value
    assert [one[-6:] for one in findings(tmp_path, {"realtime.toml": tomlkit.dumps(whole)})] == rules


def test_a_setting_of_0_4_gets_its_new_name(tmp_path: Path) -> None:
    settings = CLEAN.replace("[websocket]\n", "[websocket]\nidleTimeout = 60 # seconds\n", 1)
    assert "idle_timeout = 60 # seconds\n" in fixed(tmp_path, {"realtime.toml": settings})["realtime.toml"]


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("REALTIME_PORT", "8080", True),
        ("REALTIME_BODY_SIZE_LIMIT", "1M", True),
        ("REALTIME_MAX_PAYLOAD_LENGTH", "1M", True),
        ("CLUSTER_WORKERS", "4", True),
        ("XFF_DEPTH", "2", True),
        ("ORIGIN", "somewhere", False),
        ("REALTIME_ENV", "production", False),
        ("REALTIME_SERVER__PORT", "8080", False),
        ("PORT", "8080", False),
        ("REALTIME_TEST_CHROMIUM", "/usr/bin/chromium", False),
    ],
)
def test_variables_of_0_4_are_found(tmp_path: Path, variable: str, value: str, rule: bool) -> None:
    found = findings(tmp_path, {}, {variable: value})
    assert found == [f"{variable}:1 UPG008"] * rule


def test_a_variable_whose_setting_is_there_is_another_program_s(tmp_path: Path) -> None:
    assert findings(tmp_path, {}, {"ORIGIN": "https://other.example.com"}) == []  # the file has an origin


@pytest.mark.parametrize(
    ("text", "rule"), [("16384", True), ('"16K"', True), ('"17K"', False), ('"1M"', False)]
)
def test_the_payload_of_0_4_is_found(tmp_path: Path, text: str, rule: bool) -> None:
    settings = CLEAN.replace("[websocket]\n", f"[websocket]\nmax_payload_length = {text}\n", 1)
    assert [one[-6:] for one in findings(tmp_path, {"realtime.toml": settings})] == ["UPG010"] * rule


CLEARS = """
import runtime as rt
from runtime import Lock as Mutex

TABLES = Mutex()


class Rooms:
    def __init__(self) -> None:
        self.lock = rt.Lock()

    def close(self) -> None:
        if self.lock:
            self.lock.clear()  #! UPG009


def close_all() -> None:
    lock = TABLES
    lock.clear()  #! UPG009
    [].clear()
"""


def test_locks_that_are_cleared_are_found(tmp_path: Path) -> None:
    marked(tmp_path, {"rooms.py": CLEARS})


def test_locks_whose_clearing_is_expected_are_fine(tmp_path: Path) -> None:
    expected = "from runtime import LockCleared\n\nGONE = (LockCleared,)\n"
    marked(tmp_path, {"rooms.py": CLEARS.replace("  #! UPG009", ""), "errors_of_rooms.py": expected})


def test_old_names_are_written_anew_wherever_they_stand(tmp_path: Path) -> None:
    files = {
        "errors.py": "import runtime\nfrom runtime import live, on_cron_error as told\n\n\n@told\ndef f(p, e): ...\n"
        "def later():\n    if live:\n        runtime.on_cron_error(f)\n",
        "live_errors.py": "from runtime import on_cron_error\n\non_cron_error(print)\n",
        "send.py": 'import runtime.client as c\n\nc.configure(upload={"chunk_size": 65536, "o": 1})\nchunk_size = 1\n',
        "web/app.js": 'import { configure } from "/live/client.js";\nconfigure({ upload: { chunkSize: 65536 } });\n'
        "const chunkSize = 1;\n",
    }
    assert sorted(findings(tmp_path, files)) == [
        "errors.py:2 UPG012",
        "live_errors.py:1 UPG012",
        "send.py:3 UPG012",
        "web/app.js:2 UPG012",
    ]
    texts = fixed(tmp_path, files)
    assert "import live, on_error as told" in texts["errors.py"]
    assert "        runtime.on_error(f)\n" in texts["errors.py"]
    assert texts["live_errors.py"] == "from runtime import on_error\n\non_error(print)\n"
    assert '{"frame_size": 65536, "o": 1})\nchunk_size = 1' in texts["send.py"]
    assert texts["web/app.js"].endswith("frameSize: 65536 } });\nconst chunkSize = 1;\n")


def test_a_name_of_the_app_s_own_stays(tmp_path: Path) -> None:
    code = "def on_cron_error(f):\n    return f\n\n\non_cron_error(print)\nsize = {'chunk_size': 1}\n"
    assert findings(tmp_path, {"own.py": code}) == []


def test_a_bus_that_is_wrapped_by_hand_is_found(tmp_path: Path) -> None:
    hooks = """
    import runtime
    from runtime import create_message as made
    from services import relay_bus as wire

    message = made(platform=lambda p: services.bus.wrap(p))  #! UPG013
    """
    marked(tmp_path, {"hooks.py": hooks})
    hooks = """
    from services import wire


    async def message(ws, data, platform):
        if data:
            wide = wire.wrap(platform)  #! UPG013
            await wide.publish("raw", "received", len(data))
    """
    marked(tmp_path, {"hooks.py": hooks})


def test_what_is_wrapped_elsewhere_is_fine(tmp_path: Path) -> None:
    hooks = """
    import textwrap


    async def init(platform):
        bus.wrap(platform)


    async def message(ws, data, platform):
        textwrap.wrap("a text", 70)
    """
    marked(tmp_path, {"hooks.py": hooks})


def test_fix_writes_what_the_upgrade_writes(tmp_path: Path) -> None:
    exported = "from runtime import close, live, message\n\nUSED = live\nSESSIONS:"
    files = {
        "hooks.py": HOOKS.replace("SESSIONS:", exported, 1),
        "errors.py": "from runtime import on_cron_error as told\n\n\n@told\ndef f(path, error): ...\n",
        "send.py": 'import runtime.client as c\n\nc.configure(upload={"chunk_size": 65536})\n',
        "web/app.js": 'import { configure, status as s } from "/live/client.js";\n'
        'configure({ upload: { chunkSize: 1024 } });\nif (s.get() === "closed") go();\n',
    }
    by_fix = fixed(tmp_path / "fix", files)
    codemods = {"UPG104", "UPG107", "UPG109", "UPG110", "UPG113", "UPJ05", "UPJ06"}
    by_upgrade = upgrade({name: text.encode() for name, text in files.items()}, only=codemods).files
    assert by_fix == {name: by_upgrade[name] for name in files}


def test_settings_of_0_4_are_called_alike_by_both() -> None:
    dropped = {"handler", "redis", "dsn"}  # names that mean too much where nothing says that it is 0.4
    for old, (section, key) in KEYS.items():
        if old not in dropped:
            assert new_key("", old) == f"{section}.{key}", old
