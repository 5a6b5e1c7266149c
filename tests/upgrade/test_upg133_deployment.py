"""UPG133: what stands around the app."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import upgrade

TODO = "# TODO(realtime-upgrade UPG133): "
CLUSTER = "from runtime.cluster import Presence, ShardedBus\n\n{}\n"


def changed(path: str, text: str, services: str = "") -> str:
    return upgrade({path: text.encode(), "services.py": services}, only="UPG133").files[path]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "Dockerfile",
            ("FROM python:3.11-slim\nFROM python:3\nFROM python:3.12\nFROM cpython:3.9\n# FROM python:3.9\n"),
        ),
        ("Dockerfile", "FROM python:3.10-slim  # realtime-upgrade: skip\n"),
        ("Dockerfile", "RUN apt-get install python3.9\n"),
        (
            ".github/workflows/ci.yml",
            "python-version: ['3.11', \"3.12\"]\npython-version: ${{ matrix.python }}\n",
        ),
        ("settings.yml", "python-version: '3.9'\n"),
        ("Procfile", "web: realtime serve\n# web: realtime run\n"),
        ("compose.yml", "services:\n  a:\n    image: redis:7.2\n"),
        ("grafana.json", '{"expr": "presence_total"}\n'),
    ],
)
def test_look_alikes_stay(path: str, text: str) -> None:
    done = upgrade({path: text}, only="UPG133")
    assert done.findings == []
    assert done.files[path] == text


@pytest.mark.spec("UPGC-60")
@pytest.mark.parametrize(
    ("before", "after", "was"),
    [
        ("FROM python:3.10-slim", "FROM python:3.11-slim", "python:3.10-slim"),
        ("FROM python:3.9.4-slim AS build", "FROM python:3.11-slim AS build", "python:3.9.4-slim"),
        (
            "FROM --platform=linux/amd64 docker.io/library/python:3.8",
            "FROM --platform=linux/amd64 docker.io/library/python:3.11",
            "docker.io/library/python:3.8",
        ),
    ],
)
def test_images_of_python(before: str, after: str, was: str) -> None:
    text = changed("Dockerfile", f"# app\n{before}\nCOPY . /app\n")
    assert text == f"# app\n{TODO}0.5 needs Python 3.11 or newer; was {was}\n{after}\nCOPY . /app\n"


@pytest.mark.spec("UPGC-60")
@pytest.mark.parametrize(
    ("before", "after", "was"),
    [
        ("  python-version: '3.10'  # oldest", "  python-version: '3.11'  # oldest", "'3.10'"),
        ("  python-version: 3.9", '  python-version: "3.11"', "3.9"),
        ('  python-version: ["3.10", "3.12"]', '  python-version: ["3.11", "3.12"]', '["3.10", "3.12"]'),
        (
            '  python-version: ["3.9", "3.10", "3.11"]',
            '  python-version: ["3.11"]',
            '["3.9", "3.10", "3.11"]',
        ),
    ],
)
def test_versions_in_ci(before: str, after: str, was: str) -> None:
    text = changed(".github/workflows/ci.yml", f"matrix:\n{before}\nsteps: []\n")
    assert text == f"matrix:\n  {TODO}0.5 needs Python 3.11 or newer; was {was}\n{after}\nsteps: []\n"


@pytest.mark.spec("UPGC-60")
def test_versions_in_ci_line_by_line() -> None:
    text = changed(
        ".github/workflows/ci.yml",
        'a:\n  python-version:\n    - "3.9"\n    - "3.10"  # x\n    - "3.12"\nb: 1\n',
    )
    assert text == (
        f'a:\n  {TODO}0.5 needs Python 3.11 or newer; was "3.9", "3.10"\n'
        '  python-version:\n    - "3.11"\n    - "3.12"\nb: 1\n'
    )


@pytest.mark.spec("UPGC-60")
@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("Procfile", "web: python -m realtime_app", "web: realtime serve"),
        (
            "app.service",
            "ExecStart=/usr/bin/env realtime run /app",
            "ExecStart=/usr/bin/env realtime serve /app",
        ),
        ("docker-compose.yml", "    command: realtime run", "    command: realtime serve"),
        ("Dockerfile", 'CMD ["python", "-m", "realtime_app"]', 'CMD ["realtime", "serve"]'),
    ],
)
def test_commands(path: str, before: str, after: str) -> None:
    margin = before[: len(before) - len(before.lstrip())]
    assert changed(path, before + "\r\n") == f"{margin}{TODO}the command was: {before.strip()}\r\n{after}\r\n"


@pytest.mark.spec("UPGC-60")
@pytest.mark.parametrize(
    ("image", "made", "rows"),
    [
        ("redis:7.2-alpine", "Presence(redis)", ["C-16", "C-16"]),
        ("redis:6", "ShardedBus(redis)", ["S-28"]),
        ("redis:6", "Presence(ShardedBus(redis))", ["C-16", "C-16", "S-28"]),
        ("redis:7.4-alpine", "Presence(redis)", ["C-16"]),
        ("redis:7", "Presence(redis)", ["C-16"]),
        ("redis:7.0", "ShardedBus(redis)", []),
        ("redis:latest", "ShardedBus(redis)", []),
        ("redis/redis-stack-server:6.2.6-v7", "ShardedBus(redis)", ["S-28"]),
    ],
)
def test_images_of_redis(image: str, made: str, rows: list[str]) -> None:
    compose = f"services:\n  redis:\n    image: {image}\n"
    done = upgrade({"compose.yml": compose, "services.py": CLUSTER.format(made)}, only="UPG133")
    assert sorted(one.row for one in done.findings) == rows
    assert done.files["compose.yml"] == compose


@pytest.mark.spec("UPGC-60")
@pytest.mark.parametrize("path", ["grafana/board.json", "alerts.yml", "stats.py"])
def test_the_counter_that_is_gone(path: str) -> None:
    done = upgrade({path: '# "presence_stale_cleaned_total"\n'}, only="UPG133")
    assert [(one.row, one.path, one.status) for one in done.findings] == [("D-39", path, "flagged")]


@pytest.mark.spec("UPGC-60")
@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("Dockerfile", "RUN pip install --no-cache-dir realtime-toolkit==0.4.3 uvloop"),
        ("Dockerfile", 'RUN ["pip", "install", "realtime_toolkit[redis]~=0.4.20"]'),
        ("deploy/app.dockerfile", "RUN uv pip install 'Realtime-Toolkit >= 0.4, < 0.5'"),
        ("Dockerfile", "ADD wheels/realtime_toolkit-0.4.3-py3-none-any.whl /tmp/"),
        ("docker-compose.yml", "    command: sh -c 'pip install realtime-toolkit==0.4.* && realtime serve'"),
        (".github/workflows/ci.yml", "      - run: pip install realtime-toolkit==0.4.3  # oldest"),
        (".gitlab-ci.yml", "  - uvx --from realtime-toolkit==0.4.3 realtime check"),
        ("environment.yml", "  - realtime-toolkit=0.4"),
    ],
)
def test_what_installs_the_old_version_is_told(path: str, line: str) -> None:
    text = f"# about the build\n{line}\n"
    done = upgrade({path: text}, only="UPG133")
    assert done.files[path] == text
    assert [(one.row, one.status, one.severity, one.path, one.line) for one in done.findings] == [
        ("S-05", "flagged", "error", path, 2)
    ]
    (found,) = done.findings
    assert line[found.col - 1 :].lower().startswith("realtime")
    assert found.advice == 'install "realtime-toolkit>=0.5,<0.6" in this line'


def test_a_version_from_elsewhere_is_told_too() -> None:
    text = "ARG VERSION=0.4.3\nRUN pip install realtime-toolkit==${VERSION}\n"
    done = upgrade({"Dockerfile": text}, only="UPG133")
    assert [(one.row, one.status, one.severity, one.line) for one in done.findings] == [
        ("S-05", "flagged", "warning", 2)
    ]


@pytest.mark.parametrize(
    "line",
    [
        "RUN pip install realtime-toolkit",
        "RUN pip install realtime-toolkit > /tmp/log",
        "RUN pip install 'realtime-toolkit>=0.4'",
        "RUN pip install realtime-toolkit==0.5.1 my-realtime-toolkit==0.4.1 realtime-toolkit-extras==0.4.1",
        "# RUN pip install realtime-toolkit==0.4.3",
        "RUN pip install uvloop  # not realtime-toolkit==0.4.3",
        "RUN pip install realtime-toolkit==0.4.3  # realtime-upgrade: skip",
        "RUN pip install realtime_toolkit-0.5.0-py3-none-any.whl",
    ],
)
def test_what_installs_the_new_version_or_any_is_not(line: str) -> None:
    assert upgrade({"Dockerfile": f"{line}\n"}, only="UPG133").findings == []
