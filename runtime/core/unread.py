"""Answers that nobody waits for: ended without a warning, and what that meant before 0.5. Spec: platform 5.1."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.core.settings import Settings

__all__ = ["drop_pending", "lets_pending_in"]


def lets_pending_in(settings: Settings) -> bool:
    """Return whether a check that would have to be awaited lets everybody in, as it did before 0.5.

    That is `[security] async_predicates = "legacy_allow"`: what the check would say is never asked.
    """
    return settings.security.async_predicates == "legacy_allow"


def drop_pending(answer: Any) -> bool:
    """End `answer` if it would have to be awaited; return whether that is so."""
    if not inspect.isawaitable(answer):
        return False
    end = getattr(answer, "close", None) or getattr(answer, "cancel", None)
    if end is not None:
        end()
    return True
