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
from realtime_cli.exitcodes import CommandFailed
from realtime_cli.jsontext import document, one_line, plain_text, pretty
from realtime_cli.rpcfailure import answered_with
from runtime.client import RpcError, UploadProgress

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
        document(value),
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


def test_documents_for_programs_hold_nothing_that_a_terminal_obeys() -> None:
    out = io.StringIO()
    Console(json=True, stdout=out).emit({"ok": True, "result": "\x9b31m\x7f\ud800"})
    assert out.getvalue() == '{\n  "ok": true,\n  "result": "\\u009b31m\\u007f\\ud800"\n}\n'


@pytest.mark.parametrize("levels", [30, 300, 900])
def test_deep_values_are_written_too(levels: int) -> None:
    value = json.loads("[" * levels + "]" * levels)
    for indented in (True, False):
        assert json.loads(pretty(value, lambda text, _: text, indented=indented)) == value


def test_what_is_too_deep_to_be_written_says_so() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    for write in (one_line, document, lambda value: pretty(value, lambda text, _: text)):
        with pytest.raises(CommandFailed, match="nested too deep"):
            write(value)


def test_issues_that_are_none_do_not_hide_the_error() -> None:
    err = io.StringIO()
    odd: list[Any] = [
        "oops",
        5,
        {"path": 7, "message": "x"},
        {"path": ["a\x1b", 0], "message": 8},
        {"message": "m"},
    ]
    answered_with(Console(stderr=err, no_color=True), RpcError("VALIDATION", "wrong", issues=odd))
    assert err.getvalue().splitlines()[:6] == [
        "error: VALIDATION: wrong",
        '  "oops"',
        "  5",
        '  {"path":7,"message":"x"}',
        "  a\\u001b.0: 8",
        "  m",
    ]
