"""HTML files and templates. Spec: platform 3.2 and 3.4, live-api 21.1."""

from __future__ import annotations

import pytest

from runtime.core.settings import ServerSettings, Settings
from runtime.server.pages import MAX_PREFIXES

MAP = '<script type="importmap">{"imports":{"$live/":"/live/"}}</script>'
PAGE = "<!doctype html><head><title>x</title></head>"
DEV = Settings(server=ServerSettings(env="dev"))


def filled(page: str, script: str = MAP) -> str:
    return page.replace("<head>", f"<head>{script}")


def test_html_file_has_map_length_and_etag_of_what_is_sent(make_site):
    site = make_site({"web/index.html": PAGE})
    answer = site.get("/")
    assert answer.text == filled(PAGE)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-length"] == str(len(answer.content))
    size = answer.headers["etag"].removesuffix('"').rpartition("-")[2]
    assert int(size, 36) == len(answer.content)
    assert site.get("/", {"if-none-match": answer.headers["etag"]}).status_code == 304
    part = site.get("/", {"range": "bytes=21-27"})
    assert (part.status_code, part.content) == (206, answer.content[21:28])


def test_etag_changes_with_the_snippets(make_site):
    plain = make_site({"web/index.html": PAGE}).get("/")
    dev = make_site({"web/index.html": PAGE}, snippets=["<script></script>"]).get("/")
    assert dev.text == filled(PAGE, MAP + "<script></script>")
    assert plain.headers["etag"] != dev.headers["etag"]


def test_snippets_added_before_the_first_request_count(make_site):
    site = make_site({"web/index.html": PAGE})
    site.runtime.page_snippets.append("<meta name=late>")
    assert site.get("/").text == filled(PAGE, MAP + "<meta name=late>")


def test_page_below_a_mount_prefix_names_the_prefix(make_site):
    site = make_site(
        {"web/index.html": PAGE, "web/t.html.j2": "<head></head><a href='{{ prefix }}/x'>"},
        snippets=['<script src="<prefix>/dev.js"></script>'],
    )
    for number in range(MAX_PREFIXES + 3):
        client = site.mounted(f"/p{number}")
        expected = f'{{"imports":{{"$live/":"/p{number}/live/"}}}}</script><script src="/p{number}/dev.js">'
        assert expected in client.get(f"/p{number}/").text
        assert expected in client.get(f"/p{number}/t").text
        assert f"<a href='/p{number}/x'>" in client.get(f"/p{number}/t").text
    assert site.get("/").text.startswith("<!doctype html><head>" + MAP)


def test_precompressed_siblings_of_html_are_not_used(make_site):
    site = make_site({"web/a.html": PAGE * 10, "web/a.html.gz": "GZ"})
    answer = site.get("/a", {"accept-encoding": "gzip"})
    assert answer.text == filled(PAGE * 10).replace(MAP, "").replace("<head>", f"<head>{MAP}", 1)
    assert "content-encoding" not in answer.headers
    assert site.get("/a.html.gz").status_code == 404


def test_large_html_files_are_read_per_request(make_site):
    site = make_site({"web/a.html": PAGE}, static_memory_file=0)
    assert site.get("/a").text == filled(PAGE)
    (site.project / "web" / "a.html").unlink()
    assert site.get("/a").status_code == 404


def test_templates_are_rendered_at_their_names(make_site):
    site = make_site(
        {
            "web/_layout.html.j2": "<!doctype html><head></head>{% block body %}{% endblock %}",
            "web/index.html.j2": "{% extends '_layout.html.j2' %}{% block body %}{{ request.url.path }}{% endblock %}",
            "web/hello.html.j2": "<title>{{ request.query_params.get('name') }}</title>",
            "web/docs/index.html.j2": "<title>docs</title>",
        }
    )
    assert site.get("/").text == f"<!doctype html><head>{MAP}</head>/"
    assert site.get("/index.html").status_code == 200
    answer = site.get("/hello?name=<b>%26</b>")
    assert answer.text == f"{MAP}<title>&lt;b&gt;&amp;&lt;/b&gt;</title>"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert site.get("/docs").headers["location"] == "/docs/"
    assert site.get("/hello/").headers["location"] == "/hello"
    assert site.get("/_layout").status_code == 404


def test_unknown_names_in_templates_raise_in_dev_only(make_site):
    files = {"web/a.html.j2": "<title>{{ nothing }}</title>"}
    assert make_site(files).get("/a").text == f"{MAP}<title></title>"
    answer = make_site(files, settings=DEV).get("/a")
    assert answer.status_code == 500
    assert "UndefinedError" in str(type(answer.error))


def test_template_that_fails_is_a_500_without_detail(make_site):
    site = make_site({"web/a.html.j2": "{{ 1 / 0 }}", "web/b.html.j2": "{% if %}"})
    for path in ("/a", "/b"):
        answer = site.get(path)
        assert (answer.status_code, answer.text) == (500, "Internal Server Error")
        assert answer.error is not None


def test_changed_template_shows_in_dev(make_site):
    site = make_site({"web/a.html.j2": "one"}, settings=DEV)
    assert site.get("/a").text == "one"
    site.write({"web/a.html.j2": "two"}, mtime_ms=1_700_000_001_000)
    assert site.get("/a").text == "two"


@pytest.mark.parametrize("path", ["/..%2frealtime", "/a.html.j2", "/%7B%7B1%7D%7D"])
def test_templates_come_from_the_folder_only(make_site, path):
    site = make_site({"realtime.html.j2": "secret", "web/a.html.j2": "x"})
    assert site.get(path).status_code == 404
