"""Smaller bounds for tests. Spec: live-api 20, platform 6.1."""

from __future__ import annotations

from runtime.core import capacity

__all__ = ["reset_caps", "set_caps"]


def set_caps(**caps: int) -> None:
    """Lower bounds until `reset_caps` or the end of the `TestEnv`: `set_caps(held_frames=10)`.

    The names are those of the constants, with or without `MAX_`, in either case. For a `with` block there is
    `capacity_override`.

    Raises:
        ValueError: there is no such bound, or the value is below 1.
    """
    capacity.configure({**_effective(), **{_constant(name): value for name, value in caps.items()}})


def reset_caps() -> None:
    """Put every bound back to its default."""
    capacity.configure({})


def _effective() -> dict[str, int]:
    return {name: capacity.get(name) for name in capacity.DEFAULTS}


def _constant(name: str) -> str:
    upper = name.upper()
    for candidate in (upper, f"MAX_{upper}", f"{upper}_MAX", f"{upper}_CAP", f"{upper}_THRESHOLD"):
        if candidate in capacity.DEFAULTS:
            return candidate
    return upper
