"""What `realtime doctor` looks at: the installation, the event loop, and how the server would serve this project."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.live.loader import shadowing_files
from runtime.server.abilities import ASGI_DIFFERENCES, Abilities, abilities

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.core.settings import Settings

__all__ = ["Diagnosis", "Problem", "diagnose"]

KNOWN_UVICORN = "pip install --upgrade realtime-toolkit, which brings a uvicorn that it knows"

PACKAGES = (
    "realtime-toolkit",
    "uvicorn",
    "starlette",
    "websockets",
    "msgspec",
    "uvloop",
    "httptools",
    "h11",
    "prometheus-client",
    "brotli",
)
"""Packages whose version says something about how the server works; those that are missing are named too."""


class Problem(NamedTuple):
    """Something that somebody should do something about."""

    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found."""

    python: str
    packages: dict[str, str | None]
    loop: str
    unmasking: str
    abilities: Abilities
    problems: tuple[Problem, ...]

    def as_data(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        found = self.abilities
        return {
            "ok": not self.problems,
            "python": self.python,
            "packages": self.packages,
            "loop": self.loop,
            "write_path": {
                "active": "fast" if found.is_fast else "asgi",
                "why": found.write_path,
                "unmasking": self.unmasking,
            },
            "http": {"parser": found.parser, "bounds": found.parser is not None},
            "asgi_differences": [
                {
                    "feature": row.feature,
                    "on_asgi": row.on_asgi,
                    "applies_here": row in found.differences,
                }
                for row in ASGI_DIFFERENCES
            ],
            "problems": [problem._asdict() for problem in self.problems],
        }


def diagnose(settings: Settings, project: Path) -> Diagnosis:
    """Look at this installation, for a project with these settings."""
    found = abilities(settings)
    problems = [Problem(message, KNOWN_UVICORN) for message in found.problems]
    problems += [
        Problem(f"{file.name} hides a package of Realtime Toolkit from every import", "rename it")
        for file in shadowing_files(project)
    ]
    has_uvloop = find_spec("uvloop") is not None
    wanted = settings.server.loop
    if wanted == "uvloop" and not has_uvloop:
        message = '[server] loop = "uvloop", and uvloop is not installed'
        problems.append(Problem(message, 'pip install uvloop, or set loop = "auto"'))
    system = f"{platform.python_implementation()}, {platform.system()} {platform.machine()}"
    return Diagnosis(
        python=f"{platform.python_version()} ({system})",
        packages={name: _version(name) for name in PACKAGES},
        loop="uvloop" if has_uvloop and wanted != "asyncio" else "asyncio",
        unmasking="compiled" if find_spec("websockets.speedups") is not None else "pure Python",
        abilities=found,
        problems=tuple(problems),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
