"""What happens around a connection. Here: who it is."""

from __future__ import annotations

from collections.abc import Mapping

from visitors import User, user_from_cookie


async def upgrade(cookies: Mapping[str, str]) -> User:
    """Decide who connects; what this returns is `ctx.user` in every call of the connection.

    Anybody can write any cookie: this tells people apart, it does not prove who they are. For real
    accounts look up a session here, and return `False` to refuse the connection.
    """
    return user_from_cookie(cookies.get("visitor", ""))
