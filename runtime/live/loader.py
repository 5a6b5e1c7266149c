"""Import `live/**/*.py`, report every mistake with its place, and build the registry. Spec: live-api 1."""

from __future__ import annotations

import ast
import importlib
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.live.apppackage import AppPackage
from runtime.live.collector import Collector, collecting
from runtime.live.keep import KeepStore
from runtime.live.problems import LoadProblem, problem_from, relative
from runtime.live.registry import LiveModule, Registry, build_module, build_registry

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Collection, Iterable

__all__ = ["LiveLoader", "LoadResult", "live_files"]

CLASHES = frozenset({"DuplicatePath", "DuplicateTopic"})
RESERVED_MODULE = "client"
SHADOWING = ("runtime", "realtime_cli", "live")


@dataclass(slots=True)
class LoadResult:
    """What an import of live modules gave: the registry, and the private names of the modules that ran."""

    registry: Registry
    executed: list[str] = field(default_factory=list)


def live_files(live_dir: Path) -> list[Path]:
    """Return the live modules below `live_dir`, sorted; names that begin with `_` or `.` are not among them."""
    if not live_dir.is_dir():
        return []
    found = []
    for file in live_dir.rglob("*.py"):
        parts = file.relative_to(live_dir).parts
        if not any(part.startswith(("_", ".")) for part in parts):
            found.append(file)
    return sorted(found)


class LiveLoader:
    """The live modules of one app: loads them, and loads again what changed and what depends on it.

    Runs in the loop's thread: between two turns of the loop there is either the old registry or the new one.
    """

    def __init__(self, project: Path, live_dir: Path) -> None:
        self.project = project
        self.live_dir = live_dir
        self.package = AppPackage(project, live_dir)
        self._collectors: dict[str, Collector] = {}
        self._keep = KeepStore()
        self._modules: dict[str, LiveModule] = {}
        self._failed: dict[str, tuple[LoadProblem, ...]] = {}
        #: What to import again at the next change because the last one clashed.
        self._retry: set[str] = set()
        #: Imports by file; at most one entry per file that was ever below `live/`.
        self._scanned: dict[Path, tuple[tuple[int, int, int], set[str]]] = {}
        self._executed: list[str] = []
        self.package.around = self._around

    def load(self, app: Collector | None = None) -> LoadResult:
        """Import everything. Modules that fail become problems of the registry; the others are in it."""
        self._executed = []
        self._import_package()
        for file in live_files(self.live_dir):
            self._import(file)
        return self._result(app)

    def reload(self, changed: Collection[Path], app: Collector | None = None) -> LoadResult:
        """Import again the modules of `changed` files and what depends on them; new and deleted files count.

        A module that fails, or that imports one that fails, keeps its old code; the others take the new. Two
        endpoints with one path or topic take everything back: which file is wrong cannot be known.
        """
        present = {self.package.module_name(file): file for file in live_files(self.live_dir)}
        stale = self._stale(changed, present)
        before = (dict(self._modules), dict(self._collectors), dict(self._failed))
        self.package.take_alias()
        taken = self.package.forget(sorted(stale))
        for index in (self._modules, self._failed):
            for name in stale:
                index.pop(name, None)
        self._executed = []
        if self.package.live in stale:
            self._import_package()
        for name in sorted(stale & present.keys()):
            self._import(present[name])
        self._keep_old(stale, taken, before[0], before[1], present)
        result = self._result(app)
        if any(problem.kind in CLASHES for problem in result.registry.problems):
            problems = result.registry.problems
            self.package.forget(sorted(stale))
            self.package.restore(taken)
            self._modules, self._collectors, self._failed = before
            self._executed = []
            self._retry = stale
            old = self._result(app).registry
            return LoadResult(replace(old, problems=problems), [])
        self._retry = set()
        return result

    def _keep_old(
        self,
        stale: set[str],
        taken: dict[str, types.ModuleType],
        modules: dict[str, LiveModule],
        collectors: dict[str, Collector],
        present: dict[str, Path],
    ) -> None:
        """Give modules that failed, and stale ones that import them, their old code back."""
        for name, module in list(self._modules.items()):
            if name in stale and module.problems and name in modules:
                self._failed[name] = module.problems
        bad = {name for name in stale if name in self._failed}
        bad |= {name for name in taken if name not in present and name not in sys.modules and bad}
        for name in self._importers(bad, stale, present):
            if name not in taken:
                continue
            self.package.forget([name])
            self.package.restore({name: taken[name]})
            if name in modules:
                self._modules[name] = modules[name]
            if name in collectors:
                self._collectors[name] = collectors[name]
            if name in self._executed:
                self._executed.remove(name)

    def close(self) -> None:
        """Take the app's modules out of `sys.modules`."""
        self.package.uninstall()

    def shadowing(self) -> list[Path]:
        """Return files of the project that would hide our packages when somebody imports them."""
        candidates = [self.project / f"{name}.py" for name in SHADOWING]
        candidates += [self.project / name / "__init__.py" for name in SHADOWING if name != "live"]
        inside = Path(__file__).resolve().parents[1]
        return [file for file in candidates if file.is_file() and not file.resolve().is_relative_to(inside)]

    def source_files(self) -> list[Path]:
        """Return the files of the project that are imported and do not lie below `live/`: editing one of them needs
        a new process.
        """
        root, live = self.project.resolve(), self.live_dir.resolve()
        found = set()
        for module in list(sys.modules.values()):
            origin = getattr(module, "__file__", None)
            if not isinstance(origin, str):
                continue
            file = Path(origin).resolve()
            inside = file.is_relative_to(root) and not file.is_relative_to(live)
            if inside and not any(part in {"site-packages", ".venv", "venv"} for part in file.parts):
                found.add(file)
        return sorted(found)

    def _result(self, app: Collector | None) -> LoadResult:
        registry = build_registry(
            self._modules.values(), [p for group in self._failed.values() for p in group], app
        )
        return LoadResult(registry, list(self._executed))

    def _import_package(self) -> None:
        init = self.live_dir / "__init__.py"
        if not init.is_file():
            return
        self._failed.pop(self.package.live, None)
        try:
            self._around(self.package.live, lambda: self.package.run_init(init))
        except Exception as error:
            self._failed[self.package.live] = (problem_from(error, self.project, init),)

    def _import(self, file: Path) -> None:
        name = self.package.module_name(file)
        if name == f"{self.package.live}.{RESERVED_MODULE}":
            where = relative(file, self.project)
            text = f"live/{RESERVED_MODULE}.js is the browser client, so no live module can have that name"
            self._failed[name] = (LoadProblem(where, None, "ReservedName", text, "rename the file"),)
            return
        try:
            module = importlib.import_module(name)
        except Exception as error:
            self._failed[name] = (problem_from(error, self.project, file, hint=_hint(error)),)
            self.package.forget([name])
            return
        self._failed.pop(name, None)
        if name not in self._modules:
            self._modules[name] = self._describe(module, name, file)

    def _describe(self, module: types.ModuleType, name: str, file: Path) -> LiveModule:
        path = name[len(self.package.live) + 1 :].replace(".", "/")
        return build_module(module, path, file, self.project, self._collectors.get(name))

    def _around(self, name: str, run: Callable[[], None]) -> None:
        collector = self._collectors[name] = Collector(keep=self._keep)
        with collecting(collector):
            run()
        self._executed.append(name)

    def _stale(self, changed: Iterable[Path], present: dict[str, Path]) -> set[str]:
        """Return the private names of modules that changed, are new or gone, or failed, with all that import them."""
        live = self.live_dir.resolve()
        touched = {
            self.package.module_name(self.live_dir / path.resolve().relative_to(live))
            for path in changed
            if path.suffix == ".py" and path.resolve().is_relative_to(live)
        }
        known = set(self.package.modules()) | self._modules.keys() | self._failed.keys()
        stale = (touched & (known | present.keys())) | (present.keys() - known) | self._failed.keys()
        stale |= self._modules.keys() - present.keys()
        if self.package.live in touched:
            stale |= {*known, self.package.live}
        return self._importers(stale | self._retry, known | present.keys(), present)

    def _importers(self, names: set[str], among: Iterable[str], present: dict[str, Path]) -> set[str]:
        """Return `names` and every module of `among` that imports one of them, directly or not."""
        imports = {name: self._imports(name, present) for name in among}
        found = set(names)
        grew = True
        while grew:
            more = {name for name, wanted in imports.items() if name not in found and wanted & found}
            found |= more
            grew = bool(more)
        return found

    def _imports(self, name: str, present: dict[str, Path]) -> set[str]:
        """Return the private names of live modules that `name` imports, wherever in the file."""
        module = sys.modules.get(name)
        file = present.get(name) or (Path(module.__file__) if module and module.__file__ else None)
        if file is None or not file.is_file():
            return set()
        status = file.stat()
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._scanned.get(file)
        if known is None or known[0] != stamp:
            known = self._scanned[file] = (stamp, self._scan(name, file))
        return known[1]

    def _scan(self, name: str, file: Path) -> set[str]:
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):
            return set()
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        found: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = _resolve(node, package)
                targets = [base, *(f"{base}.{alias.name}" for alias in node.names)]
            else:
                continue
            for target in targets:
                if target == "live" or target.startswith("live."):
                    target = self.package.live + target[4:]
                if target.startswith(f"{self.package.live}."):
                    found.add(target)
        return found


def _resolve(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    base = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
    return f"{base}.{node.module}" if node.module else base


def _hint(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return "install the package, or check the spelling: project modules are imported by their path from its root"
    return ""
