"""Where the import map and the page snippets go. Spec: live-api 21.1."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.server.importmap import import_map, inject

MAP = '<script type="importmap">{"imports":{"$live/":"/live/"}}</script>'
DEV = '<script type="module" src="<prefix>/__realtime/dev.js"></script>'
DEV_AT_ROOT = '<script type="module" src="/__realtime/dev.js"></script>'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<!doctype html><html><head>", "<title>x</title></head></html>"),
        ("<!DOCTYPE html>\n<HTML lang='en'>\n<HEAD>", "<title>x</title>"),
        (
            '\ufeff<!doctype html>\n<!-- <head> here -->\n<html data-a=\'>\' data-b=">">\n<head class="a>b">',
            "<p>",
        ),
        ("<!doctype html>\n<html>\n", "<body><header>no head</header></body>"),
        ("<!doctype html>\n", "<title>x</title><script type=module></script>"),
        ("", "<title>x</title>"),
        ("\n ", "<script type=module>import '$live/a.js'</script>"),
        ("<?xml version='1.0'?>\n<!doctype html>\n<html xmlns='x'><head>", "</head></html>"),
        ("<!doctype html><!-- <!-- -->", "<header>not a head</header>"),
    ],
)
def test_map_and_snippets_are_the_first_things_in_the_head(before, after):
    page = inject((before + after).encode(), "", [DEV])
    assert page.decode() == before + MAP + DEV_AT_ROOT + after


@pytest.mark.parametrize("fragment", ["", "text", "<li>one</li>", "<p>a</p><div>b</div>", "{}"])
def test_fragments_are_left_alone(fragment):
    assert inject(fragment.encode(), "", [DEV]) == fragment.encode()


def test_prefix_is_in_map_and_snippets():
    page = inject(b"<head></head>", "/rt/app", [DEV]).decode()
    assert '{"imports":{"$live/":"/rt/app/live/"}}' in page
    assert 'src="/rt/app/__realtime/dev.js"' in page


def test_prefix_cannot_leave_the_script():
    prefix = '/"</script><script>alert(1)</script>'
    page = inject(b"<head></head>", prefix, [DEV]).decode()
    assert "alert(1)</script>" not in page
    assert page.count("<script") == 2


@pytest.mark.parametrize(
    "attributes", ['type="importmap"', "type=importmap", "nonce='n' type='importmap' data-x"]
)
def test_own_import_map_keeps_its_place_and_gets_our_entries(attributes):
    own = '{"imports": {"lib": "/lib.js", "a": "</x"}, "scopes": {"/s/": {"b": "/b.js"}}}'
    page = (
        f"<head><base href='/'><script {attributes}>\n{own}\n</script><script type=module>1</script></head>"
    )
    got = inject(page.encode(), "", [DEV]).decode()
    start = f"<head><base href='/'><script {attributes}>"
    assert got.startswith(start)
    merged, _, rest = got[len(start) :].partition("</script>")
    assert rest == f"{DEV_AT_ROOT}<script type=module>1</script></head>"
    assert json.loads(merged) == {
        "imports": {"$live/": "/live/", "lib": "/lib.js", "a": "</x"},
        "scopes": {"/s/": {"b": "/b.js"}},
    }


def test_own_entry_is_not_overridden():
    page = inject(
        b'<head><script type="importmap">{"imports":{"$live/":"/mine/"}}</script></head>', ""
    ).decode()
    assert page == '<head><script type="importmap">{"imports":{"$live/":"/mine/"}}</script></head>'


@pytest.mark.parametrize("own", ["{broken", "[]", '{"imports": 1}', ""])
def test_own_map_that_is_no_map_is_left_and_ours_comes_first(own):
    page = f'<head><script type="importmap">{own}</script></head>'
    assert inject(page.encode(), "", [DEV]).decode() == page.replace("<head>", f"<head>{MAP}{DEV_AT_ROOT}")


@pytest.mark.parametrize(
    "other",
    [
        '<!-- <script type="importmap">{}</script> -->',
        '<script type="importmap-shim">{}</script>',
        '<script data-type="x">type="importmap"</script>',
        '<script data-subtype="importmap">{}</script>',
    ],
)
def test_what_only_looks_like_a_map_is_none(other):
    assert inject(f"<head>{other}</head>".encode(), "").decode() == f"<head>{MAP}{other}</head>"


def test_pages_that_are_not_utf8_keep_their_bytes():
    assert (
        inject(b"<head><title>\xff\xfe</title>", "") == b"<head>" + MAP.encode() + b"<title>\xff\xfe</title>"
    )


@given(
    st.lists(
        st.sampled_from(["<!--", "-->", "<html", "<head>", "'", '"', ">", "<script", "</script>", " ", "x"]),
        max_size=40,
    )
)
def test_nothing_of_the_page_is_lost(parts):
    page = "".join(parts).encode()
    got = inject(page, "")
    assert got == page or got.replace(MAP.encode(), b"", 1) == page


def test_long_pages_are_quick():
    for piece in ("<!-- ", "<html ", "<script ", "<head '", "<script>"):
        page = inject(piece.encode() * 3000, "")
        assert len(page) >= len(piece) * 3000


def test_import_map_is_a_url_path():
    assert import_map("/a b/ü") == {"$live/": "/a%20b/%C3%BC/live/"}
    assert re.fullmatch(r"[!-~]+", import_map("/\r\n")["$live/"])
