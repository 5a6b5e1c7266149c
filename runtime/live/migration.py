"""Data for clients whose code is older than the server's. Spec: live-api 8.8, wire 5.4."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from runtime.live.streamvalue import mapped

if TYPE_CHECKING:
    from runtime.live.options import StreamOptions

__all__ = ["is_older", "migrated"]

logger = logging.getLogger("realtime.stream")


def is_older(known: Any, options: StreamOptions) -> bool:
    """Return whether a client of schema version `known` is behind the stream's."""
    target = options.version
    return target is not None and isinstance(known, int) and not isinstance(known, bool) and known < target


def migrated(value: Any, options: StreamOptions, known: Any, *, warn: bool) -> Any:
    """Return a loader's value as a client of schema version `known` gets it.

    Each step from `known` to the stream's own version is applied, to each item of a list, else to the value. A client
    that names no older version gets the value as it is; a step that is missing is skipped.

    Args:
        value: what the loader returned, transformed.
        options: of the stream.
        known: `schemaVersion` of the request, of whatever type.
        warn: whether a missing step is worth a warning (dev).
    """
    target, steps = options.version, options.migrate
    if target is None or not is_older(known, options):
        return value
    due = [step for step in sorted(steps) if known <= step < target]
    if warn and len(due) < target - known:
        missing = next(step for step in range(known, target) if step not in steps)
        logger.warning(
            "a client with data of schema version %d needs migrate[%d] to get to %d; there is none, and the step is "
            "left out",
            known,
            missing,
            target,
        )
    for step in due:
        value = mapped(value, steps[step])
    return value
