"""Type declarations from the annotations of live functions.

``types/live/<module>.d.ts`` is for pages that import from ``$live/<module>.js``, ``types/live/client.d.ts`` for
``$live/client.js``, and ``types/python/realtime_live.pyi`` for Python programs that use ``runtime.client``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from realtime_cli.typegen.errorcodes import error_codes, framework_codes
from realtime_cli.typegen.stubs import stub_source
from realtime_cli.typegen.typescript import declaration_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.live.registry import Registry

__all__ = ["TYPES_FOLDER", "outdated", "render", "write_types"]

TYPES_FOLDER = "types"

_CLIENT_TYPES = "client/browser/realtime.d.ts"
_MARK = "// Written by `realtime types` from "


def render(project: Path, registry: Registry) -> dict[str, str]:
    """Give back the text of every declaration file, by its path below the types folder."""
    import runtime

    client = Path(str(runtime.__file__)).parent / _CLIENT_TYPES
    declared = client.read_text(encoding="utf-8")
    files = {"live/client.d.ts": declared}
    codes = {module.name: error_codes(project / module.file) for module in registry.modules.values()}
    for module in registry.modules.values():
        files[f"live/{module.name}.d.ts"] = declaration_source(module, codes[module.name])
    files["python/realtime_live.pyi"] = stub_source(
        registry.modules.values(), codes, framework_codes(declared)
    )
    return files


def outdated(project: Path, files: Mapping[str, str], out: Path) -> list[Path]:
    """Give back the files below `out` that are missing, differ from `files`, or whose live module is gone."""
    changed = [out / name for name, text in files.items() if _read(out / name) != text]
    return sorted([*changed, *_orphans(project, files, out)])


def write_types(project: Path, registry: Registry, *, out: Path | None = None) -> list[Path]:
    """Bring the declaration files below `out` (``types/`` of the project) up to date.

    Files whose text is right are not touched. Of a module that does not import now the old declarations stay.

    Returns:
        What was written or removed, sorted.

    Raises:
        OSError: a file cannot be written.
    """
    folder = out if out is not None else project / TYPES_FOLDER
    files = render(project, registry)
    changed = outdated(project, files, folder)
    for path in changed:
        text = files.get(path.relative_to(folder).as_posix())
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return changed


def _orphans(project: Path, files: Mapping[str, str], out: Path) -> list[Path]:
    found = []
    for path in (out / "live").rglob("*.d.ts"):
        if path.relative_to(out).as_posix() in files:
            continue
        first = (_read(path) or "").partition("\n")[0]
        if first.startswith(_MARK) and not (project / first.removeprefix(_MARK).partition(";")[0]).exists():
            found.append(path)
    return found


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
