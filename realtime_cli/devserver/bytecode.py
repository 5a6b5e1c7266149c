"""Cached bytecode of a module that changed: Python tells it from a file saved in the same second by size only."""

from __future__ import annotations

import contextlib
import importlib.util
from pathlib import Path

__all__ = ["forget_bytecode"]


def forget_bytecode(file: Path) -> None:
    """Delete the cached bytecode of a module; a file that is none, or has none, is left alone."""
    if file.suffix == ".py":
        with contextlib.suppress(OSError):
            Path(importlib.util.cache_from_source(str(file))).unlink()
