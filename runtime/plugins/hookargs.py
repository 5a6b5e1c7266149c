"""What the hooks of plugins are called with: by the server from `hooks.py`, or by an app from its own hooks."""

from __future__ import annotations

from typing import Any

from runtime.core.platform import Platform

__all__ = ["platform_of"]


def platform_of(ctx: Any) -> Platform | None:
    """Return the platform in the last argument of a hook: its `ctx`, its `platform`, or nothing."""
    if ctx is None or isinstance(ctx, Platform):
        return ctx
    platform: Platform | None = getattr(ctx, "platform", None)
    return platform
