"""Where the values of a JSON text are, so that one can be replaced and everything else stays. Spec: upgrade 5.3."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["places"]

_TOKEN = re.compile(rb'\s*("(?:\\.|[^"\\])*"|[{}\[\],:]|[^\s{}\[\],:"]+)')
MAX_DEPTH = 100


def places(data: bytes) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Yield the path of keys, the first byte and the end of every string value, in the order of the text.

    The text has to be valid JSON; entries of lists have the path of their list.
    """
    path: list[str] = []
    kinds: list[bytes] = []
    key: str | None = None
    waits_for_key = False
    for found in _TOKEN.finditer(data):
        token, start, end = found[1], found.start(1), found.end(1)
        if token == b"{" or token == b"[":
            if len(kinds) >= MAX_DEPTH:
                return
            kinds.append(token)
            path.append(key or "")
            key, waits_for_key = None, token == b"{"
        elif token in (b"}", b"]"):
            if kinds:
                kinds.pop()
                path.pop()
            key, waits_for_key = None, False
        elif token == b",":
            key, waits_for_key = None, bool(kinds) and kinds[-1] == b"{"
        elif token == b":":
            waits_for_key = False
        elif token.startswith(b'"'):
            if waits_for_key:
                key = json.loads(token)
            else:
                yield (*(one for one in path[1:]), *((key,) if key is not None else ())), start, end
