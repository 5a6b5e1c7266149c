"""Which pages may connect. Spec: wire 1.4."""

from __future__ import annotations

import pytest

from runtime.server.origin import is_allowed_origin


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "allowed"),
    [
        ("http://app.example", "app.example", "http", True),
        ("http://app.example:80", "app.example", "http", True),
        ("http://app.example", "app.example:80", "http", True),
        ("https://app.example", "app.example:443", "https", True),
        ("https://app.example:443", "app.example", "https", True),
        ("http://app.example:8000", "app.example:8000", "http", True),
        ("http://APP.Example", "app.example", "http", True),
        ("http://[::1]:8000", "[::1]:8000", "http", True),
        ("http://app.example:8000", "app.example", "http", False),
        ("http://app.example", "app.example:8000", "http", False),
        ("http://app.example:443", "app.example:443", "https", False),
        ("https://app.example", "app.example", "http", False),
        ("http://app.example", "app.example", "https", False),
        ("http://evil.example", "app.example", "http", False),
        ("http://app.example.evil.example", "app.example", "http", False),
        ("http://app.example@evil.example", "app.example", "http", False),
        ("http://evil.example#app.example", "app.example", "http", False),
        ("ftp://app.example", "app.example", "http", False),
        ("null", "app.example", "http", False),
        ("", "app.example", "http", False),
        ("app.example", "app.example", "http", False),
        ("//app.example", "app.example", "http", False),
        ("http://", "app.example", "http", False),
        ("http://app.example:port", "app.example", "http", False),
        ("http://app.example:99999", "app.example", "http", False),
        ("http://app.example:0", "app.example", "http", False),
        ("http://app.example:0", "app.example:0", "http", False),
        ("http://evil@app.example", "app.example", "http", False),
        ("http://@app.example", "app.example", "http", False),
        ("https://app.example", "x@app.example", "https", False),
        ("http://app.example/", "app.example", "http", False),
        ("http://app.example?", "app.example", "http", False),
        ("http://app.example#x", "app.example", "http", False),
        ("http://app.example", "app.example/x", "http", False),
        ("http://app.example\\@evil", "app.example", "http", False),
        ("http://a b", "a b", "http", False),
        ("HTTP://App.Example:80", "app.example", "http", True),
        ("http://[::1", "app.example", "http", False),
        ("http://app.example", "", "http", False),
        ("null", "", "http", False),
    ],
)
@pytest.mark.parametrize("has_upgrade_hook", [False, True])
def test_same_origin_compares_scheme_host_and_port(
    origin: str, host: str, scheme: str, allowed: bool, has_upgrade_hook: bool
) -> None:
    assert (
        is_allowed_origin(
            origin, policy="same-origin", base=f"{scheme}://{host}", has_upgrade_hook=has_upgrade_hook
        )
        is allowed
    )


@pytest.mark.spec("WIRE-6")
@pytest.mark.parametrize(
    ("policy", "has_upgrade_hook", "allowed"),
    [
        ("*", False, True),
        ("same-origin", True, True),
        ("same-origin", False, False),
        (("http://a.example",), True, True),
        (("http://a.example",), False, False),
    ],
)
def test_without_an_origin_an_upgrade_hook_has_to_authenticate(
    policy: str | tuple[str, ...], has_upgrade_hook: bool, allowed: bool
) -> None:
    assert (
        is_allowed_origin(None, policy=policy, base="http://a.example", has_upgrade_hook=has_upgrade_hook)
        is allowed
    )


@pytest.mark.parametrize(
    ("origin", "policy", "allowed"),
    [
        ("http://anything", "*", True),
        ("null", "*", True),
        ("https://a.example", ("https://a.example", "https://b.example"), True),
        ("https://b.example", ("https://a.example", "https://b.example"), True),
        ("https://c.example", ("https://a.example", "https://b.example"), False),
        ("https://a.example.evil", ("https://a.example",), False),
        ("http://host", ("https://a.example",), False),
        ("http://host", (), False),
        ("https://app.example", ("HTTPS://App.Example",), True),
        ("https://App.example", ("https://app.example",), True),
        ("https://app.example", ("https://app.example:443",), True),
        ("https://app.example:443", ("https://app.example",), True),
        ("http://app.example:443", ("https://app.example",), False),
        ("http://app.example", ("https://app.example",), False),
        ("http://app.example:8000", ("http://app.example:8000",), True),
        ("http://app.example", ("http://app.example:8000",), False),
        ("capacitor://localhost", ("capacitor://localhost",), True),
        ("capacitor://localhost", ("http://localhost",), False),
        ("null", ("null",), False),
        ("https://evil@app.example", ("https://evil@app.example",), False),
        ("https://app.example:0", ("https://app.example",), False),
        ("https://a.app.example", ("https://*.app.example",), True),
        ("https://a.b.App.example", ("https://*.app.example",), True),
        ("https://app.example", ("https://*.app.example",), False),
        ("https://.app.example", ("https://*.app.example",), False),
        ("https://evilapp.example", ("https://*.app.example",), False),
        ("http://a.app.example", ("https://*.app.example",), False),
        ("https://a.app.example:8443", ("https://*.app.example",), False),
    ],
)
def test_a_list_and_the_wildcard(origin: str, policy: str | tuple[str, ...], allowed: bool) -> None:
    assert is_allowed_origin(origin, policy=policy, base="http://host", has_upgrade_hook=True) is allowed
