"""Where settings come from: file, environment, command line; and what is said when one is wrong."""

from __future__ import annotations

import functools
import json
import operator
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.core.settings import SECTIONS, RateRule, Settings, SettingsError, keys_of
from runtime.server.settings_file import MAX_FILE_BYTES, read_settings_file
from runtime.server.settings_source import LoadedSettings, load_settings


@pytest.fixture
def load(tmp_path):
    """Load settings from the text of a file, with nothing in the environment but what is given."""

    def load(text: str | bytes | None = None, environ=None, **options) -> LoadedSettings:
        if text is not None:
            (tmp_path / "realtime.toml").write_bytes(text.encode() if isinstance(text, str) else text)
        return load_settings(tmp_path, environ=environ or {}, **options)

    return load


def refusal(load, *args, **options) -> str:
    with pytest.raises(SettingsError) as caught:
        load(*args, **options)
    return str(caught.value)


@pytest.mark.parametrize("text", [None, "", "# nothing\n\n", "[server]\n"])
def test_missing_or_empty_file_gives_the_defaults(load, text):
    loaded = load(text)
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}


def test_missing_project_says_how_to_make_one(tmp_path):
    with pytest.raises(
        SettingsError, match=r"no project folder .*nowhere; make a project with `realtime new"
    ):
        load_settings(tmp_path / "nowhere", environ={})


# One row per kind of value: section, key, then text and meaning in TOML, in the environment, as a flag.
LAYERS = [
    ("server", "port", "1", 1, "2", 2, 3, 3),
    ("server", "host", '"a"', "a", "b", "b", "c", "c"),
    ("server", "web", '"a"', "a", "b/c", "b/c", "d", "d"),
    ("server", "health_path", "false", None, "/b", "/b", "/c", "/c"),
    ("server", "health_path", '"/a"', "/a", "off", None, "/c", "/c"),
    ("server", "static_immutable", '["/a/"]', ("/a/",), "/b/,/c/", ("/b/", "/c/"), ["/d/"], ("/d/",)),
    ("server", "static_memory_file", '"1K"', 1024, "2KB", 2048, 3, 3),
    ("server", "precompress", "false", False, "yes", True, False, False),
    ("server", "log_level", '"error"', "error", "debug", "debug", "warning", "warning"),
    ("websocket", "idle_timeout", "10", 10.0, "0", None, "30s", 30.0),
    ("websocket", "hook_timeout", '"500ms"', 0.5, "2m", 120.0, 0.25, 0.25),
    ("websocket", "seq_base", "0", 0, "clock", "clock", 0, 0),
    ("websocket", "max_connections", "5", 5, "0", None, 6, 6),
    ("websocket", "allowed_origins", '"*"', "*", '["https://b.example"]', ("https://b.example",), [], ()),
    ("security", "max_envelope_depth", "8", 8, "9", 9, 10, 10),
    ("rate_limits", "exempt", '["a/b"]', ("a/b",), '["c/d"]', ("c/d",), [], ()),
    (
        "rate_limits",
        "default",
        "{points = 1, window = 1}",
        RateRule(1, 1.0),
        '{"points": 2, "window": "2m"}',
        RateRule(2, 120.0),
        RateRule(3, 3),
        RateRule(3, 3.0),
    ),
]


@pytest.mark.spec("PLAT-97", "PLAT-99")
@pytest.mark.parametrize(
    ("section", "key", "toml", "from_toml", "env", "from_env", "flag", "from_flag"),
    LAYERS,
    ids=[f"{row[1]}-{row[4]}" for row in LAYERS],
)
def test_environment_beats_file_and_flag_beats_both(
    load, section, key, toml, from_toml, env, from_env, flag, from_flag
):
    text = f"[{section}]\n{key} = {toml}\n"
    variable = f"REALTIME_{section.upper()}__{key.upper()}"

    def value(loaded: LoadedSettings) -> tuple[object, str]:
        return getattr(getattr(loaded.settings, section), key), loaded.origins[f"{section}.{key}"]

    assert value(load(text)) == (from_toml, "realtime.toml:2")
    assert value(load(text, {variable: env})) == (from_env, variable)
    flags = {f"{section}.{key}": flag}
    assert value(load(text, {variable: env}, flags=flags)) == (from_flag, "command line")
    assert value(load(text, flags={f"{section}.{key}": None})) == (from_toml, "realtime.toml:2")


def test_tables_of_the_environment_override_the_file(load):
    text = """
[server]
port = 1
[env.dev.server]
port = 2
[env.production]
server = { port = 3, host = "p" }
"""
    dev = load(text, env_default="dev")
    assert (dev.settings.server.port, dev.origins["server.port"]) == (2, "realtime.toml:5")
    production = load(text)
    assert (production.settings.server.port, production.origins["server.port"]) == (3, "realtime.toml:7")
    assert load(text, {"REALTIME_ENV": "dev"}).settings.server.port == 2
    assert load(text, {"REALTIME_ENV": "dev", "REALTIME_SERVER__PORT": "4"}).settings.server.port == 4
    assert load(text, env_default="other").settings.server.port == 1


@pytest.mark.spec("PLAT-97")
def test_a_section_inside_a_section_is_set_from_everywhere(load):
    text = """
[websocket]
path = "/socket"
upgrade_admission = { per_tick_budget = 9 }
[env.dev.websocket.upgrade_admission]
per_tick_budget = 8
"""
    variable = "REALTIME_WEBSOCKET__UPGRADE_ADMISSION__PER_TICK_BUDGET"
    path = "websocket.upgrade_admission.per_tick_budget"

    def value(loaded: LoadedSettings) -> tuple[object, str]:
        return loaded.settings.websocket.upgrade_admission.per_tick_budget, loaded.origins[path]

    assert value(load(text)) == (9, "realtime.toml:4")
    assert load(text).settings.websocket.path == "/socket"
    assert value(load(text, env_default="dev")) == (8, "realtime.toml:6")
    assert value(load(text, {variable: "7"}, env_default="dev")) == (7, variable)
    assert value(load(text, {variable: "7"}, flags={path: 6})) == (6, "command line")


def test_mistakes_in_a_section_inside_a_section_are_placed(load):
    text = "[websocket.upgrade_admission]\nmax_concurent = 5\n"
    assert refusal(load, text) == (
        "unknown key 'max_concurent' in [websocket.upgrade_admission]; did you mean 'max_concurrent'?"
        " (realtime.toml:2)"
    )
    assert refusal(load, "[websocket]\nupgrade_admission = 5\n") == (
        "[websocket] upgrade_admission is a table: write its keys below the line [websocket.upgrade_admission]"
        " (realtime.toml:2)"
    )
    assert "did you mean 'upgrade_admission'?" in refusal(load, "[websocket]\nupgrade_admision = {}\n")
    assert refusal(load, "", {"REALTIME_WEBSOCKET__PRESSURE": "1"}) == (
        "[websocket] pressure is a table: set its keys, such as REALTIME_WEBSOCKET__PRESSURE__MEMORY_RATIO"
        " (REALTIME_WEBSOCKET__PRESSURE)"
    )


def test_name_of_the_environment_follows_the_same_order(load):
    text = '[server]\nenv = "filed"\n'
    assert load(text).settings.server.env == "filed"
    assert load(text, {"REALTIME_ENV": "short"}).settings.server.env == "short"
    both = {"REALTIME_ENV": "short", "REALTIME_SERVER__ENV": "long"}
    assert load(text, both).origins["server.env"] == "REALTIME_SERVER__ENV"
    assert load(text, both, flags={"server.env": "flag"}).settings.server.env == "flag"
    default = load("", env_default="test")
    assert (default.settings.server.env, default.origins["server.env"]) == ("test", "default")


def test_capacity_is_named_in_either_case(load):
    loaded = load(
        "[capacity]\nmax_topics = 5\nMAX_BATCH_CALLS = 6\nMAX_ENVELOPE_DEPTH = 9\n",
        {"REALTIME_CAPACITY__MAX_HELD_FRAMES": "7"},
    )
    assert loaded.settings.capacity == {"MAX_TOPICS": 5, "MAX_BATCH_CALLS": 6, "MAX_HELD_FRAMES": 7}
    assert loaded.settings.security.max_envelope_depth == 9
    assert loaded.origins["capacity.MAX_TOPICS"] == "realtime.toml:2"
    assert loaded.origins["security.max_envelope_depth"] == "realtime.toml:4"
    assert loaded.origins["capacity.MAX_TOPIC_SEQS"] == "default"


@pytest.mark.spec("PLAT-98")
def test_unknown_key_names_the_nearest(load):
    text = "[server]\nport = 1\n\n\n[websocket]\n\n# more\n\nidle_timout = 5\n"
    assert refusal(load, text) == (
        "unknown key 'idle_timout' in [websocket]; did you mean 'idle_timeout'? (realtime.toml:9)"
    )


@pytest.mark.spec("PLAT-98")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[websockets]\npath = '/x'",
            "unknown section [websockets]; did you mean 'websocket'? (realtime.toml:1)",
        ),
        ("[nonsense]\na = 1", "unknown section [nonsense]; known sections: server, websocket,"),
        (
            "[websocket]\nport = 1",
            "unknown key 'port' in [websocket]; it belongs to [server] (realtime.toml:2)",
        ),
        ("[server]\nMAX_TOPICS = 1", "unknown key 'MAX_TOPICS' in [server]; it belongs to [capacity]"),
        ("[capacity]\nmax_topic = 1", "unknown key 'MAX_TOPIC' in [capacity]; did you mean 'MAX_TOPICS'?"),
        ("[dev]\nzzzz = 1", "unknown key 'zzzz' in [dev]; known keys: reload, "),
        (
            "port = 1",
            "'port' stands outside of its section; write it below the line [server] (realtime.toml:1)",
        ),
        ("nonsense = 1", "unknown section [nonsense]"),
        ("server = 1", "'server' stands outside of its section; write it in a table (realtime.toml:1)"),
        (
            "env = 'dev'",
            "'env' must be a table with sections, such as [env.production.server] (realtime.toml:1)",
        ),
        ("[env]\ndev = 1", "'env.dev' must be a table with sections"),
        (
            "[env.dev]\nport = 1",
            "'port' stands outside of its section; write it below the line [env.dev.server]",
        ),
        (
            "[env.dev.server]\nprot = 1",
            "unknown key 'prot' in [server]; did you mean 'port'? (realtime.toml:2)",
        ),
        ("[env.dev.server]\nenv = 'x'", "[env.dev.server] env: the tables of an environment cannot change"),
    ],
)
def test_misplaced_and_unknown_names_say_where_to_go(load, text, message):
    assert message in refusal(load, text)


@pytest.mark.spec("PLAT-98")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[server]\nport = "a"',
            '[server] port = "a": expected a whole number, 0 to 65535 (realtime.toml:2)',
        ),
        (
            "[server]\n\nport = 70000",
            "[server] port = 70000: expected a whole number, 0 to 65535 (realtime.toml:3)",
        ),
        ("[server]\nprecompress = 1", "[server] precompress = 1: expected true or false (realtime.toml:2)"),
        (
            "[websocket]\nidle_timeout = 5",
            '[websocket] idle_timeout = 5: expected a duration, as seconds or as text like "500ms" or "2m", '
            "8 to 960 seconds, or 0 for none (realtime.toml:2)",
        ),
        ("[capacity]\nMAX_TOPICS = 0", "[capacity] MAX_TOPICS = 0: expected a whole number, from 1"),
        ("[env.other.server]\nport = -1", "[server] port = -1: expected a whole number, 0 to 65535"),
        (
            "server.port = 70000",
            "[server] port = 70000: expected a whole number, 0 to 65535 (realtime.toml:1)",
        ),
        ("[websocket]\npath = 2021-01-01", "[websocket] path = 2021-01-01: expected a path"),
        (
            "[websocket]\npath = '/healthz'",
            "are both '/healthz'; give one of them another path (realtime.toml:2)",
        ),
        (
            "[websocket]\npath = '/live/x'",
            "is reserved for Realtime Toolkit; choose a path of your own (realtime",
        ),
    ],
)
def test_wrong_value_names_file_line_key_value_and_what_fits(load, text, message):
    assert message in refusal(load, text)


@pytest.mark.spec("PLAT-98")
def test_wrong_value_outside_the_file_names_its_source(load):
    environ = {"REALTIME_SERVER__PORT": "many"}
    assert refusal(load, "", environ) == (
        '[server] port = "many": expected a whole number, 0 to 65535 (REALTIME_SERVER__PORT)'
    )
    assert refusal(load, "", flags={"server.port": 70000}).endswith("0 to 65535 (command line)")
    assert refusal(load, "", {"REALTIME_SERVRE__PORT": "1"}) == (
        "unknown section [servre]; did you mean 'server'? (REALTIME_SERVRE__PORT)"
    )
    message = refusal(load, "", {"REALTIME_WEBSOCKET__NOWHERE__RATIO": "1"})
    assert message.startswith("unknown section [websocket.nowhere]; ")


def test_a_wrong_value_is_reported_even_where_a_later_one_wins(load):
    assert "realtime.toml:2" in refusal(load, "[server]\nport = -1\n", {"REALTIME_SERVER__PORT": "1"})


def test_other_variables_are_left_alone(load):
    environ = {
        "REALTIME_TEST_REDIS_URL": "x",
        "REALTIME_": "",
        "NOT_REALTIME_SERVER__X": "1",
        "REALTIME_ENV": "",
    }
    assert load("", environ).settings == Settings()


def test_long_and_secret_values_are_not_shown_in_full(load):
    assert len(refusal(load, f"[server]\nport = '{'x' * 5000}'\n")) < 250
    message = refusal(load, "[server]\nport = 'redis://u:hunter2@h'\n")
    assert "hunter2" not in message
    assert "redis://u:***@h" in message


@pytest.mark.spec("PLAT-100")
def test_env_indirection_reads_the_variable(load):
    text = '[server]\nport = "env:PORT"\nhost = "env:HOST"\n'
    loaded = load(text, {"PORT": " 81 ", "HOST": "h"})
    assert (loaded.settings.server.port, loaded.settings.server.host) == (81, "h")
    assert loaded.origins["server.port"] == "realtime.toml:2"
    message = (
        '[server] host = "env:HOST": the environment variable HOST is empty or not set (realtime.toml:3)'
    )
    assert refusal(load, text, {"PORT": "81"}) == message
    assert refusal(load, text, {"PORT": "81", "HOST": " "}) == message
    wrong = refusal(load, text, {"PORT": "hunter2", "HOST": "h"})
    assert wrong == "[server] port = ***: expected a whole number, 0 to 65535 (realtime.toml:2)"


def test_env_indirection_that_is_overridden_is_not_read(load):
    text = '[server]\nport = "env:PORT"\n[env.dev.server]\nhost = "env:HOST"\n'
    assert load(text, {"REALTIME_SERVER__PORT": "5"}).settings.server.port == 5
    assert refusal(load, text, {"PORT": "5"}, env_default="dev").startswith('[server] host = "env:HOST"')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server]\nport = \n", "realtime.toml:2:"),
        ("[server\nport = 1\n", "realtime.toml:1:"),
        ("[server]\nport = 1\nport = 2\n", "realtime.toml"),
        ('[server]\n\nhost = "a\n', "realtime.toml:3:"),
        ("\n\n[server]\nport == 1\n", "realtime.toml:4:"),
        ("[server]\r\n\r\nport = x\r\n", "realtime.toml:3:"),
    ],
)
def test_broken_toml_names_line_and_column_and_shows_the_line(load, text, message):
    shown = refusal(load, text)
    assert shown.startswith(message)
    assert "not valid TOML" in shown
    if message.endswith(":"):
        line = int(message.split(":")[1])
        assert f"\n    | {text.splitlines()[line - 1]}\n" in shown
        assert shown.endswith("^")


def test_broken_line_with_a_secret_is_redacted(load):
    shown = refusal(load, '[redis]\nurl = "redis://u:hunter2@host" x\n')
    assert "realtime.toml:2" in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize("text", [b"[server]\nhost = '\xff'\n", b"\xff\xfe"])
def test_a_file_that_is_not_utf8_is_refused(load, text):
    assert "the file is not UTF-8 text; save it as UTF-8" in refusal(load, text)


def test_byte_order_mark_and_windows_line_ends_are_fine(load):
    loaded = load(b"\xef\xbb\xbf[server]\r\nport = 1\r\n")
    assert (loaded.settings.server.port, loaded.origins["server.port"]) == (1, "realtime.toml:2")


def test_huge_and_unreadable_files_are_refused(load, tmp_path):
    assert "larger than" in refusal(load, "#" * (MAX_FILE_BYTES + 1))
    (tmp_path / "realtime.toml").unlink()
    (tmp_path / "realtime.toml").mkdir()
    assert "cannot be read: Is a directory" in refusal(load)


def test_deep_nesting_is_an_error_and_no_crash(load):
    assert "realtime.toml" in refusal(load, f"a = {'[' * 5000}{']' * 5000}\n")


def test_lines_are_found_behind_strings_and_lists_of_many_lines(tmp_path):
    path = tmp_path / "realtime.toml"
    path.write_text(
        '''[server]
static_immutable = [
  "/a/",  # port = 1
  "/b/",
]
host = """
port = 2
[websocket]
"""
port = 3
"web" = "x" # quoted

[env . "dev" . websocket]
path = "/x"
dev.reload = true
[[list]]
a = 1
''',
        encoding="utf-8",
    )
    lines = read_settings_file(path).lines
    assert lines["server",] == 1
    assert lines["server", "static_immutable"] == 2
    assert lines["server", "host"] == 6
    assert lines["server", "port"] == 10
    assert lines["server", "web"] == 11
    assert lines["env", "dev", "websocket"] == 13
    assert lines["env", "dev", "websocket", "path"] == 14
    assert lines["env", "dev", "websocket", "dev", "reload"] == 15
    assert lines["list", "a"] == 17
    assert ("websocket",) not in lines


def load_or_error(project: Path) -> LoadedSettings | SettingsError:
    try:
        return load_settings(project, environ={})
    except SettingsError as error:
        return error


KEYS = [(section, name, key) for section, struct in SECTIONS.items() for name, key in keys_of(struct).items()]
TOML_VALUES = st.one_of(
    st.booleans(),
    st.integers(-5, 100_000),
    st.floats(-1, 1000, allow_nan=False).map(lambda value: round(value, 3)),
    st.sampled_from(
        ["512K", "2m", "500ms", "/x", "*", "clock", "info", "auto", "dev", "a/b", "", "..", "env:"]
    ),
    st.lists(st.sampled_from(["/a/", "https://a.example", "x"]), max_size=2),
)


@given(st.sampled_from(KEYS), TOML_VALUES)
def test_any_value_is_taken_or_refused_with_key_and_line(tmp_path_factory, place, value):
    section, name, key = place
    project = tmp_path_factory.mktemp("project")
    text = f"[{section}]\n{name} = {json.dumps(value)}\n"
    assert functools.reduce(operator.getitem, [*section.split("."), name], tomllib.loads(text)) == value
    (project / "realtime.toml").write_text(text, encoding="utf-8")
    outcome = load_or_error(project)
    if isinstance(outcome, SettingsError):
        assert "(realtime.toml:2)" in str(outcome)
        assert outcome.key == f"{section}.{name}"
    else:
        taken = operator.attrgetter(f"{section}.{name}")(outcome.settings)
        assert key.kind.parse(taken) == taken
        assert outcome.origins[f"{section}.{name}"] == "realtime.toml:2"


@given(st.text(max_size=200))
def test_no_text_of_a_file_raises_anything_else(tmp_path_factory, text):
    project: Path = tmp_path_factory.mktemp("project")
    (project / "realtime.toml").write_text(text, encoding="utf-8", newline="")
    outcome = load_or_error(project)
    assert isinstance(outcome, LoadedSettings) or "realtime.toml" in str(outcome)
