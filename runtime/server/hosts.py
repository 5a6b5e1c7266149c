"""Under which names the app answers: `[server] allowed_hosts`, and in dev a guard against DNS rebinding.

A foreign page can have its own name lead to this machine, and is then of the same origin as the dev server for every
browser. So in dev only names are answered that nobody else can give out: those of this machine and bare addresses.
Spec: platform 1.6 step 5 and 4.
"""

from __future__ import annotations

import ipaddress
import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from runtime.server.proxies import is_loopback

if TYPE_CHECKING:
    from runtime.core.settings import ServerSettings

__all__ = ["HostRule"]

logger = logging.getLogger("realtime.hosts")

MAX_NAMED: Final = 100  # refused hosts that are named in the log; further ones are only counted
MAX_SHOWN: Final = 80  # characters of a name in the log


class HostRule:
    """Decides which hosts a request may be for."""

    def __init__(self, settings: ServerSettings) -> None:
        is_local = settings.env in ("dev", "test")
        self._exact = {host for host in settings.allowed_hosts if not host.startswith("*.")}
        self._suffixes = tuple(host[1:] for host in settings.allowed_hosts if host.startswith("*."))
        self._named: set[str] = set()
        #: Whether any host is refused at all; otherwise there is no need to ask.
        self.is_on = bool(settings.allowed_hosts) or settings.env == "dev"
        self._takes_own = is_local
        # Test clients ask for hosts such as `testserver`.
        self._takes_neighbours = settings.env == "test" or (is_local and not is_loopback(settings.host))
        if is_local and settings.origin is not None:
            self._exact.add(urlsplit(settings.origin).hostname or "")

    def allows(self, host: str) -> bool:
        """Return whether the app answers under `host` (lower case, no port, no brackets); say so once if not."""
        if not self.is_on or host in self._exact:
            return True
        if self._suffixes and host.endswith(self._suffixes) and not host.startswith("."):
            return True
        if self._takes_own and (is_loopback(host) or _is_address(host) or self._is_neighbour(host)):
            return True
        if host not in self._named and len(self._named) < MAX_NAMED:
            self._named.add(host)
            logger.warning(
                "refused a request for the host %r; if the app is reached under that name, add it to "
                "[server] allowed_hosts",
                host[:MAX_SHOWN],
            )
        return False

    def _is_neighbour(self, host: str) -> bool:
        """Whether other machines of this network know the dev server by this name."""
        return self._takes_neighbours and ("." not in host or host.endswith(".local"))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
