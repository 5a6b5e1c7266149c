"""The online pass: what the Redis and Postgres say of themselves that the settings name. Spec: platform 8.1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.core.settings import Settings

__all__ = ["Backends", "ask_backends"]


@dataclass(frozen=True)
class Backends:
    """What was asked and answered; a backend that no setting names is absent.

    Attributes:
        redis: answers by question, such as `version`; `error` when it cannot be reached.
        postgres: the same of Postgres.
    """

    redis: Mapping[str, Any] = field(default_factory=dict)
    postgres: Mapping[str, Any] = field(default_factory=dict)


def ask_backends(settings: Settings) -> Backends:
    """Connect to the backends that the settings name, read what they say of themselves, and close."""
    del settings  # no setting names a backend
    return Backends()
