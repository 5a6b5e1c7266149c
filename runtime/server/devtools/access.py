"""Who may see the devtools: in dev the developer, elsewhere who knows the token."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.datastructures import Headers

    from runtime.core.settings import Settings

__all__ = ["CHALLENGE", "refusal"]

#: Lets a browser ask for the token; the name beside it does not matter.
CHALLENGE: Final = 'Basic realm="Realtime devtools", charset="UTF-8"'
#: From where a browser may ask: the page itself, or a person who typed the address.
NEAR: Final = ("same-origin", "none")


def refusal(settings: Settings, headers: Headers, *, is_page: bool) -> int | None:
    """Return the status for somebody who may not see what is asked for, `None` for who may.

    With a token, everywhere: 401 without it. Data is not given to a page of another origin: 403; the page itself may
    be reached through a link.
    """
    site = headers.get("sec-fetch-site")
    if not is_page and site is not None and site not in NEAR:
        return 403
    token = settings.devtools.token
    if token is None:
        return None if settings.is_dev else 401
    return None if _has_token(headers.get("authorization", ""), token) else 401


def _has_token(authorization: str, token: str) -> bool:
    """Whether the header holds the token; how long that takes does not depend on what it holds."""
    scheme, _, value = authorization.partition(" ")
    sent = value.strip().encode("latin-1")
    if scheme.lower() == "basic":
        try:
            sent = base64.b64decode(sent, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            sent = b""
    elif scheme.lower() != "bearer":
        sent = b""
    return hmac.compare_digest(sent, token.encode())
