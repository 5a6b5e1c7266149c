"""Whether a request may come from a foreign page: the gate in front of the auth path. Spec: wire 1.5, platform 5.6.

A foreign page can have the browser send a form or a simple `fetch` with the user's cookies. It cannot give it a header
that is not safelisted, since no CORS preflight is ever approved here, and it cannot forge what the browser itself says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.datastructures import Headers

    from runtime.server.edge import Edge

__all__ = ["may_be_ours"]

# `X-Requested-With` of scripts: the usual value, and those of the reference's client and of ours.
SCRIPTS: Final = frozenset({"xmlhttprequest", "svelte-adapter-uws", "realtime"})


def may_be_ours(headers: Headers, edge: Edge, base: str) -> bool:
    """Return whether the request shows that a page of the app, an allowed one, or no browser at all sent it.

    A header that came twice, or whose values a proxy has joined, counts only if each of its values would do.
    """
    if "origin" in headers and edge.allows_origin(headers, base, has_upgrade_hook=False):
        return True
    sites = _values(headers, "sec-fetch-site")
    if "cross-site" in sites:
        return False
    scripts = _values(headers, "x-requested-with")
    return sites == {"same-origin"} or (bool(scripts) and scripts <= SCRIPTS)


def _values(headers: Headers, name: str) -> set[str]:
    return {value.strip().lower() for sent in headers.getlist(name) for value in sent.split(",")}
