"""Documents point to what exists and agree with the code."""

from __future__ import annotations

import doctest
import importlib
import re
import tomllib
from pathlib import Path

import pytest

from tests.docs import examples

_LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def anchors(path: Path) -> set[str]:
    headings = _HEADING.findall(path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", examples.documents())
def test_links_lead_somewhere(document: str) -> None:
    path = examples.ROOT / document
    broken = []
    for target in _LINK.findall(path.read_text(encoding="utf-8")):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            broken.append(target)
    assert broken == []


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [examples.ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md" or not path.is_file():
            continue
        reached.add(path)
        for target in _LINK.findall(path.read_text(encoding="utf-8")):
            if "://" not in target:
                waiting.append((path.parent / target.partition("#")[0]).resolve())
    missing = {examples.ROOT / name for name in examples.documents()} - reached
    assert sorted(path.relative_to(examples.ROOT).as_posix() for path in missing) == []


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((examples.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[^\w-]", line, maxsplit=1)[0] for line in project["dependencies"]}
    text = (examples.ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE))
    assert explained == declared


def test_every_decision_is_listed_and_complete() -> None:
    folder = examples.ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    records = sorted(folder.glob("[0-9]*.md"))
    assert [path.name[:4] for path in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    for path in records:
        text = path.read_text(encoding="utf-8")
        title = text.split("\n", 1)[0].removeprefix(f"# {path.name[:4]}: ")
        assert f"[{path.name[:4]}]({path.name}) | {title} |" in index
        headings = ["Context", "Decision", "Rejected", "How we would notice that it was wrong"]
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == headings, path.name


def test_changelog_fragments_have_a_known_kind() -> None:
    towncrier = tomllib.loads((examples.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "towncrier"
    ]
    kinds = {kind["directory"] for kind in towncrier["type"]}
    names = [
        path.name
        for path in (examples.ROOT / "docs" / "changelog.d").glob("*.md")
        if path.name != "README.md"
    ]
    assert names
    assert [name for name in names if len(name.split(".")) != 3 or name.split(".")[1] not in kinds] == []
    assert towncrier["start_string"] in (examples.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_examples_in_docstrings() -> None:
    """Interactive examples of the packages run; only modules that hold some are imported."""
    for folder in ("runtime", "realtime_cli"):
        for path in sorted((examples.ROOT / folder).rglob("*.py")):
            if ">>>" in path.read_text(encoding="utf-8"):
                name = ".".join(path.relative_to(examples.ROOT).with_suffix("").parts)
                result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
                assert result.failed == 0, name
