"""What others get to see of a connection: the `select` option of presence and cursors. Spec: platform 5.15 and 7.4."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from runtime.core.sensitive import sensitive_warner, strip_internal

if TYPE_CHECKING:
    from runtime.core.connection import Connection

__all__ = ["PublicData", "Select"]

#: Picks of a connection's user data what everybody on a topic may know.
Select = Callable[[Any], Any]

# The server puts it into the user data of every connection; an address is nothing to hand round.
ADDRESS = "remote_address"


class PublicData:
    """Reads the public data of connections.

    Whatever `select` picks, keys that look like credentials, or that are internal, never leave the server; the first
    time that a `select` of the app picks such a key there is a warning, since it will miss it.
    """

    __slots__ = ("_select", "_warn")

    def __init__(self, label: str, select: Select | None) -> None:
        """Take the option `select` of the plugin `label`; `None` picks everything but the address of the peer.

        Raises:
            ValueError: it cannot be called.
        """
        if select is not None and not callable(select):
            raise ValueError(f"{label}: select must be a function of the user data, not {select!r}")
        self._select = select
        self._warn = sensitive_warner(f"{label}: select")

    def of(self, ws: Connection) -> Any:
        """Return what may be seen of `ws`, as a copy."""
        data = ws.user_data
        if self._select is None:
            shown = strip_internal(data)
            if isinstance(shown, dict):
                shown.pop(ADDRESS, None)
            return shown
        if isinstance(data, Mapping) and ADDRESS in data:
            data = {name: value for name, value in data.items() if name != ADDRESS}
        picked = self._select(data)
        self._warn(picked)
        return strip_internal(picked)
