"""Type declarations from the annotations of live functions.

``types/live/<module>.d.ts`` is for pages that import from ``$live/<module>.js``, ``types/live/client.d.ts`` for
``$live/client.js``, and ``types/python/realtime_live.pyi`` for Python programs that use ``runtime.client``.
``types/live.json`` is what a later version of the app is compared with.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from realtime_cli.typegen.compatibility import Change, breaking_changes
from realtime_cli.typegen.contract import CONTRACT_FILE, BadContract, Contract, contract_of, read_contract
from realtime_cli.typegen.errorcodes import error_codes, framework_codes
from realtime_cli.typegen.stubs import stub_source
from realtime_cli.typegen.typescript import declaration_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.live.registry import Registry

__all__ = ["TYPES_FOLDER", "BadContract", "Change", "incompatible", "outdated", "render", "write_types"]

TYPES_FOLDER = "types"

_CLIENT_TYPES = "client/browser/realtime.d.ts"
_MARK = "// Written by `realtime types` from "


def render(project: Path, registry: Registry, out: Path | None = None) -> dict[str, str]:
    """Give back the text of every declaration file, by its path below the types folder.

    Args:
        project: the folder of the project.
        registry: what its live modules declare.
        out: where types are stored; of a module that does not load now, ``live.json`` keeps what they say.
    """
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
    files[CONTRACT_FILE] = _contract(project, registry, codes, out).text()
    return files


def incompatible(project: Path, registry: Registry, out: Path) -> list[Change]:
    """Give back what of the app breaks programs that were written for the types stored in `out`.

    Where none are stored that is nothing. Nothing is said of modules that do not load now.

    Raises:
        BadContract: what is stored cannot be read.
    """
    text = _read(out / CONTRACT_FILE)
    if text is None:
        return []
    stored = read_contract(text)
    return breaking_changes(
        stored, contract_of(registry.modules.values(), {}), _unknown(project, registry, stored)
    )


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
    files = render(project, registry, folder)
    changed = outdated(project, files, folder)
    for path in changed:
        text = files.get(path.relative_to(folder).as_posix())
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return changed


def _contract(
    project: Path, registry: Registry, codes: Mapping[str, list[str]], out: Path | None
) -> Contract:
    made = contract_of(registry.modules.values(), codes)
    text = _read(out / CONTRACT_FILE) if out is not None else None
    try:
        stored = read_contract(text or "")
    except BadContract:
        return made
    kept = {name: stored.modules[name] for name in _unknown(project, registry, stored)}
    return Contract({**made.modules, **kept})


def _unknown(project: Path, registry: Registry, stored: Contract) -> set[str]:
    """Give back the stored modules whose file is there, but does not load as a whole."""
    wrong = {problem.file for problem in registry.problems}
    return {
        name
        for name, module in stored.modules.items()
        if (name not in registry.modules or module.file in wrong) and (project / module.file).exists()
    }


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
