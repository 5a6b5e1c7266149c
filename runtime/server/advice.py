"""What an `upgrade` hook may do but likely should not: said once each, never refused. Spec: platform 1.5."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["Advice"]

logger = logging.getLogger("realtime.upgrade")

MAX_NAMED_KEYS: Final = 256  # key names that were warned of; beyond them none is
SENSITIVE: Final = (
    "token",
    "secret",
    "password",
    "key",
    "session",
    "credential",
    "email",
    "phone",
    "ssn",
    "dob",
    "iban",
    "creditcard",
    "cc",
    "pin",
)


class Advice:
    """Remembers what was said already."""

    def __init__(self) -> None:
        self._cookie_told = False
        self._seen: set[str] = set()

    def look_at(self, user_data: Any, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Look at what a hook accepted a peer with."""
        if not self._cookie_told and any(name == b"set-cookie" for name, _ in headers):
            self._cookie_told = True
            logger.warning(
                "the upgrade hook sets a cookie on the 101 answer: some proxies then drop the connection at once; "
                "set it in an authenticate hook instead, whose answer is an ordinary one"
            )
        if isinstance(user_data, Mapping) and not user_data.keys() <= self._seen:
            self._look_at_keys(user_data)

    def _look_at_keys(self, user_data: Mapping[Any, Any]) -> None:
        for key in user_data:
            if key in self._seen or not isinstance(key, str) or len(self._seen) >= MAX_NAMED_KEYS:
                continue
            self._seen.add(key)
            lower = key.lower()
            if any(word in lower for word in SENSITIVE):
                logger.warning(
                    "user data has a key %r: every handler can read it and publish it by mistake; keep secrets and "
                    "personal data out of what the upgrade hook returns",
                    key[:80],
                )
