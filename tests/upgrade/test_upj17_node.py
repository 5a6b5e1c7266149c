"""UPJ17: Node in images and in continuous integration."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import upgrade
from tests.upgrade.scriptprojects import PACKAGE


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Dockerfile", "FROM python:3.12\nRUN node:20\n# FROM node:20\n"),
        ("Dockerfile", "FROM node:22-alpine\nFROM node:lts\nFROM my-node:20\n"),
        (".github/workflows/ci.yml", "node-version: 22\npython-version: 3.10\nnode-version-file: .nvmrc\n"),
        ("README.md", "FROM node:20\n"),
    ],
)
def test_other_lines_stay(path: str, text: str) -> None:
    done = upgrade({"package.json": PACKAGE, path: text}, only="UPJ17")
    assert done.findings == []
    assert done.files.get(path, text) == text


@pytest.mark.spec("UPGC-81")
def test_without_a_package_of_ours_nothing_is_looked_at() -> None:
    assert upgrade({"package.json": "{}", "Dockerfile": "FROM node:20\n"}, only="UPJ17").findings == []


@pytest.mark.spec("UPGC-81", "UPGC-25")
@pytest.mark.parametrize(
    ("path", "before", "expected", "was"),
    [
        ("Dockerfile", "FROM node:20-slim AS build", "FROM node:22-slim AS build", "20"),
        (
            "web.dockerfile",
            "FROM docker.io/library/node:18.19.1",
            "FROM docker.io/library/node:22",
            "18.19.1",
        ),
        ("ci.yml", "          node-version: '20.x' # lts", "          node-version: '22' # lts", "20.x"),
        ("ci.yml", "        node-version: [18, 20, 22]", "        node-version: [22]", "18, 20, 22"),
        ("compose.yaml", "    image: node:20-alpine", "    image: node:22-alpine", "20"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_are_edited_with_a_mark(path: str, before: str, expected: str, was: str, end: str) -> None:
    text = f"first: 1{end}{before}{end}last: 1"
    done = upgrade({"package.json": PACKAGE, path: text.encode()}, only="UPJ17")
    margin = before[: len(before) - len(before.lstrip())]
    mark = f"{margin}# TODO(realtime-upgrade UPJ17): 0.5 needs Node 22 or newer; was {was}{end}"
    assert done.files[path] == f"first: 1{end}{mark}{expected}{end}last: 1"
    assert [(one.line, one.status) for one in done.findings] == [(3, "todo")]
