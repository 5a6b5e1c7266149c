"""The cookies of a request. Spec: wire 1.3."""

from __future__ import annotations

import pytest

from runtime.server.cookies import parse_cookies


@pytest.mark.spec("WIRE-11")
@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1; b=2;c=3", {"a": "1", "b": "2", "c": "3"}),
        ("  a  =  1  ", {"a": "1"}),
        ("a=1; a=2", {"a": "1"}),
        ('a="quoted value"', {"a": "quoted value"}),
        ('a=""', {"a": ""}),
        ('a="', {"a": '"'}),
        ('a=""two""', {"a": '"two"'}),
        ("a='single'", {"a": "'single'"}),
        ("a=x=y=z", {"a": "x=y=z"}),
        ("a=", {"a": ""}),
        ("=1", {}),
        ("alone; a=1", {"a": "1"}),
        (";;;", {}),
        ("a=%20b%C3%A4", {"a": " bä"}),
        ("a=%FF", {"a": "%FF"}),
        ("a=%zz", {"a": "%zz"}),
        ("a=100%", {"a": "100%"}),
        ("a=%3B%3D", {"a": ";="}),
        ("__proto__=1; constructor=2", {"__proto__": "1", "constructor": "2"}),
        ("A=1; a=2", {"A": "1", "a": "2"}),
    ],
)
def test_a_header_is_read_as_browsers_write_it(header: str, cookies: dict[str, str]) -> None:
    assert dict(parse_cookies(header)) == cookies


def test_the_result_is_read_only() -> None:
    with pytest.raises(TypeError):
        parse_cookies("a=1")["a"] = "2"
