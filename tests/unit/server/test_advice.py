"""What an upgrade hook may do but likely should not. Spec: platform 1.5."""

from __future__ import annotations

import logging

import pytest

from runtime.server.advice import MAX_NAMED_KEYS, Advice


def test_a_cookie_on_the_101_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    advice = Advice()
    advice.look_at({}, [(b"x-other", b"1")])
    assert caplog.records == []
    for _ in range(3):
        advice.look_at({}, [(b"x-other", b"1"), (b"set-cookie", b"sid=secret-value")])
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "authenticate hook" in caplog.text
    assert "secret-value" not in caplog.text


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "accessToken",
        "API_KEY",
        "db_password",
        "sessionId",
        "Email",
        "phoneNumber",
        "ssn",
        "card_cc",
        "pin",
    ],
)
def test_a_telling_key_is_told_once_and_never_its_value(key: str, caplog: pytest.LogCaptureFixture) -> None:
    advice = Advice()
    for number in range(3):
        advice.look_at({"id": number, key: "secret-value", 5: "x"}, [])
    assert len(caplog.records) == 1
    assert repr(key) in caplog.text
    assert "secret-value" not in caplog.text


def test_other_data_is_nothing_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    advice = Advice()
    for user_data in ({"id": 1, "name": "Ada", "role": "admin"}, None, "token", ["password"], object()):
        advice.look_at(user_data, [])
    assert caplog.records == []


def test_keys_without_end_are_not_remembered_without_end(caplog: pytest.LogCaptureFixture) -> None:
    advice = Advice()
    for number in range(3 * MAX_NAMED_KEYS):
        advice.look_at({f"token{number}": 1}, [])
    assert len(caplog.records) == len(advice._seen) == MAX_NAMED_KEYS
