"""Keys of settings that many sections have alike: switches, limits, sizes, headers and rates."""

from __future__ import annotations

from runtime.core import addresskinds
from runtime.core import settingkinds as kinds
from runtime.core.settingsection import Key

__all__ = ["flag_key", "header_key", "limit_key", "rate_key", "size_key", "window_key"]


def size_key(doc: str, minimum: int, maximum: int, *, off: bool = False) -> Key:
    """Return the key of a number of bytes."""
    return Key(kinds.size(minimum, maximum, off=off), doc)


def limit_key(doc: str, minimum: float = 0.001, maximum: float = 3600.0) -> Key:
    """Return the key of a duration, in which 0 is no limit."""
    return Key(kinds.duration(minimum, maximum, off=True), doc)


def flag_key(doc: str) -> Key:
    """Return the key of a switch."""
    return Key(kinds.boolean(), doc)


def header_key(doc: str) -> Key:
    """Return the key of the name of a header."""
    return Key(addresskinds.header_name(), doc)


def rate_key(what: str) -> Key:
    """Return the key of a number per client address and window."""
    return Key(
        kinds.integer(1, off=True),
        f"{what} per client address and window, in dev and test not of this machine; 0 is no limit.",
    )


def window_key(what: str) -> Key:
    """Return the key of the window of a rate."""
    return Key(kinds.duration(0.1, 3600.0), f"Length of the window of `{what}`.")
