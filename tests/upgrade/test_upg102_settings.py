"""UPG102: what is known goes to realtime.toml, what would have to be run stays with a TODO."""

from __future__ import annotations

import tomllib

import pytest

from tests.upgrade.projects import Upgraded, upgrade

HOOKS: dict[str, str | bytes] = {"hooks.py": "def upgrade(ctx):\n    return {}\n"}


def settled(files: dict[str, str | bytes]) -> Upgraded:
    return upgrade({**HOOKS, **files}, only="UPG102")


def values(done: Upgraded) -> dict[str, object]:
    return tomllib.loads(done.files["realtime.toml"])


@pytest.mark.spec("UPGC-33")
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("config = {'port': 3000}\n", {"server": {"port": 3000}}),
        ("config = {'port': -1 + 2 * (10 // 3)}\n", {"server": {"port": 5}}),
        ("N = 60\nM = N * 2\nconfig = {'idle_timeout': M}\n", {"websocket": {"idle_timeout": 120}}),
        ("config = {'websocket': {'path': '/' 'ws', 'compression': False}}\n",
         {"websocket": {"path": "/ws", "compression": False}}),
        ("config = {'allowed_origins': ['https://a', 'https://b']}\n",
         {"websocket": {"allowed_origins": ["https://a", "https://b"]}}),
        ("import os\nconfig = {'redis_url': os.environ['R']}\n", {"redis": {"url": "env:R"}}),
        ("import os\nconfig = {'dsn': os.getenv('D')}\n", {"postgres": {"dsn": "env:D"}}),
        ("config = {'ssl_cert': 'a.pem', 'health_check_path': '/up'}\n",
         {"server": {"tls_cert": "a.pem", "health_path": "/up"}}),
        ("config = {'dev_skip_origin_check': True}\n", {"dev": {"skip_origin_check": True}}),
        ("config = {'body_size_limit': '512K'}\n", {"server": {"body_limit": "512K"}}),
        ("PORT = 3000\nORIGIN = 'https://x'\n", {"server": {"port": 3000, "origin": "https://x"}}),
    ],
)  # fmt: skip
def test_literals_move_and_the_empty_module_goes(source: str, expected: dict[str, object]) -> None:
    done = settled({"realtime_config.py": source})
    assert values(done) == expected
    assert "port" not in done.files.get("realtime_config.py", "").lower()


@pytest.mark.spec("UPGC-33", "UPGC-35")
@pytest.mark.parametrize(
    "expression",
    ["compute()", "open('x').read()", "[x for x in y]", "f'{host}'", "1 if x else 2", "10 ** 99999"],
)
def test_what_would_have_to_be_run_stays(expression: str) -> None:
    done = settled({"realtime_config.py": f"config = {{\n    'port': {expression},\n    'host': 'a',\n}}\n"})
    assert values(done) == {"server": {"host": "a"}}
    assert (
        f"# TODO(realtime-upgrade UPG102): was computed: {expression}\n# port = "
        in done.files["realtime.toml"]
    )
    assert done.files["realtime_config.py"] == (
        "config = {\n"
        "    # TODO(realtime-upgrade UPG102): set [server] port in realtime.toml, then remove this key\n"
        f"    'port': {expression},\n"
        "}\n"
    )


@pytest.mark.spec("UPGC-33")
def test_the_module_is_never_run() -> None:
    done = settled({"realtime_config.py": "raise SystemExit\nconfig = {'port': 1}\n"})
    assert values(done) == {"server": {"port": 1}}
    assert done.files["realtime_config.py"] == "raise SystemExit\n"


@pytest.mark.spec("UPGC-35")
def test_a_default_of_the_environment_is_written_with_a_todo() -> None:
    done = settled({"realtime_config.py": "import os\nconfig = {'port': os.environ.get('PORT', 3000)}\n"})
    assert done.files["realtime.toml"] == (
        "[server]\n"
        "# TODO(realtime-upgrade UPG102): REALTIME_SERVER__PORT in the environment wins over this; was PORT\n"
        "port = 3000\n"
    )


def test_none_is_not_set_and_comments_travel() -> None:
    done = settled(
        {
            "realtime_config.py": '"""Ours."""\n\nconfig = {\n    # above\n    "port": 1,  # beside\n'
            '    "host": None,\n    "mine": 2,  # stays\n}\n'
        }
    )
    assert done.files["realtime.toml"] == "# Ours.\n\n[server]\n# above\nport = 1  # beside\n"
    assert done.files["realtime_config.py"] == '"""Ours."""\n\nconfig = {\n    "mine": 2,  # stays\n}\n'


@pytest.mark.spec("UPGC-34")
def test_an_existing_file_keeps_its_values_and_comments() -> None:
    toml = "# ours\n[server]\nport = 1  # theirs\n\n[check]\nignore = []\n"
    done = settled(
        {"realtime_config.py": "config = {'port': 2, 'host': 'a', 'dsn': 'd'}\n", "realtime.toml": toml}
    )
    text = done.files["realtime.toml"]
    assert tomllib.loads(text) == {
        "server": {"port": 1, "host": "a"},
        "check": {"ignore": []},
        "postgres": {"dsn": "d"},
    }
    assert text.startswith("# ours\n[server]\nport = 1  # theirs\n")
    assert [one.message for one in done.findings if one.status == "flagged"] == [
        "[server] port has another value here than 0.4's port; this one stays"
    ]


def test_of_both_places_the_module_wins() -> None:
    done = settled(
        {
            "pyproject.toml": "[project]\nname = 'x'\n\n[tool.realtime]\nport = 1\n# why\nhost = 'b'   # beside\n",
            "realtime_config.py": "config = {'port': 2}\n",
        }
    )
    assert done.files["realtime.toml"] == "[server]\nport = 2\n# why\nhost = 'b'   # beside\n"
    assert done.files["pyproject.toml"] == "[project]\nname = 'x'\n"
    assert any("that of realtime_config.py counts" in one.message for one in done.findings)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("from realtime_config import config\n\nx = config['port']\n",
         "from runtime import settings\n\nx = settings().server.port\n"),
        ("from realtime_config import config as c\n\nx = c['port'] + c['mine']\n",
         "from realtime_config import config as c\nfrom runtime import settings\n\nx = settings().server.port"
         " + c['mine']\n"),
        ("import realtime_config\n\nx = realtime_config.config['websocket']['path']\n",
         "from runtime import settings\n\nx = settings().websocket.path\n"),
    ],
)  # fmt: skip
def test_those_who_read_a_key_follow(before: str, expected: str) -> None:
    done = settled(
        {
            "realtime_config.py": "config = {'port': 1, 'mine': 2, 'websocket': {'path': '/x'}}\n",
            "services.py": before,
        }
    )
    assert done.files["services.py"] == expected


@pytest.mark.parametrize(
    "reader",
    [
        "from realtime_config import config\n\nx = config.get('port')\n",
        "from realtime_config import config\n\nf(**config)\n",
        "from realtime_config import config\n\nx = config[name]\n",
        "from realtime_config import config\n\nconfig['port'] = 2\n",
        "from realtime_config import *\n\nx = config\n",
    ],
)
def test_a_key_that_is_read_in_another_way_stays_too(reader: str) -> None:
    config = "config = {'port': 1}\n"
    done = settled({"realtime_config.py": config, "services.py": reader})
    assert done.files["realtime_config.py"] == config
    assert done.files["services.py"] == reader
    assert values(done) == {"server": {"port": 1}}
    assert [one.path for one in done.findings if one.status == "flagged"] == ["services.py"]


def test_what_was_dropped_and_what_is_nearly_a_setting_is_told() -> None:
    done = settled(
        {
            "realtime_config.py": "config = {\n    'worker_relay_hmac_secret': 'x',\n    'idle_timout': 3,\n"
            "    'body_size_limit': -1,\n}\n"
        }
    )
    told = {one.row: one for one in done.findings}
    assert told["R-18"].status == "edited"
    assert "did you mean idle_timeout" in told["P-03"].advice
    assert told["C-22"].severity == "error"
    assert "worker_relay" not in done.files["realtime_config.py"]
    assert "idle_timout" in done.files["realtime_config.py"]


def test_variables_of_04_get_their_new_names() -> None:
    done = settled(
        {
            "pyproject.toml": "[tool.realtime]\nport = 1\n",
            ".env": "A=1\nREALTIME_PORT=3000\r\nREALTIME_MINE=1\n# REALTIME_PORT=1\nBODY_SIZE_LIMIT=-100K\n",
            "compose.yml": "services:\n  app:\n    environment:\n      REALTIME_IDLE_TIMEOUT: 30\n",
        }
    )
    todo = "# TODO(realtime-upgrade UPG102): was {}; see that whatever sets it does so by the new name"
    assert done.files[".env"] == (
        f"A=1\n{todo.format('REALTIME_PORT')}\r\nREALTIME_SERVER__PORT=3000\r\nREALTIME_MINE=1\n# REALTIME_PORT=1\n"
        "BODY_SIZE_LIMIT=-100K\n"
    )
    assert "      REALTIME_WEBSOCKET__IDLE_TIMEOUT: 30\n" in done.files["compose.yml"]
    assert [(one.row, one.line) for one in done.findings if one.path == ".env"] == [("P-04", 3), ("C-22", 6)]


def test_constants_beside_a_config_are_what_it_is_made_of() -> None:
    source = "PORT = 3000\nconfig = {'port': PORT, 'mine': PORT}\n"
    done = settled({"realtime_config.py": source})
    assert values(done) == {"server": {"port": 3000}}
    assert done.files["realtime_config.py"] == "PORT = 3000\nconfig = {'mine': PORT}\n"


def test_a_constant_that_the_module_reads_stays() -> None:
    source = "PORT = 3000\nother = PORT + 1\n"
    done = settled({"realtime_config.py": source})
    assert values(done) == {"server": {"port": 3000}}
    assert done.files["realtime_config.py"] == source


@pytest.mark.parametrize(
    "source",
    [
        "config = dict(port=1)\n",
        "config = {'port': 1}\nconfig['port'] = 2\n",
        "config = {'port': 1, **more}\n",
        "config = {'port': 1, KEY: 2}\n",
    ],
)
def test_settings_that_only_running_tells_are_left(source: str) -> None:
    done = settled({"realtime_config.py": source})
    assert done.files["realtime_config.py"] == source
    assert done.files.get("realtime.toml", "") == ""
    assert [(one.row, one.status) for one in done.findings] == [("S-03", "flagged")]


def test_of_two_keys_for_one_setting_the_later_counts() -> None:
    done = settled({"realtime_config.py": "config = {'dsn': 'a', 'database_url': 'b'}\n"})
    assert values(done) == {"postgres": {"dsn": "b"}}
    assert [one.message for one in done.findings if one.status == "flagged"] == [
        "[postgres] dsn was set by dsn and database_url; that of database_url was written"
    ]
