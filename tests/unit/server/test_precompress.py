"""Writing compressed siblings. Spec: platform 3.2."""

from __future__ import annotations

import gzip
import logging
import os
import sys
from pathlib import Path

import brotli
import pytest

from runtime.server import precompress
from runtime.server.precompress import write_siblings

TEXT = "compressible " * 100


@pytest.mark.spec("PLAT-83")
def test_siblings_that_are_missing_are_written_and_served(make_site):
    site = make_site({"web/a.js": TEXT, "web/sub/b.css": TEXT, "web/c.wasm": TEXT})
    written = write_siblings(site.static)
    web = site.project / "web"
    assert sorted(file.relative_to(web).as_posix() for file in web.rglob("*") if file.is_file()) == [
        "a.js", "a.js.br", "a.js.gz", "c.wasm", "c.wasm.br", "c.wasm.gz", "sub/b.css", "sub/b.css.br", "sub/b.css.gz",
    ]  # fmt: skip
    assert written.files == 6
    assert written.saved_bytes == 6 * len(TEXT) - sum(
        len(f.read_bytes()) for s in ("br", "gz") for f in web.rglob(f"*.{s}")
    )
    assert brotli.decompress(site.get("/a.js", {"accept-encoding": "br"}).content).decode() == TEXT
    assert gzip.decompress(site.get("/a.js", {"accept-encoding": "gzip"}).content).decode() == TEXT
    assert write_siblings(site.static) == (0, 0)


def test_what_gains_nothing_has_no_siblings(make_site):
    noise = gzip.compress(os.urandom(3000))
    site = make_site(
        {
            "web/short.js": "x" * 1023,
            "web/noise.txt": noise,
            "web/a.png": TEXT,
            "web/page.html": TEXT,
            "web/t.html.j2": TEXT,
        }
    )
    assert write_siblings(site.static) == (0, 0)
    assert len(list((site.project / "web").iterdir())) == 5


def test_a_sibling_that_is_older_than_its_file_is_made_again(make_site):
    site = make_site({"web/a.js": TEXT, "web/a.js.gz": "mine", "web/a.js.br": "mine"})
    gz = site.project / "web/a.js.gz"
    os.utime(gz, (1, 1))
    assert write_siblings(site.static).files == 1
    assert gzip.decompress(gz.read_bytes()).decode() == TEXT
    assert (site.project / "web/a.js.br").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_told(make_site, monkeypatch, caplog):
    site = make_site({"web/a.js": TEXT})

    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with caplog.at_level(logging.WARNING):
        assert write_siblings(site.static) == (0, 0)
    assert "a.js.gz was not written: Permission denied" in caplog.text
    assert [file.name for file in (site.project / "web").iterdir()] == ["a.js"]


def test_without_brotli_only_gzip(make_site, monkeypatch):
    precompress._compressors.cache_clear()
    monkeypatch.setitem(sys.modules, "brotli", None)
    try:
        assert write_siblings(make_site({"web/a.js": TEXT}).static).files == 1
    finally:
        precompress._compressors.cache_clear()
