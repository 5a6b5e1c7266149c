"""The platform and settings of this process, for code that nobody hands them to. Spec: live-api 17.3, platform 2.8."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.core.errors import PlatformNotReady

if TYPE_CHECKING:
    from runtime.core.platform import Platform
    from runtime.core.settings import Settings

__all__ = ["forget_platform", "get_platform", "replace_platform", "set_platform", "settings"]

#: What is current, the settings, and the platform that the app itself named.
_current: list[tuple[Platform, Settings, Platform]] = []


def set_platform(platform: Platform, effective: Settings) -> None:
    """Make `platform` the one that `get_platform` returns; the latest app of a process has it."""
    _current.append((platform, effective, platform))


def forget_platform(platform: Platform) -> None:
    """Take `platform` back when its app has stopped."""
    _current[:] = [entry for entry in _current if entry[2] is not platform]


def replace_platform(platform: Platform) -> None:
    """Let `get_platform` return `platform` in the place of that of the app that was started last."""
    if _current:
        _current[-1] = (platform, *_current[-1][1:])


def get_platform() -> Platform | None:
    """Return the platform of the running app, or `None` before it was started."""
    return _current[-1][0] if _current else None


def settings() -> Settings:
    """Return the effective settings of the running app.

    Raises:
        PlatformNotReady: no app was started.
    """
    if not _current:
        raise PlatformNotReady("settings() was called before the app was started")
    return _current[-1][1]
