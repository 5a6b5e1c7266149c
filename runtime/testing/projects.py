"""Finding the project that a test belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SETTINGS_FILE", "find_project"]

SETTINGS_FILE = "realtime.toml"


def find_project(*starts: Path) -> Path:
    """Return the first folder with a `realtime.toml` among `starts`, each followed by its parents.

    Raises:
        FileNotFoundError: none of them has one; the message names where it looked.
    """
    for start in starts:
        for folder in (start, *start.parents):
            if (folder / SETTINGS_FILE).is_file():
                return folder
    looked = " or ".join(str(start) for start in starts)
    raise FileNotFoundError(
        f"no {SETTINGS_FILE} in {looked} or above: run pytest inside a project; `realtime new` makes one"
    )
