"""Static files: which are served, with what headers, in which encodings. Spec: platform 3.2."""

from __future__ import annotations

import logging
import os

import pytest

PREFIX = "/_app/immutable/"


@pytest.mark.spec("PLAT-80")
def test_headers_of_a_file(make_site):
    site = make_site({"web/style.css": "p {}"})
    answer = site.get("/style.css")
    assert answer.status_code == 200
    assert answer.text == "p {}"
    assert dict(answer.headers) == {
        "content-type": "text/css; charset=utf-8",
        "content-length": "4",
        "x-content-type-options": "nosniff",
        "vary": "Accept-Encoding",
        "accept-ranges": "bytes",
        "cache-control": "no-cache",
        "etag": 'W/"loyw3v5n-4"',
    }
    assert int("loyw3v5n", 36) == 1_700_000_000_123


@pytest.mark.spec("PLAT-80")
def test_immutable_files_are_kept_for_a_year_and_have_no_etag(make_site):
    site = make_site({"web/_app/immutable/x.js": "1", "web/_app/version.json": "{}"})
    answer = site.get(f"{PREFIX}x.js")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "etag" not in answer.headers
    assert site.get(f"{PREFIX}x.js", headers={"range": "bytes=0-0"}).status_code == 200
    assert site.get(f"{PREFIX}x.js", headers={"if-none-match": "*"}).status_code == 200
    assert site.get("/_app/version.json").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.MJS", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.unknown", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("a.tar.gz", "application/gzip"),
    ],
)
def test_content_type_goes_by_the_name(make_site, name, kind):
    assert make_site({f"web/{name}": "x"}).get(f"/{name}").headers["content-type"] == kind


@pytest.mark.spec("PLAT-84")
@pytest.mark.parametrize(
    "suffix",
    [
        "zip",
        "tar",
        "tgz",
        "bz2",
        "xz",
        "7z",
        "rar",
        "exe",
        "msi",
        "dmg",
        "pkg",
        "deb",
        "rpm",
        "apk",
        "ipa",
        "iso",
        "img",
        "bin",
    ],
)
def test_archives_and_installers_are_attachments(make_site, suffix):
    answer = make_site({f"web/a.{suffix}": "x"}).get(f"/a.{suffix}")
    assert answer.headers["content-disposition"] == f'attachment; filename="a.{suffix}"'


@pytest.mark.spec("PLAT-84")
def test_attachment_names_cannot_end_the_header(make_site):
    site = make_site({'web/a"b.zip': "x", "web/ü.zip": "x", "web/a.txt": "x"})
    assert site.get("/a%22b.zip").headers["content-disposition"] == 'attachment; filename="ab.zip"'
    expected = "attachment; filename=\"_.zip\"; filename*=UTF-8''%C3%BC.zip"
    assert site.get("/%C3%BC.zip").headers["content-disposition"] == expected
    assert "content-disposition" not in site.get("/a.txt").headers


@pytest.mark.spec("PLAT-81")
def test_head_has_the_length_of_the_body_it_stands_for(make_site):
    site = make_site(
        {"web/a.txt": "hello", "web/a.html": "<title>x</title>", "web/t.html.j2": "<title>{{ 1 }}</title>"}
    )
    for path in ("/a.txt", "/a", "/t"):
        head, get = site.head(path), site.get(path)
        assert head.status_code == 200
        assert head.content == b""
        assert head.headers["content-length"] == str(len(get.content))
        assert head.headers.get("etag") == get.headers.get("etag")


@pytest.mark.spec("PLAT-81")
@pytest.mark.parametrize(
    ("header", "status"),
    [
        ('W/"loyw3v5n-5"', 304),
        ('"loyw3v5n-5"', 304),
        ('"other", W/"loyw3v5n-5"', 304),
        ("*", 304),
        ('W/"loyw3v5n-6"', 200),
        ("loyw3v5n-5", 200),
        ("", 200),
    ],
)
def test_if_none_match(make_site, header, status):
    answer = make_site({"web/a.txt": "hello"}).get("/a.txt", headers={"if-none-match": header})
    assert answer.status_code == status
    if status == 304:
        assert answer.content == b""
        assert answer.headers["etag"] == 'W/"loyw3v5n-5"'
        assert "content-length" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/a.txt", "/page", "/page/", "/template"])
def test_other_methods_are_refused(make_site, method, path):
    site = make_site({"web/a.txt": "x", "web/page.html": "x", "web/template.html.j2": "x"})
    answer = site.client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert answer.text == "Method Not Allowed"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.spec("PLAT-86")
@pytest.mark.parametrize(
    "path",
    [
        "/../realtime.toml",
        "/%2e%2e/realtime.toml",
        "/a/%2e%2e/%2e%2e/realtime.toml",
        "/..%2frealtime.toml",
        "/%5c..%5crealtime.toml",
        "/a.txt%00",
        "/.env",
        "/_private.txt",
        "/_layout.html",
        "/_folder/a.txt",
        "/.git/config",
        "/page.html.j2",
        "//a.txt",
        "/a.txt/",
        "/folder",
        "/folder/",
        "/A.TXT",
        "/",
    ],
)
def test_only_indexed_paths_are_served(make_site, path):
    site = make_site(
        {
            "realtime.toml": "secret",
            "web/a.txt": "x",
            "web/.env": "secret",
            "web/_private.txt": "secret",
            "web/_layout.html": "secret",
            "web/_folder/a.txt": "secret",
            "web/.git/config": "secret",
            "web/page.html.j2": "secret",
            "web/folder/a.txt": "x",
        }
    )
    answer = site.get(path)
    assert answer.status_code == 404
    assert answer.text == "Not Found"


@pytest.mark.spec("PLAT-86")
def test_links_that_leave_the_folder_are_not_served(make_site, tmp_path, caplog):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    site = make_site({"web/a.txt": "x", "web/sub/b.txt": "y", "web-two/c.txt": "secret"})
    web = site.project / "web"
    (web / "link.txt").symlink_to(outside / "secret.txt")
    (web / "folder").symlink_to(outside)
    (web / "beside").symlink_to(site.project / "web-two")
    (web / "broken").symlink_to(web / "nothing")
    (web / "inner.txt").symlink_to("a.txt")
    (web / "inner").symlink_to("sub")
    (web / "sub" / "loop").symlink_to(web)
    with caplog.at_level(logging.WARNING, logger="realtime.static"):
        site.static.refresh()
    assert site.static.paths() == ["/a.txt", "/inner.txt", "/inner/b.txt", "/sub/b.txt"]
    messages = sorted(record.getMessage() for record in caplog.records)
    assert "web/link.txt is not served: it is a link that leaves web/" in messages
    assert "web/folder is not served: it is a link that leaves web/" in messages
    assert "web/beside is not served: it is a link that leaves web/" in messages
    assert any(message.startswith("web/broken is not served") for message in messages)


def test_only_regular_files_are_served(make_site):
    site = make_site({"web/a.txt": "x"})
    os.mkfifo(site.project / "web" / "pipe")
    (site.project / "web" / "a\nb.txt").write_text("x")
    site.static.refresh()
    assert site.static.paths() == ["/a.txt"]


def test_missing_folder_serves_nothing(make_site):
    site = make_site(web="nothing")
    assert site.static.paths() == []
    assert site.get("/a").status_code == 404


@pytest.mark.parametrize("path", ["/%ff", "/a%c3.txt", "/%ed%a0%80"])
def test_path_that_is_not_utf8_is_a_bad_request(make_site, path):
    site = make_site({"web/a.txt": "x"})
    answer = site.get(path)
    assert answer.status_code == 400
    assert answer.text == "Bad Request"
    assert site.metrics.get("security_refusals_total", "path") == 1


def test_names_in_other_scripts_are_served(make_site):
    site = make_site({"web/grüße/日本.txt": "x"})
    assert site.get("/gr%C3%BC%C3%9Fe/%E6%97%A5%E6%9C%AC.txt").text == "x"


@pytest.mark.spec("PLAT-83")
@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip, br", "br"),
        ("gzip", "gzip"),
        ("zstd, gzip", "zstd"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0.0, gzip;q=0, zstd;q=0", None),
        ("BR", "br"),
        ("brotli", None),
        ("identity", None),
        ("*", "br"),
        ("*;q=0, gzip;q=0.5", "gzip"),
        ("br;q=x", None),
        ("br;q=nan", None),
        ("br;q=-1", None),
        ("", None),
    ],
)
def test_precompressed_sibling_is_chosen(make_site, accept, coding):
    files = {"web/a.js": "x" * 100, "web/a.js.br": "BR", "web/a.js.gz": "GZ", "web/a.js.zst": "ZST"}
    site = make_site(files)
    answer = site.get("/a.js", {"accept-encoding": accept})
    assert answer.headers.get("content-encoding") == coding
    assert answer.content == {"br": b"BR", "gzip": b"GZ", "zstd": b"ZST", None: b"x" * 100}[coding]
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.spec("PLAT-83")
def test_sibling_is_used_only_when_smaller_and_never_under_its_own_name(make_site):
    files = {
        "web/a.js": "xx",
        "web/a.js.gz": "GZIP",
        "web/b.js.gz": "alone",
        "web/c.js": "xxxx",
        "web/c.js.br": "BR",
        "web/d.js": "same",
        "web/d.js.gz": "GZIP",
    }
    site = make_site(files)
    for path in ("/a.js", "/d.js"):
        assert "content-encoding" not in site.get(path, headers={"accept-encoding": "gzip"}).headers
    assert site.get("/a.js.gz").status_code == 404
    assert site.get("/c.js.br").status_code == 404
    assert site.get("/b.js.gz").content == b"alone"
    off = make_site(files, precompress=False)
    assert "content-encoding" not in off.get("/c.js", headers={"accept-encoding": "br"}).headers
    assert off.get("/c.js.br").status_code == 404


@pytest.mark.spec("PLAT-85")
def test_page_names_redirect_to_the_one_spelling(make_site):
    site = make_site({"web/index.html": "home", "web/about.html": "about", "web/docs/index.html": "docs"})
    assert site.get("/").text == "home"
    assert site.get("/about").text == "about"
    assert site.get("/about.html").text == "about"
    assert site.get("/docs/").text == "docs"
    assert site.get("/docs/index.html").text == "docs"
    for path, location in (
        ("/docs", "/docs/"),
        ("/about/", "/about"),
        ("/about/?a=1&b=%20", "/about?a=1&b=%20"),
    ):
        answer = site.get(path)
        assert (answer.status_code, answer.headers["location"]) == (308, location)
    assert site.get("//about/").status_code == 404
    assert site.get("//evil.test").status_code == 404


@pytest.mark.spec("PLAT-85")
@pytest.mark.parametrize(
    ("file", "asked", "location"),
    [
        ("100%.html", "/100%25/", "/100%25"),
        ("c#.html", "/c%23/?q=1", "/c%23?q=1"),
        ("what?.html", "/what%3F/", "/what%3F"),
        ("a%2fb/index.html", "/a%252fb", "/a%252fb/"),
    ],
)
def test_a_redirect_leads_to_the_page_whatever_its_name(make_site, file, asked, location):
    site = make_site({f"web/{file}": "it is here"})
    answer = site.get(asked)
    assert (answer.status_code, answer.headers["location"]) == (308, location)
    assert "it is here" in site.get(location).text


@pytest.mark.spec("PLAT-85")
def test_redirect_of_a_strange_name_stays_on_the_site(make_site):
    site = make_site({"web/x/a b\u010a.html": "x", "web/é/index.html": "y"})
    answer = site.get("/x/a%20b%C4%8A/?q=%0d%0aSet-Cookie:a")
    assert answer.headers["location"] == "/x/a%20b%C4%8A?q=%0d%0aSet-Cookie:a"
    assert site.get("/%C3%A9").headers["location"] == "/%C3%A9/"


def test_exact_file_beats_page_and_page_beats_template(make_site):
    site = make_site(
        {
            "web/a": "file",
            "web/a.html": "page",
            "web/b.html": "page",
            "web/b.html.j2": "template",
            "web/c.html": "page",
            "web/c/index.html": "folder",
        }
    )
    assert site.get("/a").text == "file"
    assert site.get("/a.html").text == "page"
    assert site.get("/b").text == "page"
    assert (site.get("/c").text, site.get("/c/").text) == ("page", "folder")


def test_everything_works_below_a_mount_prefix(make_site):
    site = make_site({"web/a.txt": "x", "web/docs/index.html": "docs", "web/index.html": "home"})
    client = site.mounted("/rt")
    assert client.get("/rt/a.txt").text == "x"
    assert client.get("/rt/").text == "home"
    assert client.get("/rt/docs?q=1").headers["location"] == "/rt/docs/?q=1"
    assert client.get("/rt/nothing").status_code == 404
    assert client.get("/a.txt").status_code == 404


def test_large_files_are_streamed_and_small_ones_held(make_site):
    site = make_site(
        {
            "web/a.bin": b"a" * 100,
            "web/b.bin": b"b" * 1000,
            "web/c.bin": b"c" * 90,
            "web/c.bin.gz": b"C" * 50,
        },
        static_memory_file=200,
        static_memory_total=220,
    )
    bodies = {path: site.static.find(path).body for path in site.static.paths()}
    assert bodies == {"/a.bin": b"a" * 100, "/b.bin": None, "/c.bin": b"c" * 90}
    assert site.get("/b.bin").content == b"b" * 1000
    assert site.get("/b.bin", headers={"range": "bytes=990-"}).content == b"b" * 10
    assert site.get("/c.bin", {"accept-encoding": "gzip"}).content == b"C" * 50
    assert site.head("/b.bin").headers["content-length"] == "1000"


def test_streamed_file_that_changed_or_went_away_is_answered_as_it_is(make_site):
    site = make_site({"web/a.txt": "x" * 50, "web/a.txt.gz": "GZ"}, static_memory_file=0)
    before = site.get("/a.txt").headers["etag"]
    (site.project / "web" / "a.txt").write_text("longer" * 100)
    answer = site.get("/a.txt", headers={"accept-encoding": "gzip"})
    assert answer.text == "longer" * 100
    assert answer.headers["etag"] != before
    (site.project / "web" / "a.txt").unlink()
    assert site.get("/a.txt").status_code == 404


def test_refresh_takes_new_changed_and_deleted_files(make_site):
    site = make_site({"web/a.txt": "one", "web/b.txt": "two", "web/c.html": "three"})
    kept = site.static.find("/a.txt").body
    (site.project / "web" / "b.txt").unlink()
    (site.project / "web" / "c.html").write_text("<p>four</p>")
    site.write({"web/d.txt": "new"})
    assert site.static.paths() == ["/a.txt", "/c", "/c.html", "/c/", "/d.txt"]
    assert site.static.find("/a.txt").body is kept
    assert site.get("/c").text == "<p>four</p>"
    assert site.get("/b.txt").status_code == 404


def test_until_refresh_the_index_stays_as_it_was(make_site):
    site = make_site({"web/a.txt": "one"})
    (site.project / "web" / "a.txt").write_text("two")
    (site.project / "web" / "b.txt").write_text("new")
    assert site.get("/a.txt").text == "one"
    assert site.get("/b.txt").status_code == 404
