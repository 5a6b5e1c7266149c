"""`realtime config`: what it shows, where it says that it comes from, and the schema for editors."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from realtime_cli.settingsschema import settings_schema
from tests.cli.commands import realtime

SETTINGS = """\
[server]
port = 8080
origin = "https://app.example.com"

[websocket.pressure]
memory_ratio = 0.5

[redis]
url = "redis://user:hunter2@127.0.0.1:6379/0"

[capacity]
MAX_PRESENCE_REF = 77

[env.production.websocket]
max_connections = 500
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "realtime.toml").write_text(SETTINGS)
    return tmp_path


def shown(project: Path, *arguments: str, **environ: str) -> dict[str, Any]:
    ended = realtime("config", "show", "--json", *arguments, cwd=project, env=environ)
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found["settings"]


@pytest.mark.spec("PLAT-174")
def test_each_setting_is_shown_with_where_it_comes_from(project: Path) -> None:
    found = shown(project, REALTIME_SERVER__THREADS="3")
    assert found["server.port"] == {"value": 8080, "origin": "realtime.toml:2"}
    assert found["server.threads"] == {"value": 3, "origin": "REALTIME_SERVER__THREADS"}
    assert found["websocket.pressure.memory_ratio"] == {"value": 0.5, "origin": "realtime.toml:6"}
    assert found["websocket.max_connections"] == {"value": 500, "origin": "realtime.toml:15"}
    assert found["websocket.ping"] == {"value": True, "origin": "default"}
    assert found["capacity.MAX_PRESENCE_REF"] == {"value": 77, "origin": "realtime.toml:12"}
    assert "websocket.max_connections" in shown(project, "--env", "dev")
    assert shown(project, "--env", "dev")["websocket.max_connections"]["origin"] == "default"


@pytest.mark.spec("PLAT-126", "PLAT-174")
def test_what_a_profile_sets_is_said_to_come_from_it(project: Path) -> None:
    (project / "realtime.toml").write_text('[capacity]\nprofile = "small"\nmax_topics = 9\n')
    found = shown(project)
    assert found["capacity.profile"] == {"value": "small", "origin": "realtime.toml:2"}
    assert found["capacity.MAX_TOPICS"] == {"value": 9, "origin": "realtime.toml:3"}
    assert found["capacity.MAX_PUSH_REGISTRY"] == {"value": 50_000, "origin": "profile small"}
    assert found["websocket.max_connections"] == {"value": 5_000, "origin": "profile small"}


@pytest.mark.spec("PLAT-168")
@pytest.mark.parametrize("form", [("--json",), ("--origin",), ()])
def test_secrets_are_masked(form: tuple[str, ...], project: Path) -> None:
    ended = realtime("config", "show", *form, cwd=project)
    assert ended.code == 0
    assert "hunter2" not in ended.out + ended.err
    assert "***" in ended.out


def test_for_people_sections_have_heads_and_values_stand_as_in_the_file(project: Path) -> None:
    ended = realtime("config", "show", "--origin", cwd=project)
    lines = ended.out.splitlines()
    assert lines[0] == "[server]"
    assert next(line for line in lines if line.startswith("port")).split() == [
        "port",
        "=",
        "8080",
        "#",
        "realtime.toml:2",
    ]
    one = realtime("config", "show", "--section", "redis", cwd=project).out.splitlines()
    assert one[0] == "[redis]"
    assert one[1] == 'url = "***"'
    assert not any(line.startswith("[") for line in one[1:])


def test_an_unknown_section_is_named(project: Path) -> None:
    ended = realtime("config", "show", "--section", "websockets", cwd=project)
    assert ended.code == 2
    assert "no section 'websockets'" in ended.err
    assert "websocket" in ended.err


def test_all_problems_are_told_and_the_rest_is_shown(project: Path) -> None:
    (project / "realtime.toml").write_text('[server]\nport = "x"\nhots = 1\n[webscoket]\nping = true\n')
    ended = realtime("config", "show", cwd=project)
    assert ended.code == 2
    assert 'port = "x": expected a whole number' in ended.err
    assert "unknown key 'hots' in [server]; did you mean 'host'?" in ended.err
    assert "unknown section [webscoket]; did you mean 'websocket'?" in ended.err
    assert "port = 3000" in ended.out


def test_the_schema_takes_what_the_settings_take() -> None:
    schema = settings_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert not list(validator.iter_errors(tomllib.loads(SETTINGS)))
    assert not list(validator.iter_errors({"capacity": {"profile": "small", "max_topics": 9}}))
    for name in ("board", "minimal"):
        template = Path(__file__).parents[2] / "scaffolds" / name / "template"
        for file in template.rglob("realtime.toml*"):
            text = file.read_text().replace("{{", "").replace("}}", "")
            assert not list(validator.iter_errors(tomllib.loads(text))), file


@pytest.mark.parametrize(
    "text",
    [
        "[server]\nport = 99999",
        "[server]\nhots = 1",
        "[webscoket]\nping = true",
        '[websocket]\nping = "maybe"',
        '[redis]\nbus = "carrier pigeon"',
        "[env.dev.server]\nhots = 1",
        "[capacity]\nMAX_PRESENCE_REF = 0",
        "[capacity]\nmax_presence_reff = 7",
        '[capacity]\nprofile = "tiny"',
        "[websocket.pressure]\nmemory_ration = 0.5",
    ],
)
def test_the_schema_refuses_what_the_settings_refuse(text: str, tmp_path: Path) -> None:
    validator = jsonschema.Draft202012Validator(settings_schema())
    assert list(validator.iter_errors(tomllib.loads(text)))
    (tmp_path / "realtime.toml").write_text(text)
    assert realtime("config", "show", cwd=tmp_path).code == 2


def test_every_default_fits_the_schema(project: Path) -> None:
    (project / "realtime.toml").write_text("")
    validator = jsonschema.Draft202012Validator(settings_schema())
    ended = realtime("config", "show", cwd=project)
    text = "\n".join(
        line for line in ended.out.splitlines() if not line.endswith("= none") and not line.startswith("tz =")
    ).replace("= 0o660", "= 432")
    problems = [
        f"{'.'.join(map(str, one.path))}: {one.message}" for one in validator.iter_errors(tomllib.loads(text))
    ]
    assert problems == []


def test_the_command_prints_the_schema(tmp_path: Path) -> None:
    ended = realtime("config", "schema", cwd=tmp_path)
    assert ended.code == 0
    assert json.loads(ended.out) == json.loads(json.dumps(settings_schema()))
