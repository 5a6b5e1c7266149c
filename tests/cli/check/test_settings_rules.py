"""The rules of settings, written in every form that TOML and the environment have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.check.projects import ELSEWHERE, report_of

if TYPE_CHECKING:
    from pathlib import Path

PINNED = '[server]\norigin = "https://app.example.com"\n'


def told(
    root: Path, toml: str, environ: dict[str, str] | None = None, files: dict[str, str] | None = None
) -> list[str]:
    report = report_of(root, {"realtime.toml": toml, **(files or {})}, environ)
    return [
        f"{one.span.line} {one.rule}" if one.path == "realtime.toml" else f"{one.path} {one.rule}"
        for one in report.findings
        if not one.rule.startswith(ELSEWHERE)
    ]


@pytest.mark.parametrize(
    ("toml", "wanted"),
    [
        (PINNED, []),
        ("\ufeff" + PINNED, []),
        (PINNED.replace("\n", "\r\n"), []),
        ('server.origin = "https://a.example"\nserver.prt = 1\n', ["2 CFG001"]),
        ('server = {origin = "https://a.example", prt = 1}\n', ["1 CFG001"]),
        (PINNED + "[websocket.upgrade_admissio]\nx = 1\n", ["3 CFG001"]),
        (PINNED + "[sever]\nport = 1\n", ["3 CFG001"]),
        (PINNED + "[env.production.websocket]\nping = 1\n", ["4 CFG002"]),
        (PINNED + "[env.dev.websocket]\nws_debug = true\n", []),
        (PINNED + "[env.production.websocket]\nws_debug = true\n", ["4 CFG011"]),
        (PINNED + "port = 70000\n", ["3 CFG002"]),
        (PINNED + "port = '8080'\n", ["3 CFG002"]),
        (PINNED + "port = [1]\n", ["3 CFG002"]),
        (PINNED + 'tls_key = "k.pem"\n', ["3 CFG004"]),
        (PINNED + '[websocket]\nauth_path = "/ws"\npath = "/ws"\n', ["4 CFG005"]),
        (PINNED + '[websocket]\nauth_path = "auth"\n', ["4 CFG005"]),
        ('[server]\norigin = "ftp://a.b"\n', ["2 CFG006"]),
        ("[server]\norigin = \n", ["2 CFG003"]),
        (PINNED + "[server]\nport = 1\n", ["4 CFG003"]),
        (PINNED + "port = 1\n\nport = 2\n# end\n", ["5 CFG003"]),
        (PINNED + "[websocket]\nping = true\n[dev]\nreload = true\n[websocket]\n", ["7 CFG003"]),
        (PINNED + "# idle_timout = 5\n[websocket]\nping = true\n", []),
    ],
)
def test_what_is_wrong_with_the_file(toml: str, wanted: list[str], tmp_path: Path) -> None:
    assert told(tmp_path, toml) == wanted


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({"REALTIME_SERVER__PROT": "1"}, ["REALTIME_SERVER__PROT CFG007"]),
        ({"REALTIME_SERVER__PORT": "x"}, ["REALTIME_SERVER__PORT CFG002"]),
        ({"REALTIME_SERVER__ORIGIN": "https://b.example"}, ["2 CFG008"]),
        ({"REALTIME_SERVER__ORIGIN": "https://app.example.com"}, []),
        ({"REALTIME_WEBSOCKET__WS_DEBUG": "true"}, ["REALTIME_WEBSOCKET__WS_DEBUG CFG011"]),
        ({"REALTIME_WEBSOCKET__COMPRESSION": "1"}, ["REALTIME_WEBSOCKET__COMPRESSION SEC012"]),
        ({"OTHER_PROT": "1", "REALTIME_CHECK_CPUS": "4"}, []),
        ({"REALTIME_SERVER_PORT": "1"}, ["REALTIME_SERVER_PORT CFG007"]),
        (
            {"REALTIME_WEBSOCKET_PRESSURE_MEMORY_RATIO": "1"},
            ["REALTIME_WEBSOCKET_PRESSURE_MEMORY_RATIO CFG007"],
        ),
        ({"REALTIME_SERVER_NAME": "mine"}, []),
    ],
)
def test_what_is_wrong_with_the_variables(environ: dict[str, str], wanted: list[str], tmp_path: Path) -> None:
    assert told(tmp_path, PINNED, environ) == wanted


@pytest.mark.parametrize(
    ("toml", "rule"),
    [
        ("[security]\nallow_system_topic_subscribe = true", "SEC006"),
        ("[security]\nallow_non_ascii_topics = true", "SEC007"),
        ("[security]\nauth_require_origin = false", "SEC010"),
        ("[security]\ncompress_credentialed_responses = true", "SEC011"),
        ("[websocket]\ncompression = true", "SEC012"),
        ("[security]\nbus_allow_system_topics = true", "SEC017"),
        ("[websocket]\nupgrade_rate_limit = 0", "SEC024"),
        ('[websocket]\nallowed_origins = ["example.com"]', "SEC005"),
        ('[websocket]\nallowed_origins = ["https://a.example/x"]', "SEC005"),
        ('[websocket]\nallowed_origins = ["http://a.example"]', "SEC005"),
        ('[websocket]\nallowed_origins = ["*"]', "SEC004"),
        ('[redis]\nurl = "redis://h.example:6379"', "SEC021"),
        ('[postgres]\ndsn = "postgresql://h.example/app"', "SEC021"),
        ('[postgres]\ndsn = "postgresql://h.example/app?sslmode=prefer"', "SEC021"),
        ('[redis]\nurl = "rediss://u:p@h.example"', "SEC020"),
        ('[postgres]\ndsn = "postgresql://h.example/app?sslmode=require&password=x"', "SEC020"),
        ("[websocket]\nidle_timeout = 0", "CAP012"),
        ("[websocket]\nidle_timeout = 90\nping = false", "CAP012"),
        ('[websocket]\nmax_payload_length = "2M"\nmax_backpressure = "1M"', "CAP006"),
        ("[capacity]\nMAX_PRESENSE_REF = 5", "CAP005"),
        ("[capacity]\nMAX_PRESENCE_REF = 1", "CAP004"),
        ("[capacity]\nMAX_PRESENCE_REF = 0", "CFG002"),
    ],
)
def test_every_switch_in_every_form(toml: str, rule: str, tmp_path: Path) -> None:
    section, _, lines = toml.partition("\n")
    name = section.strip("[]")
    forms = {
        "table": PINNED + toml + "\n",
        "dotted": "\n".join(f"{name}.{line}" for line in lines.split("\n")) + "\n" + PINNED,
        "inline": f"{name} = {{{', '.join(lines.split(chr(10)))}}}\n" + PINNED,
        "production": f"{PINNED}[env.production.{name}]\n{lines}\n",
        "crlf": (PINNED + toml + "\n").replace("\n", "\r\n"),
    }
    for form, text in forms.items():
        found = [one.rpartition(" ")[2] for one in told(tmp_path / form, text)]
        assert found == [rule], (form, found)
    commented = PINNED + "".join(f"# {line}\n" for line in toml.split("\n"))
    assert told(tmp_path / "comment", commented) == []
    other = f"{PINNED}[env.dev.{name}]\n{lines}\n"
    wrong = ([], ["4 " + rule], ["4 CFG002"])
    assert told(tmp_path / "dev", other) in wrong, "of dev only what is wrong in itself"


@pytest.mark.parametrize(
    ("toml", "wanted"),
    [
        ('[server]\nprotocol_header = "x-forwarded-proto"\norigin = "https://a.b"\n', ["2 SEC023"]),
        ('[server]\naddress_header = "x-real-ip"\norigin = "https://a.b"\n', []),
        (
            '[server]\naddress_header = "x-real-ip"\norigin = "https://a.b"\ntrusted_proxies = ["*"]\n',
            ["4 SEC022"],
        ),
        (
            '[server]\naddress_header = "x-real-ip"\norigin = "https://a.b"\ntrusted_proxies = ["::/0"]\n',
            ["4 SEC022"],
        ),
        (
            '[server]\naddress_header = "x-real-ip"\norigin = "https://a.b"\ntrusted_proxies = ["10.0.0.0/8"]\n',
            [],
        ),
        (PINNED + 'body_limit = "101M"\n', ["3 SEC042"]),
        (PINNED + 'body_limit = "1M"\n', []),
        (PINNED + "shutdown_timeout = 20\nshutdown_delay = 15\n", ["3 CFG015"]),
        (PINNED + "health_path = false\n", []),
        (PINNED + '[metrics]\nenabled = true\nlisten = "127.0.0.1:9464"\n', []),
        (PINNED + '[metrics]\nenabled = true\nallow = ["10.0.0.0/8"]\n', []),
        (PINNED + "[metrics]\nenabled = true\n", ["4 SEC040"]),
        (PINNED + '[redis]\nurl = "redis://localhost"\n', []),
        (PINNED + '[redis]\nurl = "redis://127.0.0.5"\n', []),
        (PINNED + '[websocket]\nallowed_origins = ["http://localhost:5173"]\n', []),
        (PINNED + '[security]\nasync_predicates = "legacy_allow"\n', ["4 SEC008", "4 SEC019"]),
    ],
)
def test_settings_that_belong_together(toml: str, wanted: list[str], tmp_path: Path) -> None:
    assert told(tmp_path, toml) == wanted


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ('dependencies = ["realtime-toolkit"]', False),
        ('dependencies = ["realtime_toolkit[redis]>=0.5"]', False),
        ("dependencies = [\"Realtime-Toolkit ~= 0.5 ; python_version > '3.8'\"]", True),
        ('dependencies = ["realtime-toolkit==0.5.*"]', True),
        ('dependencies = ["realtime-toolkit>=0.5,<0.6"]', True),
        ('dependencies = ["realtime-toolkit~=0.5"]\nrequires-python = ">=3.10"', False),
        ('dependencies = ["other", "not a requirement !"]', True),
    ],
)
def test_the_pinned_version(text: str, fine: bool, tmp_path: Path) -> None:
    found = told(
        tmp_path, PINNED, files={"pyproject.toml": f'[project]\nname = "x"\nversion = "1"\n{text}\n'}
    )
    assert found == ([] if fine else ["pyproject.toml CFG010"])


@pytest.mark.parametrize(
    ("toml", "wanted"),
    [
        ("[server\nport = 1\n", "1:8 not valid TOML: "),
        (PINNED + "port = 1\nport = 2\n", "4:1 not valid TOML: "),
    ],
)
def test_a_place_is_told_once(toml: str, wanted: str, tmp_path: Path) -> None:
    found = [one for one in report_of(tmp_path, {"realtime.toml": toml}).findings if one.rule == "CFG003"]
    assert [f"{one.span.line}:{one.span.col} {one.message}".startswith(wanted) for one in found] == [True]


@pytest.mark.parametrize(
    ("text", "skipped"),
    [
        ("[project\n", {"pyproject.toml": "no valid TOML"}),
        ("project = 1\n", {}),
        ("[project]\noptional-dependencies = []\n", {}),
    ],
)
def test_a_broken_pyproject_is_named(text: str, skipped: dict[str, str], tmp_path: Path) -> None:
    report = report_of(tmp_path, {"pyproject.toml": text})
    assert (report.failed, report.skipped) == ({}, skipped)


def test_an_address_that_is_none_may_be_a_secret(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"realtime.toml": PINNED + '[redis]\nurl = "redis://h:hunter2"\n'})
    assert report.failed == {}
    assert {one.rule for one in report.findings if one.span.line == 4} == {"CFG002", "SEC020"}
    assert "hunter2" not in str(report)
