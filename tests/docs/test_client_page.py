"""The page about the clients names what they have."""

from __future__ import annotations

import re
from dataclasses import fields

from runtime.client import ClientOptions, Offline
from tests.docs import examples

PAGE = (examples.ROOT / "docs/reference/client.md").read_text(encoding="utf-8")
TYPES = (examples.ROOT / "runtime/client/browser/realtime.d.ts").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return PAGE.split(f"# {heading}\n", 1)[1].split("\n#", 1)[0]


def column(text: str, number: int) -> set[str]:
    """The names in code spans of one column of the tables."""
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")]
    return {name for row in rows[1:] for name in re.findall(r"`(\w+)`", row[number])}


def declared(interface: str) -> set[str]:
    body = TYPES.split(f"export interface {interface} ", 1)[1].split("\n}", 1)[0]
    return set(re.findall(r"^  (\w+)\?: ", body, re.MULTILINE))


def test_the_table_of_options_is_complete() -> None:
    options = section("Options")
    assert column(options, 1) - {"connect"} == declared("ConfigureOptions") | declared("ConnectOptions")
    assert column(options, 2) - {"connect"} == {option.name for option in fields(ClientOptions)}


def test_the_table_of_offline_options_is_complete() -> None:
    named = column(section("Calls without a connection"), 1) | {"queue"}
    assert named == declared("OfflineOptions")
    snake = {re.sub(r"([A-Z])", r"_\1", name).lower() for name in named}
    assert snake == {option.name for option in fields(Offline)}


def test_every_exported_store_is_described() -> None:
    stores = set(re.findall(r"^export const (\w+): Store", TYPES, re.MULTILINE)) - {"empty"}
    functions = set(
        re.findall(r"^export function (\w+)\b.*: (?:Store|GroupStore|Channel)\b", TYPES, re.MULTILINE)
    )
    described = set(re.findall(r"`(\w+)", section("Stores")))
    assert stores | functions <= described
