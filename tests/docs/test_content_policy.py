"""The content security policy that the how-to documents is the one that pages need."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys

import pytest

from runtime.server.importmap import inject
from tests.docs import examples

DOCUMENT = "docs/howto/deploy.md"
_HASH = re.compile(r"'sha256-[\w+/]+=*'")


def hash_of_map(page: bytes, prefix: str) -> str:
    body = inject(page, prefix).partition(b'<script type="importmap">')[2].partition(b"</script>")[0]
    assert b"$live/" in body
    return f"'sha256-{base64.b64encode(hashlib.sha256(body).digest()).decode()}'"


def test_the_documented_hash_is_that_of_the_import_map() -> None:
    text = (examples.ROOT / DOCUMENT).read_text(encoding="utf-8")
    assert _HASH.findall(text) == [hash_of_map(b"<!doctype html>", "")]


@pytest.mark.parametrize(
    ("prefix", "page"),
    [("", "<!doctype html>"), ("/rt", "<!doctype html>"), ("/a b", '<script type="importmap">{}</script>')],
)
def test_the_documented_snippet_prints_it_for_any_prefix(prefix: str, page: str) -> None:
    (snippet,) = [found.text for found in examples.examples_of(DOCUMENT) if "importmap" in found.text]
    script = snippet.replace('"/rt"', repr(prefix), 1).replace('b"<!doctype html>"', f"b{page!r}", 1)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hash_of_map(page.encode(), prefix)
