"""Import `live/**/*.py`, report every mistake with its place, and build the registry. Spec: live-api 1."""

from __future__ import annotations

import ast
import importlib
import sys
import types
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.live.apppackage import AppPackage, public_text
from runtime.live.collector import Collector, collecting
from runtime.live.imports import defined_names, imported
from runtime.live.keep import KeepStore
from runtime.live.problems import LoadProblem, excerpt, problem_from, relative
from runtime.live.registry import LiveModule, Registry, build_module, build_registry
from runtime.plugins.lifetime import adopt_all

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

__all__ = ["LiveLoader", "LoadResult", "live_files", "shadowing_files"]

CLASHES = frozenset({"DuplicatePath", "DuplicateTopic"})
RESERVED_MODULE = "client"
SHADOWING = ("runtime", "realtime_cli", "live")


@dataclass(slots=True)
class LoadResult:
    """What an import of live modules gave.

    `executed`: the private names of the modules that ran and are in force. `renewed`: (file, name) of values of
    `live.keep` that were made anew because how they are made has changed.
    """

    registry: Registry
    executed: list[str] = field(default_factory=list)
    renewed: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Scan:
    """What the source of one file says: the live modules it imports, and the names it defines with their lines."""

    stamp: tuple[int, int, int]
    imports: set[str] = field(default_factory=set)
    names: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Before:
    """Everything that a reload changes, as it was."""

    imported: dict[str, types.ModuleType]
    modules: dict[str, LiveModule]
    collectors: dict[str, Collector]
    failed: dict[str, tuple[LoadProblem, ...]]
    kept: KeepStore


def live_files(live_dir: Path) -> list[Path]:
    """Return the live modules below `live_dir`, sorted; names that begin with `_` or `.` are not among them."""
    if not live_dir.is_dir():
        return []
    found = []
    for file in live_dir.rglob("*.py"):
        parts = file.relative_to(live_dir).parts
        if not any(part.startswith(("_", ".")) for part in parts) and not file.is_dir():
            found.append(file)
    return sorted(found)


def shadowing_files(project: Path) -> list[Path]:
    """Return files at the root of a project that would hide our packages when somebody imports them."""
    candidates = [project / f"{name}.py" for name in SHADOWING]
    candidates += [project / name / "__init__.py" for name in SHADOWING if name != "live"]
    inside = Path(__file__).resolve().parents[1]
    return [file for file in candidates if file.is_file() and not file.resolve().is_relative_to(inside)]


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
        #: What to import again at the next change: the last one clashed, or left old code in force.
        self._retry: set[str] = set()
        #: At most one entry per file that was ever below `live/`.
        self._scanned: dict[Path, _Scan] = {}
        self._executed: list[str] = []
        self.package.around = self._around

    @property
    def kept(self) -> int:
        """How many values `live.keep` holds."""
        return len(self._keep)

    def load(self, app: Collector | None = None) -> LoadResult:
        """Import everything. Modules that fail become problems of the registry; the others are in it."""
        self._executed = []
        if not self._import_package():
            self.package.stand_in()
        present = self._present()
        for name, file in present.items():
            self._import(name, file)
        self._retry = {name for name, _ in self._hidden_exports()}
        return self._result(app)

    def reload(self, changed: Collection[Path], app: Collector | None = None) -> LoadResult:
        """Import again the modules of `changed` files and what depends on them; new and deleted files count.

        A module that fails, or that imports one that fails, keeps its old code; the others take the new. Two
        endpoints with one path or topic take everything back: which file is wrong cannot be known. An interrupt from
        the keyboard takes everything back, too, and is raised.
        """
        self.package.take_alias()
        present = self._present()
        stale = self._stale(changed, present)
        before = self._snapshot()
        self._executed = []
        retry, self._retry = self._retry, set()
        try:
            self._replace(stale, present, before)
            result = self._result(app)
        except BaseException:
            self._take_back(before)
            self._retry = retry
            raise
        if any(problem.kind in CLASHES for problem in result.registry.problems):
            self._retry = stale
            problems = result.registry.problems
            self._take_back(before)
            return LoadResult(replace(self._result(app).registry, problems=problems))
        self._adopt(before)
        return result

    def _adopt(self, before: _Before) -> None:
        """Let plugins at the top of modules that ran again go on with the state that they had."""
        ran = {name: vars(sys.modules[name]) for name in self._executed if name in sys.modules}
        adopt_all({name: vars(module) for name, module in before.imported.items()}, ran)

    def _replace(self, stale: set[str], present: dict[str, Path], before: _Before) -> None:
        taken = self.package.forget(sorted(stale))
        for index in (self._modules, self._failed):
            for name in stale:
                index.pop(name, None)
        if self.package.live in stale and not self._import_package():
            problems = self._failed[self.package.live]
            if self.package.live not in before.failed:
                # All modules run in the package, so all of them keep their old code until it is right.
                self._take_back(before)
                self._failed[self.package.live] = problems
                return
            self.package.stand_in()
        self._import_emptied(taken, present)
        for name in sorted(stale & present.keys()):
            self._import(name, present[name])
        self._keep_old(stale, taken, before, present)
        self.package.link()

    def _import_emptied(self, taken: Iterable[str], present: dict[str, Path]) -> None:
        """Import packages again of which something is still imported: no import of that would ask for them."""
        for name in sorted(set(taken) - present.keys() - {self.package.live}):
            if name not in sys.modules and any(one.startswith(f"{name}.") for one in self.package.modules()):
                self._run(name, self.live_dir.joinpath(*name.split(".")[2:], "__init__.py"))
        self.package.link()

    def _keep_old(
        self, stale: set[str], taken: dict[str, types.ModuleType], before: _Before, present: dict[str, Path]
    ) -> None:
        """Give modules that failed, and stale ones that import them, their old code back."""
        for name, module in list(self._modules.items()):
            if name in stale and module.problems and name in before.modules:
                self._failed[name] = module.problems
        bad = {name for name in stale if name in self._failed}
        bad |= {name for name in taken if name not in present and name not in sys.modules and bad}
        old = {name: taken[name] for name in sorted(self._importers(bad, stale, present)) if name in taken}
        self.package.forget(old)
        self.package.restore(old)
        # Helpers among them have no problem of their own, and what imports them would run in their old code.
        self._retry = set(old)
        gone = set(self._gone())
        for name in old:
            if name in gone:
                # Old code may still import it, but it answers no more.
                self._collectors.pop(name, None)
                continue
            if name in before.modules:
                self._modules[name] = before.modules[name]
            if name in before.collectors:
                self._collectors[name] = before.collectors[name]
            if name in self._executed:
                self._executed.remove(name)
            self._keep.take_back(name, before.kept)

    def _snapshot(self) -> _Before:
        imported = {name: sys.modules[name] for name in self.package.modules()}
        return _Before(
            imported, dict(self._modules), dict(self._collectors), dict(self._failed), self._keep.copy()
        )

    def _take_back(self, before: _Before) -> None:
        self.package.forget(
            [n for n in self.package.modules() if sys.modules[n] is not before.imported.get(n)]
        )
        self.package.restore(before.imported)
        self.package.link()
        self._modules, self._collectors = dict(before.modules), dict(before.collectors)
        self._failed = dict(before.failed)
        self._executed = []
        self._keep.restore(before.kept)

    def close(self) -> None:
        """Take the app's modules out of `sys.modules`."""
        self.package.uninstall()

    def shadowing(self) -> list[Path]:
        """Return files of the project that would hide our packages when somebody imports them."""
        return shadowing_files(self.project)

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

    def _present(self) -> dict[str, Path]:
        return {self.package.module_name(file): file for file in live_files(self.live_dir)}

    def _result(self, app: Collector | None) -> LoadResult:
        problems = [p for group in self._failed.values() for p in group]
        problems += [problem for _, problem in self._hidden_exports()]
        # A helper that fails is the problem of every module that imports it.
        unique = {(p.file, p.line, p.kind, p.message): p for p in reversed(problems)}
        found = [p for p in problems if unique[p.file, p.line, p.kind, p.message] is p]
        registry = build_registry(self._modules.values(), found, [*([app] if app else []), *self._apart()])
        ran = {name: relative(self._file(name), self.project) for name in self._executed}
        renewed = [(ran[module], name) for module, name in self._keep.take_renewed() if module in ran]
        return LoadResult(registry, list(self._executed), renewed)

    def _apart(self) -> Iterator[Collector]:
        """Yield what modules that export nothing (`_helper.py`, `__init__.py`) declared for the whole app."""
        for name in sorted(self._collectors.keys() - self._modules.keys()):
            if name in sys.modules:
                yield self._collectors[name]

    def _hidden_exports(self) -> Iterator[tuple[str, LoadProblem]]:
        """Yield a problem for each name of a module that a file in the folder of the same name hides.

        An import of `live.board.x` makes `x` in `live/board.py` the module, whatever it was before.
        """
        for name, module in self._modules.items():
            file = self._file(name)
            folder = file.with_suffix("")
            if file.name == "__init__.py" or not folder.is_dir():
                continue
            for leaf, line in self._scan(name, file).names.items():
                other = folder / f"{leaf}.py"
                if not other.is_file() and live_files(folder / leaf):
                    other = folder / leaf
                if other.exists():
                    places = f"{module.file}:{line} and {relative(other, self.project)}"
                    text = f"'{module.name}/{leaf}' is declared twice: {places}; the latter hides the name"
                    problem = LoadProblem(
                        module.file,
                        line,
                        "DuplicatePath",
                        text,
                        "rename one of them",
                        excerpt=excerpt(file, line),
                    )
                    yield name, problem

    def _import_package(self) -> bool:
        """Import `live` itself; return `False`, with the problem noted, when its `__init__.py` fails."""
        self._failed.pop(self.package.live, None)
        return self._run(self.package.live, self.live_dir / "__init__.py") is not None

    def _import(self, name: str, file: Path) -> None:
        if name == f"{self.package.live}.{RESERVED_MODULE}":
            where = relative(file, self.project)
            text = f"live/{RESERVED_MODULE}.js is the browser client, so no live module can have that name"
            self._failed[name] = (LoadProblem(where, None, "ReservedName", text, "rename the file"),)
            return
        module = self._run(name, file)
        if module is None:
            return
        self._failed.pop(name, None)
        if name not in self._modules:
            path = name[len(self.package.live) + 1 :].replace(".", "/")
            collector = self._collectors.get(name)
            try:
                self._modules[name] = build_module(module, path, file, self.project, collector)
            except Exception as error:  # an object of the module that cannot even be looked at
                self._note(name, error, file)

    def _run(self, name: str, file: Path) -> types.ModuleType | None:
        """Import one module; whatever it raises is noted as its problem, and it is not imported then.

        `sys.exit()` at the top of a module must not end a server that works, and no cancellation of ours comes while
        an import runs: so everything counts, except an interrupt from the keyboard.
        """
        try:
            return importlib.import_module(name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._note(name, error, file)
            return None

    def _note(self, name: str, error: BaseException, file: Path) -> None:
        problem = problem_from(error, self.project, file)
        text = problem.message
        if isinstance(error, SystemExit):
            text = f"the module ends the process when it is imported: sys.exit({error.code!r})"
        message, trace = public_text(text, self.package), public_text(problem.traceback, self.package)
        self._failed[name] = (replace(problem, message=message, traceback=trace),)
        self.package.forget([name])

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
        # A deleted module that old code still uses must not be found by new code.
        stale |= self._modules.keys() - present.keys() | set(self._gone())
        found = self._importers(stale | self._retry, known | present.keys(), present)
        # Everything runs in the package `live`.
        return found | known | present.keys() if self.package.live in found else found

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
        file = present.get(name) or self._file(name)
        return self._scan(name, file).imports if file.is_file() else set()

    def _file(self, name: str) -> Path:
        """Return the file of a module that is imported; a path that is no file for one that has none."""
        origin = getattr(sys.modules.get(name), "__file__", None)
        return Path(origin) if origin else self.live_dir

    def _gone(self) -> Iterator[str]:
        """Yield the modules that are imported although their file was deleted."""
        for name in self.package.modules():
            origin = getattr(sys.modules[name], "__file__", None)
            if origin and not Path(origin).is_file():
                yield name

    def _scan(self, name: str, file: Path) -> _Scan:
        try:
            status = file.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            known = self._scanned.get(file)
            if known is not None and known.stamp == stamp:
                return known
            tree = ast.parse(file.read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):  # the import says more
            return _Scan((0, 0, 0))
        imports = imported(tree, name, self.package.live, is_package=file.name == "__init__.py")
        scan = self._scanned[file] = _Scan(stamp, imports, defined_names(tree))
        return scan
