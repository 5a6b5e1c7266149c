"""The project templates that ship with the program.

They are copier templates: a folder with ``copier.yml`` and ``template/``. In a wheel they lie beside this
module, in a checkout in ``scaffolds/`` at its top. Everything works offline.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["DEFAULT_TEMPLATE", "Template", "list_templates"]

DEFAULT_TEMPLATE = "board"


@dataclass(frozen=True, slots=True)
class Template:
    """One template: its name, what it makes in one line, and its folder."""

    name: str
    summary: str
    folder: Path


def list_templates() -> list[Template]:
    """Give back every packaged template, the default one first, the others by name."""
    import yaml  # type: ignore[import-untyped]  # comes with copier, has no types of its own

    found = []
    for settings in _root().glob("*/copier.yml"):
        content = yaml.safe_load(settings.read_text(encoding="utf-8"))
        found.append(Template(settings.parent.name, str(content["_summary"]), settings.parent))
    return sorted(found, key=lambda template: (template.name != DEFAULT_TEMPLATE, template.name))


def _root() -> Path:
    here = Path(__file__).resolve().parent
    packaged = here / "scaffolds"
    return packaged if packaged.is_dir() else here.parent / "scaffolds"
