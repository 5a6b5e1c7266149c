"""Which requests carry credentials: their answers are neither compressed nor shared. Spec: platform 3.7 and 5.7."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.core.settings import SecuritySettings

__all__ = ["Credentials"]

_ALWAYS: Final = frozenset({b"authorization", b"cookie", b"proxy-authorization"})


class Credentials:
    """Knows the headers that are credentials: the three of HTTP, and those of `[security] credential_headers`."""

    def __init__(self, settings: SecuritySettings) -> None:
        self._names = _ALWAYS | {name.encode() for name in settings.credential_headers}

    def are_in(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Return whether one of these headers of a request says who asks; one without a value does not."""
        names = self._names
        for name, value in headers:  # noqa: SIM110 - on the way of every request; any() takes twice as long
            if name.lower() in names and value.strip():
                return True
        return False
