"""The bounds of `[capacity]` as they are written. Spec: platform 8.3, 6.1."""

from __future__ import annotations

from realtime_cli.rules.families.settings_file import _Problems
from realtime_cli.rules.finding import Severity

__all__ = ["UnknownCapacity"]


class UnknownCapacity(_Problems):
    """CAP005."""

    id = "CAP005"
    severity = Severity.ERROR
    title = "unknown bound in [capacity]"
    why = "The bound that is meant keeps its default."
    how = "write the bound that is meant, or remove the line"
