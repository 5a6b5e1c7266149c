"""How live modules are imported: under a private package of their app, with `live.*` as alias.

A private name means that an installed package called `live` neither hides the app's modules nor is hidden by them,
and that two apps can live in one process: in live modules and in `hooks.py`, `live` is their own app's (see
`runtime.live.imports`); elsewhere it is that of the app which loaded last. Source is compiled afresh at every import:
the bytecode cache tells files apart by whole seconds and size, which an editor beats. Spec: design page, decision 7.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import sys
import types
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from runtime.live.imports import ALIAS, bind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["PREFIX", "AppPackage", "load_private", "public_text"]

PREFIX = "_realtime_app_"
MAX_FORMER_PROJECTS = 64

_numbers = itertools.count(1)
_MISSING = object()


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Compile from source, always, with `live` as the name of the private package `live`, if there is one."""

    def __init__(self, fullname: str, path: str, live: str | None = None) -> None:
        super().__init__(fullname, path)
        self._live = live

    def get_code(self, fullname: str) -> types.CodeType:
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        if self._live is not None:
            bind(tree, self._live)
        return compile(tree, path, "exec", dont_inherit=True)


class _AliasLoader(importlib.abc.Loader):
    """Give an alias name the module that its private name has."""

    def __init__(self, private: str) -> None:
        self._private = private
        self._spec: importlib.machinery.ModuleSpec | None = None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = importlib.import_module(self._private)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        module.__spec__ = self._spec


class AppPackage(importlib.abc.MetaPathFinder):
    """The private package of one app, as a finder on `sys.meta_path`. `install()` it once, `uninstall()` at the end."""

    #: Projects whose apps have ended; what they left in `sys.modules` may go.
    _former: ClassVar[deque[Path]] = deque(maxlen=MAX_FORMER_PROJECTS)

    def __init__(self, project: Path, live_dir: Path) -> None:
        self.project = project
        self.live_dir = live_dir
        self.root = f"{PREFIX}{next(_numbers)}"
        self.live = f"{self.root}.live"
        #: Wraps the execution of each live module; set by the loader to collect what the module declares.
        self.around: Callable[[str, Callable[[], None]], None] = lambda name, run: run()
        #: By module: what its package had under the same name before the import put the module there.
        self._hidden: dict[str, Any] = {}

    def install(self) -> None:
        """Make the names importable and put the project on `sys.path`."""
        root = types.ModuleType(self.root, "The modules of one app.")
        root.__path__ = []
        sys.modules[self.root] = root
        self.take_alias()
        if str(self.project) not in sys.path:
            sys.path.insert(0, str(self.project))

    def uninstall(self) -> None:
        """Take the names away again; `live` falls back to the app that loaded before, if it is still there."""
        was_owner = self._owns_alias()
        if self in sys.meta_path:
            sys.meta_path.remove(self)
            self._former.append(self.project)
        for name in [n for n in sys.modules if n == self.root or n.startswith(f"{self.root}.")]:
            del sys.modules[name]
        self._hidden.clear()
        if was_owner:
            self._drop_alias()
            for other in self._running():
                other.take_alias()
                break

    def take_alias(self) -> None:
        """Let `live.*` mean this app's modules for code that belongs to no app; the last app to load has the alias."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        sys.meta_path.insert(0, self)
        self._drop_alias()
        sys.modules.pop(ALIAS, None)
        for name in self.modules():
            sys.modules[self._alias(name)] = sys.modules[name]

    def foreign(self) -> list[tuple[Path, Path]]:
        """Return files of this project whose name another running app's project has taken, each with the one imported.

        Modules beside `live/` have one name in the whole process. Those of projects whose app has ended are dropped.
        """
        running = {app.project for app in self._running()} - {self.project}
        former = set(self._former) - running - {self.project}
        found = []
        for file in (*self.project.glob("*.py"), *self.project.glob("*/__init__.py")):
            name = file.parent.name if file.name == "__init__.py" else file.stem
            origin = getattr(sys.modules.get(name), "__file__", None)
            if not isinstance(origin, str):
                continue
            imported = Path(origin)
            home = imported.parent.parent if imported.name == "__init__.py" else imported.parent
            if home in running:
                found.append((file, imported))
            elif home in former:
                for stale in [n for n in sys.modules if n == name or n.startswith(f"{name}.")]:
                    del sys.modules[stale]
        return found

    def module_name(self, file: Path) -> str:
        """Return the private module name of a file below `live/`."""
        parts = file.relative_to(self.live_dir).with_suffix("").parts
        return ".".join([self.live, *(parts[:-1] if parts[-1] == "__init__" else parts)])

    def forget(self, names: Iterable[str]) -> dict[str, types.ModuleType]:
        """Take modules out of `sys.modules`, aliases and parent attributes too; return them for `restore`."""
        taken: dict[str, types.ModuleType] = {}
        for name in names:
            module = sys.modules.pop(name, None)
            alias = self._alias(name)
            if sys.modules.get(alias) is module:
                sys.modules.pop(alias, None)
            before = self._hidden.pop(name, _MISSING)
            if module is None:
                continue
            taken[name] = module
            parent, _, leaf = name.rpartition(".")
            package = sys.modules.get(parent)
            if package is not None and vars(package).get(leaf) is module:
                delattr(package, leaf)
                if before is not _MISSING:
                    setattr(package, leaf, before)
        return taken

    def restore(self, modules: dict[str, types.ModuleType]) -> None:
        """Put modules back that `forget` took, in place of those that are there now."""
        for name, module in modules.items():
            sys.modules[name] = module
            if self._owns_alias():
                sys.modules[self._alias(name)] = module

    def link(self) -> None:
        """Make every package hold the modules in it that are imported now, as imports leave it.

        To be called when packages or modules in them were exchanged one by one.
        """
        for name in self.modules():
            package = sys.modules[name]
            for leaf, value in list(vars(package).items()) if isinstance(package, types.ModuleType) else ():
                if _is_module(value, f"{name}.{leaf}") and f"{name}.{leaf}" not in sys.modules:
                    delattr(package, leaf)
        for name in self.modules():
            parent, _, leaf = name.rpartition(".")
            holder = sys.modules.get(parent)
            there = getattr(holder, leaf, None)
            if holder is not None and (there is None or _is_module(there, name)):
                setattr(holder, leaf, sys.modules[name])

    def stand_in(self) -> None:
        """Import an empty package as `live`: its `__init__.py` failed, and the modules in it may work without."""
        package = types.ModuleType(self.live, "The live modules of one app.")
        package.__path__ = [str(self.live_dir)]
        package.__package__ = self.live
        package.__spec__ = importlib.machinery.ModuleSpec(self.live, None, is_package=True)
        self.restore({self.live: package})
        self.link()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find a module below the private name, or the alias of one."""
        if fullname == self.live or fullname.startswith(f"{self.live}."):
            return self._spec(fullname)
        if (fullname == ALIAS or fullname.startswith(f"{ALIAS}.")) and self._owns_alias():
            private = self.live + fullname[len(ALIAS) :]
            located = self._locate(private)
            if located is not None:
                is_package = located[1] is not None
                return importlib.machinery.ModuleSpec(fullname, _AliasLoader(private), is_package=is_package)
        return None

    def _spec(self, fullname: str) -> importlib.machinery.ModuleSpec | None:
        located = self._locate(fullname)
        if located is None:
            return None
        file, folder = located
        search = [str(folder)] if folder is not None else None
        self._note_hidden(fullname)
        if file is None:
            spec = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = search
            return spec
        loader = _Loader(self, fullname, str(file))
        return importlib.util.spec_from_file_location(
            fullname, file, loader=loader, submodule_search_locations=search
        )

    def _locate(self, fullname: str) -> tuple[Path | None, Path | None] | None:
        base = self.live_dir.joinpath(*fullname[len(self.live) :].split(".")[1:])
        if (base / "__init__.py").is_file():
            return base / "__init__.py", base
        if base == self.live_dir:
            return None, base
        if base.with_name(base.name + ".py").is_file():
            return base.with_name(base.name + ".py"), base if base.is_dir() else None
        return (None, base) if base.is_dir() else None

    def _note_hidden(self, fullname: str) -> None:
        parent, _, leaf = fullname.rpartition(".")
        value = vars(sys.modules[parent]).get(leaf, _MISSING) if parent in sys.modules else _MISSING
        if value is not _MISSING and not isinstance(value, types.ModuleType):
            self._hidden[fullname] = value

    def _alias(self, name: str) -> str:
        return ALIAS + name[len(self.live) :]

    def _drop_alias(self) -> None:
        for name in [n for n in sys.modules if n == ALIAS or n.startswith(f"{ALIAS}.")]:
            if sys.modules[name].__name__.startswith(PREFIX):
                del sys.modules[name]

    def _owns_alias(self) -> bool:
        return next(self._running(), None) is self

    @staticmethod
    def _running() -> Iterator[AppPackage]:
        """Yield the apps of this process, the one that loaded last first."""
        return (finder for finder in list(sys.meta_path) if isinstance(finder, AppPackage))

    def modules(self) -> list[str]:
        """Return the private names of the live modules that are imported now, with that of `live` itself."""
        return [name for name in sys.modules if name == self.live or name.startswith(f"{self.live}.")]


class _Loader(_SourceLoader):
    """Run a live module inside `AppPackage.around`, and give it its alias before that (imports may be circular)."""

    def __init__(self, package: AppPackage, fullname: str, path: str) -> None:
        super().__init__(fullname, path, package.live)
        self._package = package

    def exec_module(self, module: types.ModuleType) -> None:
        name: Any = module.__name__
        if not self._package._owns_alias():
            self._package.around(name, lambda: super(_Loader, self).exec_module(module))
            return
        alias = self._package._alias(name)
        sys.modules[alias] = module
        try:
            self._package.around(name, lambda: super(_Loader, self).exec_module(module))
        except BaseException:
            # Python drops the private name; who asks again must not get half a module by the alias.
            sys.modules.pop(alias, None)
            raise


def _is_module(value: Any, name: str) -> bool:
    return isinstance(value, types.ModuleType) and getattr(value, "__name__", None) == name


def load_private(name: str, file: Path) -> types.ModuleType:
    """Run a single file of an app under a private module name, compiled afresh; `live` is its own app's there."""
    private = f"{PREFIX}{name}_{next(_numbers)}"
    owner = next((app for app in AppPackage._running() if file.is_relative_to(app.project)), None)
    loader = _SourceLoader(private, str(file), owner.live if owner is not None else None)
    spec = importlib.util.spec_from_file_location(private, file, loader=loader)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[private] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[private]
        raise
    return module


def public_text(text: str, package: AppPackage) -> str:
    """Return `text`, of an error say, with module names as their author knows them."""
    return text.replace(f"{package.root}.", "")
