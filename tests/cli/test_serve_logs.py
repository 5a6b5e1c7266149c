"""What `realtime serve` writes where: the access log to stdout, everything else to stderr. Spec: platform 3.9 and 4."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.cli.apps import write_project
from tests.cli.commands import PROGRAM, TIMEOUT, environment, serving

HOOKS = """
    import logging
    from starlette.routing import Route

    log = logging.getLogger("app")

    async def fail(request):
        raise RuntimeError("of the handler")

    def init():
        log.info("ready for %s", "all")
        log.debug("not shown")

    routes = [Route("/fail", fail)]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "app", {"hooks.py": HOOKS, "live/app.py": "", "web/a.txt": "0123456789"})


def get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def serve_and_ask(project: Path, *arguments: str) -> tuple[str, str]:
    """Return stdout and stderr (from the announcement on) of a server that was asked for two pages."""
    with serving(project, *arguments, stdout=subprocess.PIPE) as (child, url):
        assert [get(f"{url}{path}?hush") for path in ("/a.txt", "/fail", "/healthz")] == [200, 500, 200]
        child.terminate()
        out, err = child.communicate(timeout=TIMEOUT)
    assert child.returncode == 0
    return out, err


@pytest.mark.spec("PLAT-95")
def test_the_access_log_is_the_output(project: Path) -> None:
    out, err = serve_and_ask(project, "--access-log", "text")
    first, second = out.splitlines()
    assert " 127.0.0.1 GET /a.txt 200 10 " in first
    assert " 127.0.0.1 GET /fail 500 " in second
    assert "GET /" not in err
    assert "hush" not in out + err
    out, _ = serve_and_ask(project, "--access-log", "json", "--log-level", "error")
    lines: list[Any] = [json.loads(line) for line in out.splitlines()]
    assert [(line["path"], line["status"]) for line in lines] == [("/a.txt", 200), ("/fail", 500)]


def test_without_an_access_log_the_output_is_empty(project: Path) -> None:
    out, err = serve_and_ask(project)
    assert out == ""
    assert "RuntimeError: of the handler" in err


def test_records_as_json(project: Path) -> None:
    child = subprocess.Popen(
        [*PROGRAM, "serve", "--host", "127.0.0.1", "--port", "0", "--json", "--log-format", "json"],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        said = ""
        while not said.endswith("}\n"):
            said += child.stdout.readline()
        assert get(json.loads(said)["url"] + "/fail") == 500
        child.terminate()
        _, err = child.communicate(timeout=TIMEOUT)
    records = [json.loads(line) for line in err.splitlines()]
    (ready,) = [record for record in records if record["logger"] == "app"]
    assert (ready["level"], ready["message"]) == ("info", "ready for all")
    assert "T" in ready["time"]
    assert [r["level"] for r in records if "RuntimeError: of the handler" in r.get("error", "")] == ["error"]
