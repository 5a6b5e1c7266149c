"""UPG125: the host pin, the auth path, cookies."""

from __future__ import annotations

import tomllib

import pytest

from realtime_cli.codemods.finding import Severity
from tests.upgrade.projects import flagged, stays, upgrade

POST = "import httpx\n\nhttpx.post({arguments})\n"
SET = "def f(ctx, cookies, path):\n    cookies.set({arguments})\n"


@pytest.mark.parametrize(
    "source",
    [
        POST.format(arguments="base + '/login', cookies=c"),
        POST.format(arguments="base + '/__ws/auth', headers={'X-Requested-With': 'XMLHttpRequest'}"),
        POST.format(arguments="base + '/__ws/auth', headers={'origin': 'https://a'}"),
        POST.format(arguments="base + '/__ws/auth', headers=headers"),
        POST.format(arguments="base + '/__ws/auth', headers={**headers}"),
        "import httpx\n\nhttpx.get(base + '/__ws/auth')\n",
        SET.format(arguments="'a', 'b', path='/', domain=None"),
        "import httpx\n\nhttpx.Client().cookies.set('a', 'b', path=path)\n",
        "import requests\n\ncookies = requests.cookies()\ncookies.set('a', 'b', path=path)\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG125", source)


@pytest.mark.spec("UPGC-60")
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (POST.format(arguments="base + '/__ws/auth', cookies=c"), [("C-18", 3)]),
        (POST.format(arguments="f'{base}/__ws/auth?x=1', headers={'accept': 'a'}"), [("C-18", 3)]),
        (
            POST.replace("httpx.post(", "httpx.request('post', ").format(arguments="base + '/__ws/auth'"),
            [("C-18", 3)],
        ),
        (SET.format(arguments="'a', 'b', path=path"), [("C-21", 2)]),
        (SET.format(arguments="'a', 'b', domain=f'{path}'"), [("C-21", 2)]),
    ],
)
def test_requests_and_cookies_that_are_refused(source: str, expected: list[tuple[str, int]]) -> None:
    assert flagged("UPG125", source) == expected


@pytest.mark.spec("UPGC-58")
@pytest.mark.parametrize(
    "settings",
    [
        '[server]\norigin = "https://a"\n',
        '[server]\nhost_header = "x-forwarded-host"\n',
        '[websocket]\nallowed_hosts = ["a"]\n',
        '[server]\ntls_cert = "a"\ntls_key = "b"\n',
        '[websocket]\nallowed_origins = ["https://a"]\n',
        '[websocket]\nallowed_origins = "*"\n',
        '[env.production.server]\norigin = "https://a"\n',
        "[security]\nunsafe_same_origin_without_host_pin = true\n",
    ],
)
def test_every_host_pin_is_recognised(settings: str) -> None:
    done = upgrade({"realtime.toml": settings, "hooks.py": "def close(ws, ctx): ...\n"}, only="UPG125")
    assert done.findings == []
    assert done.files["realtime.toml"] == settings


@pytest.mark.spec("UPGC-58")
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("[server]\nport = 1\n", "[server]\nport = 1\n{todo}"),
        (
            '# top\n[server]\nport = 1  # x\n\n# of the next\n[websocket]\nallowed_origins = "same-origin"\n',
            '# top\n[server]\nport = 1  # x\n{todo}\n# of the next\n[websocket]\nallowed_origins = "same-origin"\n',
        ),
        ("[dev]\nx = 1", "[dev]\nx = 1\n\n[server]\n{todo}"),
        ("", "[server]\n{todo}"),
        ('[server]\ntls_cert = "a"\r\n', '[server]\ntls_cert = "a"\r\n{todo}'),
    ],
)
def test_without_one_the_address_is_asked_for(settings: str, expected: str) -> None:
    done = upgrade(
        {"realtime.toml": settings.encode(), "hooks.py": "def close(ws, ctx): ...\n"}, only="UPG125"
    )
    assert [(one.row, one.status) for one in done.findings] in ([("S-26", "todo")], [("S-26", "flagged")])
    end = "\r\n" if "\r\n" in settings else "\n"
    todo = (
        "# TODO(realtime-upgrade UPG125): 0.5 does not start without knowing its host; "
        "set the address that people use"
        f'{end}# origin = "https://app.example.com"{end}'
    )
    assert done.files["realtime.toml"] == expected.replace("{todo}", todo)
    assert tomllib.loads(done.files["realtime.toml"]) is not None


@pytest.mark.spec("UPGC-58")
def test_a_variable_counts_and_a_table_in_one_line_is_told() -> None:
    files: dict[str, str | bytes] = {"realtime.toml": "server = {port = 1}\n", "hooks.py": "x = 1\n"}
    done = upgrade(files, only="UPG125")
    assert [(one.row, one.status, one.severity) for one in done.findings] == [
        ("S-26", "flagged", Severity.ERROR)
    ]
    assert done.files["realtime.toml"] == files["realtime.toml"]
    for name in (".env", "compose.yml", "Dockerfile"):
        pinned = upgrade({**files, name: "ENV REALTIME_SERVER__ORIGIN=https://a\n"}, only="UPG125")
        assert pinned.findings == []


@pytest.mark.spec("UPGC-58")
def test_with_an_upgrade_hook_it_is_a_note() -> None:
    files: dict[str, str | bytes] = {
        "realtime.toml": "[server]\nport = 1\n",
        "hooks.py": "def upgrade(ctx): ...\n",
    }
    done = upgrade(files, only="UPG125")
    assert [(one.row, one.severity) for one in done.findings] == [("S-26", Severity.INFO)]
    assert done.files["realtime.toml"] == files["realtime.toml"]
    assert upgrade({"a.py": "x = 1\n"}, only="UPG125").findings == []
