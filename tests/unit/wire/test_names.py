from __future__ import annotations

import pytest

from runtime.wire import names


@pytest.mark.parametrize("name", ["a", "a" * 256, "é", "room:1", " ", "\x7f", "😀" * 128, "__rpc"])
def test_names_that_an_envelope_can_carry(name: str) -> None:
    assert names.name_problem(name) is None
    names.check_name(name, "topic")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "must not be empty"),
        ("a" * 257, "257 characters"),
        ("😀" * 129, "258 characters"),
        ('ab"c', "at index 2"),
        ("\\", "at index 0"),
        ("a\n", "at index 1"),
        ("ab\x00", "at index 2"),
        ("x\ud800", "at index 1"),
        (7, "not int"),
        (None, "not NoneType"),
    ],
)
@pytest.mark.spec("WIRE-27")
def test_names_that_an_envelope_cannot_carry(name: object, text: str) -> None:
    assert text in str(names.name_problem(name))
    with pytest.raises(ValueError, match=r"^event: ") as caught:
        names.check_name(name, "event")
    assert text in str(caught.value)
    caught.value.args[0].encode()


def test_the_message_of_a_bad_name_stays_short() -> None:
    with pytest.raises(ValueError) as caught:
        names.check_name("x" * 100_000, "topic")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("topic", "ascii_only", "lenient"),
    [
        ("todos", True, True),
        ("t" * 256, True, True),
        ("t" * 257, False, False),
        ("", False, False),
        (" ~!", True, True),
        ('a"b', False, False),
        ("a\\b", False, False),
        ("a\nb", False, False),
        ("ab\n", False, False),
        ("a\x7f", False, True),
        ("é", False, True),
        ("\u202e", False, False),
        ("\u2028", False, False),
        ("\ufeff", False, False),
        ("\ud800", False, False),
        (7, False, False),
        (None, False, False),
        ([], False, False),
    ],
)
@pytest.mark.spec("WIRE-40")
def test_topics_that_a_client_may_name(topic: object, ascii_only: bool, lenient: bool) -> None:
    assert names.is_wire_topic(topic) is ascii_only
    assert names.is_wire_topic(topic, allow_non_ascii=True) is lenient


@pytest.mark.parametrize(
    ("topic", "expected"), [("__rpc", True), ("__", True), ("_x", False), ("a__", False), ("", False)]
)
def test_system_topics_start_with_two_underscores(topic: str, expected: bool) -> None:
    assert names.is_system_topic(topic) is expected


@pytest.mark.parametrize(
    "path", ["a/b", "todos/add", "a/b/c", "A-1/_x", "todos/__class__", "a/__action/b", "0/0"]
)
@pytest.mark.spec("WIRE-61")
def test_paths_with_valid_syntax(path: str) -> None:
    assert names.is_rpc_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "/",
        "/a/b",
        "a/b/",
        "a//b",
        "../secrets",
        "a.b/c",
        "a/b\n",
        "a/é",
        "a/b c",
        "a/b?c",
        "/a",
        "a/",
    ],
)
@pytest.mark.spec("WIRE-61")
def test_paths_with_invalid_syntax(path: str) -> None:
    assert not names.is_rpc_path(path)


def test_a_very_long_path_is_checked_in_linear_time() -> None:
    assert names.is_rpc_path("a/" * 450_000 + "a")
    assert not names.is_rpc_path("a/" * 450_000)


@pytest.mark.parametrize("value", ["a", "k3f90", "__batch", "é", "\x7f", "x" * 5000])
def test_ids_that_can_be_answered(value: str) -> None:
    assert names.is_reply_id(value)


@pytest.mark.parametrize("value", ["", 'a"', "a\\", "a\n", "\x00", "\ud800", 5, None, {}])
def test_ids_that_cannot_be_answered(value: object) -> None:
    assert not names.is_reply_id(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("u1", True), ("u" * 256, True), ("u" * 257, False), ("😀" * 129, False), ("", False), ("é", True)]
    + [(f"u{character}", False) for character in '"\\\x00\x1f\x7f\ud800']
    + [(5, False), (None, False)],
)
def test_user_ids_inside_topics(value: object, expected: bool) -> None:
    assert names.is_user_id(value) is expected


@pytest.mark.parametrize(("text", "length"), [("", 0), ("abc", 3), ("é", 1), ("😀", 2), ("\ud800", 1)])
def test_lengths_are_counted_as_a_browser_does(text: str, length: int) -> None:
    assert names.utf16_length(text) == length
