"""The name rules, checked against their plain definitions."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from runtime.wire import names

characters = st.characters(codec=None)
anything = st.text(characters, max_size=300) | st.text(
    st.sampled_from('ab/_-.:é😀"\\\x00\x1f\x7f\ud800 \n'), max_size=300
)
paths = st.text(st.sampled_from("aZ0_-/.é\n"), max_size=12)


def units(text: str) -> int:
    return sum(2 if ord(character) > 0xFFFF else 1 for character in text)


@given(anything)
def test_lenient_names(text: str) -> None:
    allowed = 1 <= units(text) <= 256 and not any(
        character in '"\\' or ord(character) < 0x20 or 0xD800 <= ord(character) <= 0xDFFF
        for character in text
    )
    assert (names.name_problem(text) is None) is allowed
    assert names.is_wire_topic(text, allow_non_ascii=True) is allowed
    # The quick look lets through no more than the exact one, and all of the ASCII part.
    assert names.are_plain(text, "created") is names.are_plain("todos", text) is (allowed and text.isascii())


def test_the_quick_look_is_for_strings_alone() -> None:
    assert names.are_plain("todos", "created")
    assert not names.are_plain(None, "created")
    assert not names.are_plain("todos", b"created")


@given(anything)
def test_the_index_in_the_message_is_that_of_the_first_bad_character(text: str) -> None:
    problem = names.name_problem(text[:100])
    found = re.search(r"at index (\d+)", problem or "")
    if found is not None:
        index = int(found[1])
        assert names.name_problem(text[index]) is not None
        assert index == 0 or names.name_problem(text[:index]) is None


@given(anything)
def test_wire_topics(text: str) -> None:
    allowed = 1 <= len(text) <= 256 and all(
        " " <= character <= "~" and character not in '"\\' for character in text
    )
    assert names.is_wire_topic(text) is allowed


@given(paths)
def test_paths(text: str) -> None:
    assert names.is_rpc_path(text) is (re.fullmatch(r"[a-zA-Z0-9_-]+(/[a-zA-Z0-9_-]+)+", text) is not None)


@given(anything)
def test_lengths(text: str) -> None:
    assert names.utf16_length(text) == units(text)


@given(anything)
def test_what_may_be_a_topic_may_be_an_id_and_a_user_may_be_a_topic(text: str) -> None:
    if names.name_problem(text) is None:
        assert names.is_reply_id(text)
    if names.is_user_id(text):
        assert names.name_problem(text) is None
