"""What a project may be called.

The name is also the distribution's name in ``pyproject.toml``, and a Python name once ``-`` is ``_``.
"""

from __future__ import annotations

import keyword
import re
from importlib import metadata

__all__ = ["MAX_NAME_LENGTH", "import_name", "name_problem", "title_of"]

MAX_NAME_LENGTH = 64

_ALLOWED = re.compile(r"[A-Za-z0-9_-]+")
_OUR_PACKAGES = frozenset({"runtime", "live", "realtime_cli"})
_OUR_DISTRIBUTION = "realtime-toolkit"


def import_name(name: str) -> str:
    """Turn a valid project name into the Python name that belongs to it."""
    return name.replace("-", "_").lower()


def title_of(name: str) -> str:
    """Turn a valid project name into words for a heading: ``my-shop_2`` gives ``My shop 2``."""
    words = re.sub(r"[-_]+", " ", name).strip()
    return words[:1].upper() + words[1:]


def name_problem(name: str) -> str | None:
    """Say why `name` cannot be a project's name, or give back ``None`` if it can."""
    if not name:
        return "the name is empty"
    if len(name) > MAX_NAME_LENGTH:
        return f"the name has {len(name)} characters, {MAX_NAME_LENGTH} are allowed"
    if not _ALLOWED.fullmatch(name):
        wrong = next(letter for letter in name if not _ALLOWED.fullmatch(letter))
        return f"{wrong!r} is not allowed in a name; use letters, digits, '-' and '_'"
    if not name[0].isalpha():
        return f"a name starts with a letter, not with {name[0]!r}"
    if name[-1] in "-_":
        return f"a name ends with a letter or digit, not with {name[-1]!r}"
    python_name = import_name(name)
    if keyword.iskeyword(name) or keyword.iskeyword(python_name):
        return f"{name!r} is a Python keyword"
    if python_name in _OUR_PACKAGES:
        return f"{name!r} would hide the package {python_name!r} of Realtime Toolkit"
    if _distribution(name) in {_OUR_DISTRIBUTION, *_dependencies()}:
        return f"{name!r} is the name of a package that the project itself needs"
    return None


def _distribution(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _dependencies() -> set[str]:
    try:
        requirements = metadata.requires(_OUR_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return set()
    return {_distribution(re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0]) for line in requirements}
