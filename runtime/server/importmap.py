"""Put the import map and the page snippets into the HTML that the server sends.

The map lets a page write `import { todos } from "$live/todos.js"`. It has to stand before the first module
script, so it becomes the first thing in `<head>`. Spec: live-api 21.1.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PREFIX_PLACEHOLDER", "import_map", "inject"]

#: In a page snippet, stands for the path under which the app is mounted ("" at the root).
PREFIX_PLACEHOLDER: Final = "<prefix>"

# No possessive group: Python before 3.11.5 matches `(?:...)*+` wrongly.
_ATTRIBUTES = rb"""[^>"']*+(?:(?:"[^"]*"|'[^']*')[^>"']*+)*"""
# What may stand before the content of a document: byte order mark, comments, doctype, html tag, head tag.
_OPENING = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+"
    rb"(?:(?:<!--.*?-->|<!doctype\b[^>]*+>|<\?xml\b[^>]*+>|<html\b" + _ATTRIBUTES + rb">)\s*+)*"
    rb"(?:<head(?:\s" + _ATTRIBUTES + rb")?>)?",
    re.IGNORECASE | re.DOTALL,
)
_SCRIPT = re.compile(
    rb"<!--.*?-->|<script\b(?P<attributes>" + _ATTRIBUTES + rb")>(?P<body>.*?)</script\s*>",
    re.IGNORECASE | re.DOTALL,
)
_IS_IMPORT_MAP = re.compile(rb"""\btype\s*=\s*["']?importmap["'\s]*(?:\s|$)""", re.IGNORECASE)
# A fragment (for htmx and the like) is left alone; a page that leaves out <html> and <head> has one of these.
_SIGN_OF_PAGE = re.compile(rb"<!doctype|<(?:html|head|title|body|script|style|link|meta)\b", re.IGNORECASE)


def import_map(prefix: str) -> dict[str, str]:
    """Return the entries that every page gets, for an app mounted at `prefix`."""
    return {"$live/": f"{_quoted(prefix)}/live/"}


def inject(html: bytes, prefix: str, snippets: Sequence[str] = ()) -> bytes:
    """Return the page with the import map and then the snippets as the first things in its head.

    A page with an import map of its own keeps it, with our entries added where it has none of that name, and
    the snippets follow it; one that is not JSON is left as it is. A fragment without a sign of a page is
    unchanged.
    """
    if not _SIGN_OF_PAGE.search(html):
        return html
    rendered = "".join(snippet.replace(PREFIX_PLACEHOLDER, _quoted(prefix)) for snippet in snippets)
    extra = rendered.encode("utf-8", "xmlcharrefreplace")
    for script in _SCRIPT.finditer(html):
        if script["attributes"] is None or not _IS_IMPORT_MAP.search(script["attributes"]):
            continue
        merged = _merged(script["body"], prefix)
        if merged is None:
            break
        start, end = script.span("body")
        return html[:start] + merged + html[end : script.end()] + extra + html[script.end() :]
    ours = b'<script type="importmap">' + _json({"imports": import_map(prefix)}) + b"</script>"
    opening = _OPENING.match(html)
    at = opening.end() if opening else 0
    return html[:at] + ours + extra + html[at:]


def _merged(body: bytes, prefix: str) -> bytes | None:
    try:
        theirs = json.loads(body)
    except (ValueError, RecursionError):
        return None
    imports = theirs.get("imports", {}) if isinstance(theirs, dict) else None
    if not isinstance(imports, dict):
        return None
    return _json({**theirs, "imports": {**import_map(prefix), **imports}})


def _json(value: Any) -> bytes:
    # "<" would let a value end the script element.
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").encode("ascii")


def _quoted(prefix: str) -> str:
    return quote(prefix, safe="/:@!$()*,;=~+-._")
