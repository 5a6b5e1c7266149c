"""Whom a cookie makes."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from visitors import COLORS, MAX_NAME_LENGTH, user_from_cookie


def cookie(**visitor: object) -> str:
    return quote(json.dumps(visitor))


def test_a_good_cookie_is_the_same_person_every_time() -> None:
    first = user_from_cookie(cookie(id="0123456789abcdef", name="Zoë Q."))
    assert first == user_from_cookie(cookie(id="0123456789abcdef", name="Zoë Q."))
    assert first["name"] == "Zoë Q."
    assert first["color"] in COLORS


@pytest.mark.parametrize(
    "bad",
    ["", "not json", quote("[]"), quote("7"), "[" * 9999, cookie(name="Ada"), cookie(id=7, name="Ada")],
)
def test_a_bad_cookie_is_a_guest_with_an_own_id(bad: str) -> None:
    assert user_from_cookie(bad)["id"] != user_from_cookie(bad)["id"]


def test_names_are_cleaned() -> None:
    user = user_from_cookie(cookie(id="0123456789abcdef", name="\u202e A\x00da " + "x" * 99))
    assert user["name"].startswith("Ada")
    assert len(user["name"]) <= MAX_NAME_LENGTH
