"""JSON and text of others as a terminal gets them."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_cli.commands import call
from realtime_cli.console import Console
from realtime_cli.jsontext import one_line, plain_text, pretty
from runtime.client import UploadProgress

values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


def obeyed(text: str) -> set[str]:
    """The characters that a terminal would obey, or that have no UTF-8 form."""
    return {one for one in text if one < " " or "\x7f" <= one <= "\x9f" or "\ud800" <= one <= "\udfff"}


@given(values)
def test_what_is_written_is_the_value_and_nothing_that_a_terminal_obeys(value: Any) -> None:
    plain = [
        one_line(value),
        pretty(value, lambda text, _: text),
        pretty(value, lambda text, _: text, indented=False),
    ]
    for text in plain:
        assert json.loads(text) == value
        assert obeyed(text) <= {"\n"}
        text.encode()
    assert "\n" not in plain[0] + plain[2]


@given(st.text(st.characters(codec=None)))
def test_text_of_others_keeps_its_lines_and_loses_what_a_terminal_obeys(text: str) -> None:
    shown = plain_text(text)
    assert obeyed(shown) <= {"\n", "\t"}
    assert shown.count("\n") == text.count("\n")


def test_colours_are_by_kind() -> None:
    assert pretty({"a": ["x", 1, True, None]}, lambda text, style: f"<{style} {text}>", indented=False) == (
        '{<cyan "a">: [<green "x">, <yellow 1>, <magenta true>, <magenta null>]}'
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "is_person"), [(Terminal(), True), (io.StringIO(), False)])
def test_a_person_hears_once_a_second_how_far_an_upload_is(
    stream: io.StringIO, is_person: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    progress = call._Progress(Console(stderr=stream, no_color=True))
    for now in (100.5, 101.0, 101.9, 102.1):
        size = int(now * 1_048_576)
        progress(
            UploadProgress(size, None if now > 102 else 2 * size, None if now > 102 else 0.5, 1, 3_145_728)
        )
    lines = ["101.0 MiB sent, 50%, 3.0 MiB/s", "102.1 MiB sent, 3.0 MiB/s"]
    assert stream.getvalue().splitlines() == (lines if is_person else [])
