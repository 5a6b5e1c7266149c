"""Import `live/**/*.py`, report every mistake with its place, and build the registry. Spec: live-api 1."""

from __future__ import annotations

import ast
import importlib
import sys
import types
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from runtime.live.apppackage import AppPackage
from runtime.live.collector import Collector, collecting
from runtime.live.keep import KeepStore
from runtime.live.problems import LoadProblem, problem_from
from runtime.live.registry import LiveModule, Registry, build_module, build_registry

__all__ = ["LiveLoader", "LoadResult", "live_files"]

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
        self._failed: dict[str, LoadProblem] = {}
        self._executed: list[str] = []
        self.package.around = self._around

    def load(self, app: Collector | None = None) -> LoadResult:
        """Import everything. Modules that fail become problems of the registry; the others are in it."""
        self.package.install()
        self._executed = []
        self._import_package()
        for file in live_files(self.live_dir):
            self._import(file)
        return self._result(app)

    def reload(self, changed: Collection[Path], app: Collector | None = None) -> LoadResult:
        """Import again the modules of `changed` files and what depends on them; new and deleted files count.

        Returns a result with problems instead of swapping anything when the new code has mistakes that the old one
        had not: then `sys.modules` is as before.
        """
        files = live_files(self.live_dir)
        present = {self.package.module_name(file): file for file in files}
        stale = self._stale(changed, present)
        before = (dict(self._modules), dict(self._collectors), dict(self._failed))
        self.package.take_alias()
        taken = self.package.forget(sorted(stale))
        for name in stale:
            self._modules.pop(name, None)
            self._failed.pop(name, None)
            self._collectors.pop(name, None)
        self._executed = []
        for name in sorted(stale & present.keys()):
            self._import(present[name])
        result = self._result(app)
        if result.registry.problems:
            self.package.forget([*stale, *self._executed])
            self.package.restore(taken)
            self._modules, self._collectors, self._failed = before
        return result

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
        registry = build_registry(self._modules.values(), self._failed.values(), app)
        return LoadResult(registry, list(self._executed))

    def _import_package(self) -> None:
        init = self.live_dir / "__init__.py"
        if not init.is_file():
            return
        package = self.package._package()
        package.__file__ = str(init)
        try:
            self._around(self.package.live, lambda: exec(compile(init.read_bytes(), str(init), "exec"), vars(package)))  # noqa: S102 - the app's own module
        except Exception as error:
            self._failed[self.package.live] = problem_from(error, self.project, init)

    def _import(self, file: Path) -> None:
        name = self.package.module_name(file)
        try:
            module = importlib.import_module(name)
        except Exception as error:
            self._failed[name] = problem_from(error, self.project, file, hint=_hint(error))
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
            stale |= known
        imports = {name: self._imports(name, present) for name in known | present.keys()}
        grew = True
        while grew:
            more = {name for name, wanted in imports.items() if name not in stale and wanted & stale}
            stale |= more
            grew = bool(more)
        stale.discard(self.package.live)
        return stale

    def _imports(self, name: str, present: dict[str, Path]) -> set[str]:
        """Return the private names of live modules that `name` imports, wherever in the file."""
        module = sys.modules.get(name)
        file = present.get(name) or (Path(module.__file__) if module and module.__file__ else None)
        if file is None or not file.is_file():
            return set()
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
        return "install the package, or check the spelling; modules of the project are imported by their path from its root"
    return ""


