"""How live modules are imported: under a private package of their app, with `live.*` as alias.

A private name means that an installed package called `live` neither hides the app's modules nor is hidden by them,
and that two apps can live in one process. Source is compiled afresh at every import: the bytecode cache tells files
apart by whole seconds and size, which an editor beats. Spec: design page, decision 7.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["PREFIX", "AppPackage", "load_private"]

PREFIX = "_realtime_app_"
ALIAS = "live"

_numbers = itertools.count(1)


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Compile from source, always."""

    def get_code(self, fullname: str) -> types.CodeType:
        path = self.get_filename(fullname)
        code: types.CodeType = self.source_to_code(self.get_data(path), path)
        return code


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

    def __init__(self, project: Path, live_dir: Path) -> None:
        self.project = project
        self.live_dir = live_dir
        self.root = f"{PREFIX}{next(_numbers)}"
        self.live = f"{self.root}.live"
        #: Wraps the execution of each live module; set by the loader to collect what the module declares.
        self.around: Callable[[str, Callable[[], None]], None] = lambda name, run: run()

    def install(self) -> None:
        """Make the names importable and put the project on `sys.path`."""
        root = types.ModuleType(self.root, "The modules of one app.")
        root.__path__ = []
        sys.modules[self.root] = root
        sys.meta_path.insert(0, self)
        if str(self.project) not in sys.path:
            sys.path.insert(0, str(self.project))
        self.take_alias()

    def uninstall(self) -> None:
        """Take the names away again."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for name in [n for n in sys.modules if n == self.root or n.startswith(f"{self.root}.")]:
            del sys.modules[name]
        self._drop_alias()

    def take_alias(self) -> None:
        """Let `live.*` mean this app's modules; the last app to load has the alias."""
        self._drop_alias()
        others = [f for f in sys.meta_path if isinstance(f, AppPackage) and f is not self]
        for other in others:
            sys.meta_path.remove(other)
            sys.meta_path.append(other)
        sys.modules[ALIAS] = self._package()

    def module_name(self, file: Path) -> str:
        """Return the private module name of a file below `live/`."""
        parts = file.relative_to(self.live_dir).with_suffix("").parts
        return ".".join([self.live, *(parts[:-1] if parts[-1] == "__init__" else parts)])

    def forget(self, names: Sequence[str]) -> dict[str, types.ModuleType]:
        """Take modules out of `sys.modules`, aliases and parent attributes too; return them for `restore`."""
        taken: dict[str, types.ModuleType] = {}
        for name in names:
            module = sys.modules.pop(name, None)
            sys.modules.pop(self._alias(name), None)
            if module is not None:
                taken[name] = module
                parent, _, leaf = name.rpartition(".")
                if (package := sys.modules.get(parent)) is not None:
                    vars(package).pop(leaf, None)
        return taken

    def restore(self, modules: dict[str, types.ModuleType]) -> None:
        """Put modules back that `forget` took."""
        for name, module in modules.items():
            sys.modules[name] = module
            sys.modules[self._alias(name)] = module
            parent, _, leaf = name.rpartition(".")
            if (package := sys.modules.get(parent)) is not None:
                setattr(package, leaf, module)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find a module below the private name, or the alias of one."""
        if fullname == ALIAS or fullname.startswith(f"{ALIAS}."):
            private = self.live + fullname[len(ALIAS) :]
            if sys.modules.get(ALIAS) is not sys.modules.get(self.live) or self._locate(private) is None:
                return None
            return importlib.machinery.ModuleSpec(fullname, _AliasLoader(private), is_package=True)
        if fullname == self.live or fullname.startswith(f"{self.live}."):
            return self._spec(fullname)
        return None

    def _spec(self, fullname: str) -> importlib.machinery.ModuleSpec | None:
        located = self._locate(fullname)
        if located is None:
            return None
        file, folder = located
        search = [str(folder)] if folder is not None else None
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
        if base != self.live_dir and base.with_name(base.name + ".py").is_file():
            return base.with_name(base.name + ".py"), base if base.is_dir() else None
        return (None, base) if base.is_dir() else None

    def _package(self) -> types.ModuleType:
        known = sys.modules.get(self.live)
        if known is not None:
            return known
        package = types.ModuleType(self.live, "The live modules of one app.")
        package.__path__ = [str(self.live_dir)]
        package.__package__ = self.live
        sys.modules[self.live] = package
        vars(sys.modules[self.root])["live"] = package
        return package

    def run_init(self, file: Path) -> None:
        """Run `live/__init__.py` in the package that stands for `live`."""
        package = self._package()
        package.__file__ = str(file)
        code = _SourceLoader(self.live, str(file)).get_code(self.live)
        exec(code, vars(package))  # noqa: S102 - the app's own source, run as an import would

    def _alias(self, name: str) -> str:
        return ALIAS + name[len(self.live) :]

    def _drop_alias(self) -> None:
        for name in [n for n in sys.modules if n == ALIAS or n.startswith(f"{ALIAS}.")]:
            module = sys.modules[name]
            if module.__name__.startswith(PREFIX):
                del sys.modules[name]

    def modules(self) -> Iterator[str]:
        """Yield the private names of the live modules that are imported now."""
        yield from [name for name in sys.modules if name.startswith(f"{self.live}.")]


class _Loader(_SourceLoader):
    """Run a live module inside `AppPackage.around`, and give it its alias before that (imports may be circular)."""

    def __init__(self, package: AppPackage, fullname: str, path: str) -> None:
        super().__init__(fullname, path)
        self._package = package

    def exec_module(self, module: types.ModuleType) -> None:
        name: Any = module.__name__
        sys.modules[self._package._alias(name)] = module
        self._package.around(name, lambda: super(_Loader, self).exec_module(module))


def load_private(name: str, file: Path) -> types.ModuleType:
    """Run a single file of the app under a private module name, compiled afresh."""
    private = f"{PREFIX}{name}_{next(_numbers)}"
    spec = importlib.util.spec_from_file_location(private, file, loader=_SourceLoader(private, str(file)))
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
