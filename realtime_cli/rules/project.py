"""What the rules look at: the settings, the environment and every source file of a project. Spec: platform 8.1."""

from __future__ import annotations

import io
import os
import stat
import sys
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from realtime_cli.rules.calculator import Load
from realtime_cli.rules.handlers import Handler, handlers_of
from realtime_cli.rules.meaning import Meaning
from realtime_cli.rules.reach import flows_from_clients, functions_in_loop
from realtime_cli.rules.scopes import FunctionNode
from realtime_cli.rules.settingsview import SettingsView
from realtime_cli.rules.source import Kind, Source
from realtime_cli.rules.webtext import WebText
from runtime.server.hooks import HOOKS
from runtime.server.settings_file import SETTINGS_FILE

if TYPE_CHECKING:
    import ast

    from realtime_cli.rules.taint import Flow

__all__ = ["MAX_FILES", "MAX_FILE_BYTES", "Project", "usable_cpus"]

MAX_FILES = 20_000  # Python files of a project that are looked at
MAX_FILE_BYTES = 2 * 1024 * 1024  # of one file
LEFT_OUT = frozenset({"node_modules", "__pycache__", "site-packages", "build", "dist", "venv", "env"})


@dataclass(eq=False)
class Project:
    """A project as it lies on the disk; nothing of it is imported.

    Attributes:
        root: its folder.
        environ: the variables that settings are read from.
        settings: what `realtime.toml`, the variables and the flags say.
        system: what it will run on, as `sys.platform` has it; the variable `REALTIME_CHECK_SYSTEM` says another one.
        cpus: how many processors that has; the variable `REALTIME_CHECK_CPUS` says another number.
        skipped: files that were not looked at, with the reason.
        unwritable: files that are looked at and never changed: they are no UTF-8.
        load: what clients and the app are said to do; None where nobody said it.
        upgraded: the files that codemods of `realtime upgrade` would change, by their ids; see `upgraded.py`.
    """

    root: Path
    environ: Mapping[str, str]
    settings: SettingsView
    system: str = sys.platform
    cpus: int = 1
    skipped: dict[str, str] = field(default_factory=dict)
    unwritable: set[str] = field(default_factory=set)
    _meanings: dict[str, str | None] = field(default_factory=dict, repr=False)
    load: Load | None = None
    upgraded: dict[tuple[str, ...], dict[str, str]] = field(default_factory=dict, repr=False)

    @classmethod
    def read(
        cls, root: Path, *, env: str = "production", environ: Mapping[str, str] | None = None
    ) -> Project:
        """Read the settings of a project; its files are read when a rule asks for them."""
        environ = dict(os.environ if environ is None else environ)
        system = environ.get("REALTIME_CHECK_SYSTEM", sys.platform)
        said = environ.get("REALTIME_CHECK_CPUS", "")
        cpus = int(said) if said.isascii() and said.isdigit() and int(said) else usable_cpus()
        return cls(root, environ, SettingsView.read(root, env=env, environ=environ), system, cpus)

    @property
    def in_production(self) -> bool:
        """Whether the settings that are looked at are those of production: any environment but dev and test."""
        return self.settings.env not in {"dev", "test"}

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Every Python file by its path, sorted."""
        found = {}
        for path in self._files():
            text = self._text(path)
            if text is not None:
                relative = path.relative_to(self.root).as_posix()
                source = Source.parse(relative, self._module(relative), self._kind(relative), text)
                source.elsewhere = self._elsewhere
                found[relative] = source
        roots = frozenset(source.module.partition(".")[0] for source in found.values())
        for source in found.values():
            source.roots = roots
        return dict(sorted(found.items()))

    @cached_property
    def by_module(self) -> dict[str, Source]:
        """Every Python file by its dotted name."""
        return {source.module: source for source in self.sources.values()}

    @property
    def live(self) -> Iterator[Source]:
        """The live modules."""
        return (source for source in self.sources.values() if source.kind == "live")

    @property
    def hooks(self) -> Source | None:
        """The file with the hooks, None without one."""
        return next((source for source in self.sources.values() if source.kind == "hooks"), None)

    @property
    def code(self) -> Iterator[Source]:
        """Everything that runs in the server: live modules, hooks and what stands beside them, but no tests."""
        return (source for source in self.sources.values() if source.kind != "test")

    @cached_property
    def handlers(self) -> list[Handler]:
        """Every function that is registered with a decorator of `live`."""
        return [handler for source in self.live for handler in handlers_of(source, self.meaning)]

    @cached_property
    def hook_functions(self) -> list[tuple[str, Source, FunctionNode]]:
        """Every hook by its name, with the function that it is, wherever that is defined."""
        hooks = self.hooks
        if hooks is None or hooks.tree is None:
            return []
        top = hooks.bound.scopes[hooks.tree]
        found = []
        for name in HOOKS:
            meant = self.meaning.function_named(hooks, name, top)
            if meant is not None and isinstance(meant[1], FunctionNode):
                found.append((name, meant[0], meant[1]))
        return found

    @cached_property
    def flows(self) -> list[Flow]:
        """Where values go in every function that clients reach: handlers, hooks and what these call."""
        return flows_from_clients(self)

    @cached_property
    def flow_by_node(self) -> dict[FunctionNode, Flow]:
        """The same by the function."""
        return {flow.node: flow for flow in self.flows}

    def flow(self, handler: Handler) -> Flow:
        """Return where the values of a handler come from."""
        return self.flow_by_node[handler.node]

    @cached_property
    def in_threads(self) -> set[FunctionNode]:
        """The handlers that run in a thread of their own."""
        return {handler.node for handler in self.handlers if handler.in_thread}

    @cached_property
    def in_loop(self) -> set[FunctionNode]:
        """The functions that run in the event loop."""
        return functions_in_loop(self, self.in_threads)

    @cached_property
    def web(self) -> dict[str, str]:
        """The text files of the web folder by path, sorted."""
        folder = self.root / self.settings.text_of("server.web")
        found = {}
        if folder.is_dir():
            for path in sorted(folder.rglob("*")):
                suffixes = {".html", ".j2", ".js", ".mjs", ".ts", ".svelte", ".vue"}
                if (
                    path.suffix in suffixes
                    and path.is_file()
                    and not LEFT_OUT & {*path.relative_to(folder).parts}
                ):
                    text = self._text(path)
                    if text is not None:
                        found[path.relative_to(self.root).as_posix()] = text
        return found

    @cached_property
    def pages(self) -> list[WebText]:
        """The same text files, ready to be searched."""
        return [WebText(path, text) for path, text in self.web.items()]

    @cached_property
    def texts(self) -> dict[str, str]:
        """The text of every file that is looked at, by path: Python, web files and the settings."""
        found = {source.path: source.text for source in self.sources.values()} | self.web
        if self.settings.text:
            found[SETTINGS_FILE] = self.settings.text
        return found

    @cached_property
    def dotenv(self) -> dict[str, str]:
        """The text of the file `.env` by its name, empty when there is none."""
        path = self.root / ".env"
        return {path.name: (self._text(path) or "") if path.is_file() else ""}

    def _files(self) -> Iterator[Path]:
        count = 0
        for folder, folders, names in os.walk(self.root):
            here = Path(folder)
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".")
                and name not in LEFT_OUT
                and not (here / name / "pyvenv.cfg").exists()
            )
            for name in sorted(names):
                if name.endswith(".py") and not name.startswith("."):
                    count += 1
                    if count > MAX_FILES:
                        self.skipped["."] = f"only the first {MAX_FILES} Python files were looked at"
                        return
                    yield here / name

    def _text(self, path: Path) -> str | None:
        name = path.relative_to(self.root).as_posix()
        try:
            known = path.stat()
            if not stat.S_ISREG(known.st_mode):  # a pipe would be waited for
                self.skipped[name] = "no file"
                return None
            if known.st_size > MAX_FILE_BYTES:
                self.skipped[name] = f"larger than {MAX_FILE_BYTES} bytes"
                return None
            raw = path.read_bytes()
        except OSError:
            self.skipped[name] = "cannot be read"
            return None
        try:
            return _decoded(raw, "utf-8-sig")
        except UnicodeDecodeError:
            if path.suffix != ".py":
                self.skipped[name] = "no UTF-8 text"
                return None
            # Python reads it, or a part of it: what stands there runs, so the rules look at it.
            self.unwritable.add(name)
            return _decoded(raw, _encoding_of(raw), errors="replace")

    def _module(self, path: str) -> str:
        folder = self.settings.text_of("server.live")
        if path.startswith(folder + "/"):  # whatever the folder is called, the code imports `live.name`
            path = "live" + path[len(folder) :]
        parts = path.removesuffix(".py").split("/")
        return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)

    def _kind(self, path: str) -> Kind:
        parts = path.split("/")
        hooks = self.settings.text_of("server.hooks")
        if path in {hooks, hooks.replace(".", "/") + ".py", hooks.replace(".", "/") + "/__init__.py"}:
            return "hooks"
        folder = self.settings.text_of("server.live").split("/")
        if parts[: len(folder)] == folder:
            inner = parts[len(folder) :]
            return "code" if any(part.startswith(("_", ".")) for part in inner) else "live"
        if parts[0] in {"tests", "test"} or parts[-1].startswith("test_") or parts[-1] == "conftest.py":
            return "test"
        return "code"

    def _elsewhere(self, dotted: str) -> str | None:
        """Return what a dotted name of a file of the project means, None when it is no name of one."""
        if dotted not in self._meanings:
            self._meanings[dotted] = (
                None  # while it is looked for: two files may import a name from each other
            )
            self._meanings[dotted] = self._look_elsewhere(dotted)
        return self._meanings[dotted]

    def _look_elsewhere(self, dotted: str) -> str | None:
        parts = dotted.split(".")
        for end in range(len(parts) - 1, 0, -1):
            source = self.by_module.get(".".join(parts[:end]))
            if source is None:
                continue
            if source.tree is None or ".".join(parts[: end + 1]) in self.by_module:
                return None
            name, rest = parts[end], parts[end + 1 :]
            called = name.endswith("()")
            scope = source.bound.scopes[source.tree]
            if name.removesuffix("()") not in scope.names and not scope.stars:
                return None
            meaning = source.look_up(name.removesuffix("()"), scope)
            if meaning is None or meaning.startswith("builtins."):
                return None
            return ".".join([meaning + "()" * called, *rest])
        return None

    @cached_property
    def meaning(self) -> Meaning:
        """What names and expressions mean across files."""
        return Meaning(self.by_module)

    def definition(self, dotted: str) -> tuple[Source, ast.AST] | None:
        """Return the function or class of the project that a name means, with its file."""
        return self.meaning.definition(dotted)

    def function_of(
        self, source: Source, expression: ast.expr
    ) -> tuple[Source, FunctionNode | ast.Lambda] | None:
        """Return the function of the project that an expression of a file means."""
        return self.meaning.function_of(source, expression)

    def value(self, source: Source, expression: ast.expr) -> tuple[Source, ast.expr]:
        """Return what an expression stands for: behind names, the expression that they were assigned."""
        return self.meaning.value(source, expression)


def _decoded(raw: bytes, encoding: str, errors: str = "strict") -> str:
    return io.TextIOWrapper(io.BytesIO(raw), encoding, errors).read()  # line ends become those of Python


def _encoding_of(raw: bytes) -> str:
    """Return the encoding that a Python file says it has, UTF-8 where it says none or one that does not exist."""
    try:
        name = tokenize.detect_encoding(io.BytesIO(raw).readline)[0]
        "".encode(name)  # `rot13` is one, and gives no bytes
    except (SyntaxError, LookupError):
        return "utf-8"
    return name


def usable_cpus() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
