from __future__ import annotations

from pathlib import Path

import pytest

from realtime_cli.devserver.dotenv import DotenvError, add_dotenv, parse_dotenv


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("\n# only a comment\n   \n", {}),
        ("A=1", {"A": "1"}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\ufeffA=1", {"A": "1"}),
        ("export A=1", {"A": "1"}),
        ("exported=1", {"exported": "1"}),
        ("  A = spaced  ", {"A": "spaced"}),
        ("A=", {"A": ""}),
        ("A=\nB=2", {"A": "", "B": "2"}),
        ("A=one two", {"A": "one two"}),
        ("A=x # comment", {"A": "x"}),
        ("A= # comment", {"A": ""}),
        ("A=#notaword", {"A": ""}),
        ("A=x#y", {"A": "x#y"}),
        ("A=a=b", {"A": "a=b"}),
        ("A='x # y'", {"A": "x # y"}),
        ("A='x\\n'", {"A": "x\\n"}),
        ('A="x # y" # comment', {"A": "x # y"}),
        (r'A="a\nb\t\"c\" \\ \$ \q"', {"A": 'a\nb\t"c" \\ $ \\q'}),
        ('A="two\nlines"\nB=2', {"A": "two\nlines", "B": "2"}),
        ("A='two\nlines'\nB=2", {"A": "two\nlines", "B": "2"}),
        ("A=$B ${B}", {"A": "$B ${B}"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=ü", {"A": "ü"}),
    ],
)
def test_grammar(text: str, expected: dict[str, str]) -> None:
    assert parse_dotenv(text) == expected


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("A=1\nnot a line\n", 2, "KEY=value"),
        ("1A=1", 1, "KEY=value"),
        ("A B=1", 1, "KEY=value"),
        ("\n\nA='open\nB=2", 3, "never closed"),
        ('A="open', 1, "never closed"),
        ('A="x" y', 1, "only a comment"),
    ],
)
def test_mistakes_name_the_line(text: str, line: int, part: str) -> None:
    with pytest.raises(DotenvError, match=part) as caught:
        parse_dotenv(text)
    assert caught.value.line == line
    assert str(caught.value).startswith(f".env:{line}: ")


def test_long_input_is_read_in_linear_time() -> None:
    assert parse_dotenv("A=" + " #" * 100_000) == {"A": ""}
    with pytest.raises(DotenvError):
        parse_dotenv('A="' + "\\x" * 100_000)


def test_existing_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=file\nB=file\n")
    environ = {"A": "shell"}
    assert add_dotenv(tmp_path, environ) == {"A": "shell", "B": "file"}
    assert environ == {"A": "shell"}


def test_no_file_and_unreadable_file(tmp_path: Path) -> None:
    assert add_dotenv(tmp_path, {"A": "1"}) == {"A": "1"}
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe")
    with pytest.raises(DotenvError, match=r"\.env:1: cannot be read"):
        add_dotenv(tmp_path, {})
