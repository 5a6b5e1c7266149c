"""Copies of values for developers: without secrets, not too deep, not too long."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.core.redaction import CUT, MAX_PARTS, MAX_TEXT, REDACTED_KEYS, redacted


@pytest.mark.parametrize("key", sorted(REDACTED_KEYS))
def test_every_listed_key_is_hidden_in_any_case(key: str) -> None:
    for name in (key, key.upper(), key.title()):
        assert redacted([{name: {"deep": 1}, "x": 1}]) == [{name: "[REDACTED]", "x": 1}]


def test_only_exact_keys_are_hidden_and_further_ones_can_be_named() -> None:
    value = {"tokens": 3, "my_password": "kept", "IBAN": "DE1"}
    assert redacted(value) == value
    assert redacted(value, {*REDACTED_KEYS, "iban"}) == {**value, "IBAN": "[REDACTED]"}


def test_what_is_deep_or_long_is_cut() -> None:
    deep: Any = "bottom"
    for _ in range(7):
        deep = {"in": deep}
    assert redacted(deep) == {"in": {"in": {"in": {"in": {"in": "[depth-cap]"}}}}}
    assert redacted(list(range(60))) == list(range(50))
    assert len(redacted({str(at): at for at in range(60)})) == 50
    assert redacted("a" * (MAX_TEXT + 1)) == f"{'a' * MAX_TEXT}… [{MAX_TEXT + 1} characters]"


def test_what_holds_itself_is_a_cycle_and_what_comes_twice_is_not() -> None:
    ring: dict[str, Any] = {}
    ring["self"] = [ring]
    assert redacted(ring) == {"self": ["[cycle]"]}
    twice = {"a": 1}
    assert redacted([twice, twice]) == [twice, twice]


def test_everything_it_gives_has_a_json_form() -> None:
    given = {
        "bytes": b"abc",
        "big": 2**70,
        "small": -(2**70),
        1: (1, 2),
        "other": object(),
        "float": 0.5,
        "no": None,
    }
    shown = redacted(given)
    assert shown["bytes"] == "[bytes: 3]"
    assert shown["big"] == str(2**70)
    assert shown["other"] == "[object]"
    assert msgspec.json.decode(msgspec.json.encode(shown)) == {**shown, "1": [1, 2]}


def test_a_value_of_very_many_parts_is_cut() -> None:
    assert redacted([list(range(50))] * 50) == [list(range(50))] * 50
    shown = redacted([[[1] * 50] * 50, {"a": {"b": 1}}] * 50)
    parts = [len(one) for row in shown if isinstance(row, list) for one in row if isinstance(one, list)]
    assert sum(parts) <= MAX_PARTS
    assert shown[0][0] == [1] * 50
    assert shown[-1] == CUT
