"""UPG103: every form in which a project asks for the toolkit."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import upgrade


def edited(path: str, text: str) -> str:
    return upgrade({path: text}, only="UPG103").files[path]


@pytest.mark.spec("UPGC-36")
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("requirements.txt", "realtime-toolkit>=0.4\n"),
        ("requirements.txt", "realtime-toolkit\n"),
        ("requirements.txt", "realtime-toolkit>=0.5,<0.6\n"),
        ("requirements.txt", "# realtime-toolkit~=0.4\n"),
        ("requirements.txt", "my-realtime-toolkit==0.4.1\n"),
        ("requirements.txt", "realtime-toolkit-extra==0.4.1\n"),
        ("requirements.txt", "realtime-toolkit @ https://example.com/realtime-toolkit-0.4.1.zip\n"),
        ("pyproject.toml", "[project]\nrequires-python = '>=3.11'\n"),
        ("pyproject.toml", "[project]\nrequires-python = '>=3.12,<4'\n"),
        ("pyproject.toml", "[project]\ndescription = 'like realtime-toolkit==0.4.1 but better'\n"),
    ],
)
def test_what_is_fine_stays(path: str, text: str) -> None:
    assert edited(path, text) == text


@pytest.mark.spec("UPGC-36")
@pytest.mark.parametrize(
    ("path", "before", "expected"),
    [
        ("requirements.txt", "realtime-toolkit==0.4.7", "realtime-toolkit>=0.5,<0.6"),
        (
            "requirements-dev.txt",
            "a\r\nrealtime-toolkit[redis, js] ~= 0.4.2 ; python_version > '3.8'  # x\r\n",
            "a\r\nrealtime-toolkit[redis, js] >=0.5,<0.6 ; python_version > '3.8'  # x\r\n",
        ),
        ("constraints.txt", "Realtime_Toolkit<0.5\n", "Realtime_Toolkit>=0.5,<0.6\n"),
        (
            "setup.cfg",
            "[options]\npython_requires = >=3.9\ninstall_requires =\n    realtime-toolkit>=0.4,<0.5\n",
            "[options]\npython_requires = >=3.11\ninstall_requires =\n    realtime-toolkit>=0.5,<0.6\n",
        ),
        (
            "pyproject.toml",
            "[project]\ndependencies = ['realtime-toolkit[redis]~=0.4.20', \"httpx\"]  # ops\n",
            "[project]\ndependencies = ['realtime-toolkit[redis]>=0.5,<0.6', \"httpx\"]  # ops\n",
        ),
        (
            "pyproject.toml",
            '[project.optional-dependencies]\nlive = ["realtime-toolkit==0.4.*"]\n',
            '[project.optional-dependencies]\nlive = ["realtime-toolkit>=0.5,<0.6"]\n',
        ),
        (
            "pyproject.toml",
            '[dependency-groups]\nlive = ["realtime-toolkit==0.4.1"]\n',
            '[dependency-groups]\nlive = ["realtime-toolkit>=0.5,<0.6"]\n',
        ),
        (
            "pyproject.toml",
            '[tool.poetry.dependencies]\npython = "^3.9"\nrealtime-toolkit = "^0.4"\n',
            '[tool.poetry.dependencies]\npython = "^3.11"\nrealtime-toolkit = ">=0.5,<0.6"\n',
        ),
        (
            "pyproject.toml",
            '[tool.poetry.dependencies]\nrealtime-toolkit = { version = "^0.4", extras = ["redis"] }\n',
            '[tool.poetry.dependencies]\nrealtime-toolkit = { version = ">=0.5,<0.6", extras = ["redis"] }\n',
        ),
        (
            "pyproject.toml",
            '[project]\nrequires-python = ">=3.10,<4"  # ops\n',
            '[project]\nrequires-python = ">=3.11,<4"  # ops\n',
        ),
    ],
)
def test_what_asks_for_04_asks_for_05(path: str, before: str, expected: str) -> None:
    assert edited(path, before) == expected


@pytest.mark.spec("UPGC-36")
def test_hashes_lock_files_and_setup_py_are_told() -> None:
    pinned = "realtime-toolkit==0.4.7 \\\n    --hash=sha256:00\n"
    setup = "setup(install_requires=['realtime-toolkit==0.4.7'])\n"
    done = upgrade(
        {
            "requirements.txt": pinned,
            "setup.py": setup,
            "pyproject.toml": "[project]\ndependencies = ['realtime-toolkit==0.4.7']\n",
            "uv.lock": "realtime-toolkit==0.4.7\n",
        },
        only="UPG103",
    )
    assert done.files["requirements.txt"] == pinned
    assert done.files["setup.py"] == setup
    flags = sorted((one.path, one.advice) for one in done.findings if one.status == "flagged")
    assert [path for path, _ in flags] == ["requirements.txt", "setup.py", "uv.lock"]
    assert flags[2][1] == "make it anew: uv lock"
