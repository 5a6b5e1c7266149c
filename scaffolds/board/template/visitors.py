"""Who uses the board: `hooks.py` makes a user of a cookie, live functions find it in `ctx.user`."""

from __future__ import annotations

import json
import re
import uuid
from typing import TypedDict
from urllib.parse import unquote
from zlib import crc32

MAX_NAME_LENGTH = 40
COLORS = ("#c2410c", "#a16207", "#15803d", "#0f766e", "#1d4ed8", "#6d28d9", "#a21caf", "#be185d")

_ID = re.compile(r"[0-9a-f-]{8,40}")


class User(TypedDict):
    """One person; the colour is picked from the id."""

    id: str
    name: str
    color: str


def user_from_cookie(cookie: str) -> User:
    """Read the `visitor` cookie that the page writes; without a good one the person is a guest."""
    try:
        visitor = json.loads(unquote(cookie))
        key, name = str(visitor["id"]), clean_name(str(visitor["name"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        key, name = "", ""
    if not _ID.fullmatch(key):
        key = str(uuid.uuid4())
    return User(id=key, name=name or "Guest", color=COLORS[crc32(key.encode()) % len(COLORS)])


def public(user: User) -> User:
    """What others may see of a user: `ctx.user` also holds the network address."""
    return {"id": user["id"], "name": user["name"], "color": user["color"]}


def clean_name(name: str) -> str:
    """Remove what cannot be printed, and cut to the longest allowed name."""
    return "".join(letter for letter in name if letter.isprintable()).strip()[:MAX_NAME_LENGTH]
