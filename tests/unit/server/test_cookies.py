"""The cookies of a request and those that a hook sets. Spec: wire 1.3 and 1.5, platform 5.9."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from runtime.server.cookies import Cookies, parse_cookies


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


@pytest.mark.spec("PLAT-111")
def test_no_more_is_read_than_180_pairs_and_16_kib() -> None:
    many = "; ".join(f"c{number}={number}" for number in range(500))
    assert list(parse_cookies(many)) == [f"c{number}" for number in range(180)]
    large = f"a=1; b={'x' * (16 * 1024)}; c=3"
    assert dict(parse_cookies(large)) == {"a": "1"}
    exact = f"a={'x' * (16 * 1024 - 2)}"
    assert len(parse_cookies(exact)["a"]) == 16 * 1024 - 2
    assert dict(parse_cookies(exact + "x")) == {}


@pytest.mark.spec("PLAT-111")
def test_names_are_plain_data() -> None:
    cookies = Cookies(parse_cookies("__class__=1; get=2"))
    assert (cookies.get("__class__"), cookies.get("get"), cookies.get("none")) == ("1", "2", None)
    assert dict(cookies.get_all()) == {"__class__": "1", "get": "2"}
    with pytest.raises(TypeError):
        cookies.get_all()["a"] = "1"  # type: ignore[index]  # it is read-only


@pytest.mark.spec("PLAT-111", "WIRE-12")
def test_attributes_come_in_their_one_order() -> None:
    cookies = Cookies({})
    cookies.set(
        "sid",
        "a b;ü",
        same_site="strict",
        partitioned=True,
        secure=True,
        http_only=True,
        max_age=3600.9,
        expires=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
        path="/app",
        domain="example.com",
    )
    assert cookies.header_values == [
        "sid=a%20b%3B%C3%BC; Domain=example.com; Path=/app; Expires=Wed, 02 Jan 2030 03:04:05 GMT; "
        "Max-Age=3600; HttpOnly; Secure; Partitioned; SameSite=Strict"
    ]


@pytest.mark.spec("PLAT-111")
@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({}, "n=v"),
        ({"same_site": True}, "n=v; SameSite=Strict"),
        ({"same_site": False}, "n=v; SameSite=Lax"),
        ({"same_site": "LAX"}, "n=v; SameSite=Lax"),
        ({"same_site": "none", "secure": True}, "n=v; Secure; SameSite=None"),
        ({"max_age": -1}, "n=v; Max-Age=-1"),
        ({"max_age": -0.5}, "n=v; Max-Age=-1"),
        ({"max_age": 0}, "n=v; Max-Age=0"),
        (
            {"expires": datetime(2030, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))},
            "n=v; Expires=Tue, 01 Jan 2030 00:00:00 GMT",
        ),
    ],
)
def test_single_attributes(options: dict[str, Any], header: str) -> None:
    cookies = Cookies({})
    cookies.set("n", "v", **options)
    assert cookies.header_values == [header]


@pytest.mark.spec("PLAT-111")
def test_a_value_comes_back_as_it_was_set() -> None:
    value = "".join(map(chr, range(1, 0x180))) + "\N{SNOWMAN}\U0001f600"
    cookies = Cookies({})
    cookies.set("n", value)
    pair = cookies.header_values[0]
    assert pair.isascii()
    assert parse_cookies(f"a=1; {pair}")["n"] == value
    cookies.set("n", "{raw}=%zz", encode=False)
    assert cookies.header_values == ["n={raw}=%zz"]


@pytest.mark.spec("PLAT-111")
def test_the_last_of_the_same_name_path_and_domain_is_sent() -> None:
    cookies = Cookies({"n": "received"})
    cookies.set("n", "1")
    cookies.set("m", "1")
    cookies.set("n", "2", path="/")
    cookies.set("n", "3")
    cookies.set("n", "4", path="/", secure=True)
    cookies.delete("m")
    assert cookies.header_values == [
        "n=3",
        "n=4; Path=/; Secure",
        "m=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0",
    ]
    assert cookies.get("n") == "received"


SECRET = "value-that-no-error-may-show"


@pytest.mark.spec("PLAT-111", "PLAT-115")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("", {}),
        ("two words", {}),
        ("a=b", {}),
        ("a;b", {}),
        ("a\r\nb", {}),
        ("a\x7f", {}),
        ("ü", {}),
        ('a"', {}),
        ("a{b}", {}),
        (5, {}),
        ("n", {"value": 5}),
        ("n", {"value": None}),
        ("n", {"value": "\ud800"}),
        ("n", {"value": "ü" + SECRET, "encode": False}),
        ("n", {"value": "a;b" + SECRET, "encode": False}),
        ("n", {"value": "a,b" + SECRET, "encode": False}),
        ("n", {"value": "a b" + SECRET, "encode": False}),
        ("n", {"value": "a\r\nX: 1" + SECRET, "encode": False}),
        ("n", {"value": "a\x7f" + SECRET, "encode": False}),
        ("n", {"path": "/\r\nX: 1"}),
        ("n", {"path": "/; HttpOnly"}),
        ("n", {"path": "/a,b"}),
        ("n", {"path": "/a b"}),
        ("n", {"path": "/\x7f"}),
        ("n", {"path": "/\x85"}),
        ("n", {"path": "/\N{SNOWMAN}"}),
        ("n", {"path": 5}),
        ("n", {"domain": "a,b"}),
        ("n", {"domain": "a b"}),
        ("n", {"domain": "a;b"}),
        ("n", {"domain": b"a"}),
        ("n", {"max_age": float("nan")}),
        ("n", {"max_age": float("inf")}),
        ("n", {"max_age": True}),
        ("n", {"max_age": "60"}),
        ("n", {"expires": datetime(2030, 1, 1)}),  # noqa: DTZ001 - refused for that
        ("n", {"expires": 1_900_000_000}),
        ("n", {"same_site": "sometimes"}),
        ("n", {"same_site": 1}),
        ("n", {"same_site": ["lax"]}),
        ("n", {"same_site": "none"}),
        ("__Secure-n", {}),
        ("__secure-n", {}),
        ("__Host-n", {"secure": True}),
        ("__Host-n", {"path": "/"}),
        ("__Host-n", {"secure": True, "path": "/app"}),
        ("__Host-n", {"secure": True, "path": "/", "domain": "example.com"}),
        ("n", {"value": "x" * 4095}),
        ("n", {"value": "ü" * 700}),
    ],
)
def test_what_cannot_be_sent_safely_is_refused_without_showing_the_value(
    name: Any, options: dict[str, Any]
) -> None:
    cookies = Cookies({})
    given = {"value": SECRET, **options}
    with pytest.raises(ValueError, match=r"^cookie ") as refused:
        cookies.set(name, **given)
    assert repr(name) in str(refused.value)
    assert SECRET not in str(refused.value)
    assert cookies.header_values == []


def test_what_browsers_take_at_most_is_taken() -> None:
    cookies = Cookies({})
    cookies.set("n", "x" * 4094)
    cookies.set("__Host-n", "v", secure=True, path="/")
    cookies.delete("__Host-m", secure=True, path="/")
    assert len(cookies.header_values) == 3


@pytest.mark.spec("PLAT-111")
def test_the_check_of_attributes_can_be_switched_off_but_not_that_of_line_ends() -> None:
    cookies = Cookies({}, check_attributes=False)
    cookies.set("n", "v", path="/; HttpOnly")
    assert cookies.header_values == ["n=v; Path=/; HttpOnly"]
    for text in ("/\r", "/\n", "/\0"):
        with pytest.raises(ValueError, match="path"):
            cookies.set("n", "v", path=text)
