"""The page of error codes lists every code that the framework makes, and no other. Spec: live-api 28."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from runtime.client import errors as client_errors
from runtime.core import errors
from tests.docs.examples import ROOT

PAGE = ROOT / "docs" / "reference" / "errors.md"
MAKERS = frozenset({"LiveError", "WireError", "RpcError"})
_ROW = re.compile(r"^\| (`[A-Z_`, ]+`) \|", re.MULTILINE)
_CODE = re.compile(r"[A-Z][A-Z_]+")


def listed(section: str) -> set[str]:
    text = PAGE.read_text(encoding="utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    return {code for cell in _ROW.findall(text) for code in re.findall(r"`([A-Z_]+)`", cell)}


def made_in(folder: Path) -> Iterator[str]:
    """Yield the codes of the errors that the code below `folder` makes."""
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            first = node.args[0]
            if name in MAKERS and isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def test_every_code_of_the_server_is_listed() -> None:
    runtime = ROOT / "runtime"
    made = {code for part in ("core", "live", "plugins", "server") for code in made_in(runtime / part)}
    told = {
        kind.code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.LockError) and kind.public_text is not None
    }
    passed_on = {"CONNECTION_CLOSED"}  # a reason of the gate, which `denial_error` makes an error
    assert listed("From the server") == made | told | passed_on | {errors.INTERNAL_ERROR}


def test_every_code_of_the_clients_is_listed() -> None:
    named = {
        value
        for name, value in vars(client_errors).items()
        if _CODE.fullmatch(name) and isinstance(value, str) and value == name
    }
    script = (ROOT / "runtime/client/browser/realtime.js").read_text(encoding="utf-8")
    thrown = set(re.findall(r'new RpcError\(\s*"([A-Z_]+)"', script))
    local = {"INVALID_REQUEST"}  # a batch of too many calls, refused before the server would
    assert listed("From the clients") >= (named | thrown) - local
    assert listed("From the clients") <= named | thrown | {"UNKNOWN"}


def test_the_types_of_the_browser_client_know_the_same_codes() -> None:
    types = (ROOT / "runtime/client/browser/realtime.d.ts").read_text(encoding="utf-8")
    declared = re.search(r"FrameworkErrorCode =((?:\s*\| \"\w+\")+);", types)
    assert declared is not None
    assert set(re.findall(r'"(\w+)"', declared[1])) == listed("From the server") | listed("From the clients")
