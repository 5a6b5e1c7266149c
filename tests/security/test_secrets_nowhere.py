"""No setting that is shown, no line, error, label or report holds the value of a secret key. Platform 4 and 5.15."""

from __future__ import annotations

import contextlib
import json
import subprocess
import traceback
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from realtime_cli.rules.engine import Report
from realtime_cli.rules.finding import Finding, Severity, Span
from realtime_cli.rules.report_text import render_text
from runtime.core.settings import SECTIONS, SettingsError, keys_of
from runtime.server.settings_source import examine_settings, load_settings
from tests.cli.apps import PINNED, write_project
from tests.cli.commands import environment, realtime, serving

SECRET_KEYS = [
    (section, name) for section, kind in SECTIONS.items() for name, key in keys_of(kind).items() if key.secret
]
PASSWORDS = {
    ("redis", "url"): "redis://app:{}@cache.example:6379/0",
    ("postgres", "dsn"): "postgresql://app:{}@db.example:5432/app",
    ("metrics", "token"): "{}",
    ("devtools", "token"): "{}",
}
VISIBLE = st.text(st.sampled_from("abcXYZ019-_.~!$%&*+=?#|^{}[]()<>:,;@/'`"), min_size=6, max_size=20)


def test_the_list_is_complete() -> None:
    assert set(SECRET_KEYS) == set(PASSWORDS)


def everything_said(error: BaseException) -> str:
    return f"{error} {error!r} {error.args} {''.join(traceback.format_exception(error))}"


def shown(folder: Path, environ: dict[str, str]) -> Iterator[str]:
    """Yield all that loading the settings says to somebody."""
    try:
        loaded = load_settings(folder, environ=environ)
    except SettingsError as error:
        # The frames of a traceback show our code, not its values.
        yield everything_said(error)
    else:
        found = loaded.settings
        yield f"{found!r} {found} {loaded.origins}"
        yield repr([found.redis, found.postgres, found.metrics, found.devtools])
    with contextlib.suppress(SettingsError):
        examined = examine_settings(folder, environ=environ)
        yield repr(examined.problems)
        for problem in examined.problems:
            yield everything_said(problem)


WAYS = {
    "value": lambda section, name, text: (f"[{section}]\n{name} = {json.dumps(text)}\n", {}),
    "environment": lambda section, name, text: ("", {f"REALTIME_{section.upper()}__{name.upper()}": text}),
    "pointed to": lambda section, name, text: (f'[{section}]\n{name} = "env:IT"\n', {"IT": text}),
    "a list": lambda section, name, text: (f"[{section}]\n{name} = [{json.dumps(text)}]\n", {}),
    "a table": lambda section, name, text: (f"[{section}]\n{name} = {{a = {json.dumps(text)}}}\n", {}),
    "with a space": lambda section, name, text: (f"[{section}]\n{name} = {json.dumps(text + ' x')}\n", {}),
    "twice": lambda section, name, text: (
        f"[{section}]\n{name} = {json.dumps(text)}\n{name} = {json.dumps(text)}\n",
        {},
    ),
    "not closed": lambda section, name, text: (f'[{section}]\n{name} = "{text}\n', {}),
    "single, not closed": lambda section, name, text: (f"[{section}]\n{name} = '{text}\n", {}),
    "no quotes": lambda section, name, text: (f"[{section}]\n{name} = {text}\n", {}),
    "no sign": lambda section, name, text: (f"[{section}]\n{name} {text}\n", {}),
    "a bad escape": lambda section, name, text: (f'[{section}]\n{name} = "\\q{text}"\n', {}),
    "in capitals": lambda section, name, text: (f"[{section}]\n{name.upper()} = {json.dumps(text)}\n", {}),
    "of production": lambda section, name, text: (
        f"[env.production.{section}]\n{name} = [{json.dumps(text)}]\n",
        {},
    ),
    "dotted": lambda section, name, text: (f"{section}.{name} = [{json.dumps(text)}]\n", {}),
    "inline": lambda section, name, text: (f"{section} = {{ {name} = [{json.dumps(text)}] }}\n", {}),
    "over lines": lambda section, name, text: (f'[{section}]\n{name} = """\n{text}\n', {}),
}


@pytest.mark.spec("PLAT-168", "PLAT-101")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("section", "name"), SECRET_KEYS)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(password=VISIBLE)
@example(password="hunter2-hunter2")
@example(password="p@ss:w/rd?#x")
@example(password="a=b&c#d'e`f")
def test_loading_says_no_secret(tmp_path: Path, section: str, name: str, way: str, password: str) -> None:
    marked = f"q9{password}z9"  # not found in our own words
    text = PASSWORDS[section, name].format(marked)
    toml, environ = WAYS[way](section, name, text)
    (tmp_path / "realtime.toml").write_text(toml, encoding="utf-8")
    for said in shown(tmp_path, environ):
        assert "q9" not in said, said
        assert marked not in said


BROKEN = {
    "fine": "",
    "wrong type": "\n[server]\nport = 'x'\n",
    "unknown": "\n[websocket]\nidle_timout = 5\n",
    "syntax": "\n[server\n",
    "conflict": "\n[server]\ntls_cert = 'a.pem'\n",
    "opt-outs": "\n[security]\nredact_urls = false\nredact_logs = false\n",
}
COMMANDS: list[tuple[str, ...]] = [
    ("config", "show"),
    ("config", "show", "--origin"),
    ("config", "show", "--json"),
    ("config", "schema"),
    ("doctor",),
    ("doctor", "--json"),
    ("check",),
    ("check", "--json"),
    ("check", "--format", "sarif"),
    ("check", "--format", "github", "-v"),
    ("check", "--capacity", "--json"),
    ("routes", "--json"),
]
PASSWORD = "correct-horse-9-battery"
TOML = "".join(
    f"[{section}]\n{name} = {json.dumps(PASSWORDS[section, name].format(PASSWORD))}\n"
    for section, name in SECRET_KEYS
)
LIVE = "from runtime import live\n\n@live.public\n@live\nasync def ping(ctx): return 1\n"


@pytest.mark.spec("PLAT-168")
@pytest.mark.parametrize("broken", BROKEN)
def test_no_command_prints_a_secret(tmp_path: Path, broken: str) -> None:
    toml = f"{PINNED.replace('    ', '')}{TOML}{BROKEN[broken]}"
    if broken in ("wrong type", "conflict"):
        toml = toml.replace("[server]\nallowed", f"[server]\n{BROKEN[broken].split(chr(10))[2]}\nallowed", 1)
        toml = toml.removesuffix(BROKEN[broken])
    project = write_project(tmp_path / "app", {"realtime.toml": toml, "live/things.py": LIVE})
    for command in (
        ("init", "-q"),
        ("add", "."),
    ):  # a secret in a file that others get is a finding of its own
        subprocess.run(["git", *command], cwd=project, check=True, env=environment())
    commands = (
        COMMANDS if broken == "fine" else [("config", "show"), ("doctor",), ("check",), ("check", "--json")]
    )
    for command in commands:
        ended = realtime(*command, "--project", project, cwd=tmp_path)
        assert PASSWORD not in ended.out + ended.err, (command, ended)
        assert ended.out or ended.err
        assert "Traceback" not in ended.err


@pytest.mark.spec("PLAT-168")
def test_a_terminal_gets_no_secret_beside_a_finding() -> None:
    lines = [
        *TOML.splitlines(),
        "port = 5",
        f'tokn = "{PASSWORD}"',
        f'  "{PASSWORD}",',
        "[server]",
        "# a note",
    ]
    found = tuple(
        Finding("X1", Severity.ERROR, "realtime.toml", Span(number), "wrong", "mend it")
        for number in range(1, len(lines) + 1)
    )
    shown = list(
        render_text(
            Report(found), {"realtime.toml": "\n".join(lines)}, paint=lambda text, _: text, excerpts=True
        )
    )
    assert PASSWORD not in "\n".join(shown)
    excerpts = [line.partition(" | ")[2] for line in shown if " | " in line]
    assert excerpts[-5:] == ["port = 5", "***", "***", "[server]", "# a note"]
    assert {"url = ***", "dsn = ***", "token = ***", "[redis]"} <= set(excerpts)


@pytest.mark.spec("PLAT-168")
def test_what_is_mended_is_shown_without_the_secret(tmp_path: Path) -> None:
    project = write_project(
        tmp_path / "app",
        {
            "realtime.toml": f"{PINNED.replace('    ', '')}{TOML}",
            "live/things.py": LIVE,
            ".gitignore": ".env",
        },
    )
    for command in (("init", "-q"), ("add", ".")):
        subprocess.run(["git", *command], cwd=project, check=True, env=environment())
    ended = realtime("check", "--fix", "--yes", "--select", "SEC020", "--project", project, cwd=tmp_path)
    assert '-url = "***"' in ended.err
    assert PASSWORD not in ended.out + ended.err
    assert PASSWORD not in (project / "realtime.toml").read_text()
    assert PASSWORD in (project / ".env").read_text()


@pytest.mark.spec("PLAT-168")
@pytest.mark.parametrize(
    "change",
    [
        {"REALTIME_METRICS__TOKEN": f"{PASSWORD} with a space"},
        {"REALTIME_REDIS__URL": f"ftp://u:{PASSWORD}@h"},
        {"REALTIME_POSTGRES__DSN": PASSWORD},
        {"REALTIME_DEVTOOLS__TOKEN": f"\u00e9{PASSWORD}"},
    ],
)
def test_no_refusal_of_a_value_repeats_it(tmp_path: Path, change: dict[str, str]) -> None:
    project = write_project(tmp_path / "app", {"live/things.py": LIVE})
    for command in ("serve", "check", "doctor"):
        ended = realtime(command, "--project", project, cwd=tmp_path, env=change)
        assert ended.code != 0
        assert PASSWORD not in ended.out + ended.err
        assert "***" in ended.out + ended.err


@pytest.mark.spec("PLAT-168")
def test_a_server_writes_none_and_counts_none(tmp_path: Path) -> None:
    source = f"""
        import logging

        def init(settings, platform):
            logging.getLogger("app").warning("have %s and %r", settings.metrics.token, settings)
            logging.getLogger("app").warning("at %s", settings.redis.url, extra={{"all": settings.postgres.dsn}})
            print("{{}}".format(settings), flush=True)

        def upgrade(url):
            raise ConnectionError("cannot reach {PASSWORDS["redis", "url"].format(PASSWORD)}")
    """
    toml = f"{PINNED.replace('    ', '')}log_format = 'json'\n{TOML}"
    toml = toml.replace("[metrics]", "[metrics]\nenabled = true")
    for section in ("redis", "postgres"):
        toml = toml.replace(f"[{section}]", f"[{section}]\nrequired = false")
    project = write_project(
        tmp_path / "app", {"realtime.toml": toml, "hooks.py": source, "live/things.py": LIVE}
    )
    out = tmp_path / "out.txt"
    with out.open("w") as stdout, serving(project, stdout=stdout) as (child, url):
        upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
        key = {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "origin": url}
        assert httpx.get(f"{url}/ws", headers={**upgrade, **key}).status_code == 500
        metrics = httpx.get(f"{url}/metrics", headers={"authorization": f"Bearer {PASSWORD}"})
        assert metrics.status_code == 200
        assert PASSWORD not in metrics.text
        assert (
            httpx.get(f"{url}/metrics", headers={"authorization": f"Bearer {PASSWORD}x"}).status_code == 401
        )
        child.terminate()
        _, err = child.communicate(timeout=60)
    assert "cannot reach redis://app:***@cache.example:6379/0" in err
    assert PASSWORD not in err
    assert PASSWORD not in out.read_text()
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert any("ConnectionError" in line.get("error", "") for line in lines)
