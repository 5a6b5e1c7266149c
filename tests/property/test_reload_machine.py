"""Hot reload under any order of edits: what answers is the newest version of each file that loaded.

Files are written, broken, repaired, deleted and made to import each other; each reload is told what changed. The
model knows only what stands on disk.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from runtime.live.loader import LiveLoader

#: A module imports only from those before it, so that there are no circles; the first is no live module itself.
NAMES = ["_store", "a", "b", "sub.c"]
Flaw = Literal["", "syntax", "raises"]


@dataclass
class File:
    """What stands in one file."""

    version: int
    imports: tuple[str, ...]
    flaw: Flaw = ""
    plainly: bool = False

    def source(self, name: str) -> str:
        lines = ["from runtime import live as rt"]
        for other in self.imports:
            leaf = other.replace(".", "_")
            if self.plainly:
                lines += [f"import live.{other}", f"{leaf} = live.{other}.ANSWER"]
            else:
                lines.append(f"from live.{other} import ANSWER as {leaf}")
        lines.append(f"ANSWER = [{self.version}, [{', '.join(n.replace('.', '_') for n in self.imports)}]]")
        if self.flaw == "syntax":
            lines.append("def broken(:")
        elif self.flaw == "raises":
            lines.append("raise RuntimeError('broken')")
        if not name.startswith("_"):
            lines += ["@rt", "def get(ctx): return ANSWER"]
        return "\n".join(lines) + "\n"


class Reloading(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.project = Path(tempfile.mkdtemp())
        self.live = self.project / "live"
        (self.live / "sub").mkdir(parents=True)
        self.files: dict[str, File] = {}
        self.changed: set[str] = set()
        self.answers: dict[str, Any] = {}
        self.was_good: set[str] = set()
        self.version = 0
        self.loader = LiveLoader(self.project, self.live)
        self.loader.package.install()
        self.registry = self.loader.load().registry

    def teardown(self) -> None:
        self.reload()
        self.loader.close()
        shutil.rmtree(self.project)

    # -------------------------------------------------------------- disk

    def path(self, name: str) -> Path:
        return self.live / (name.replace(".", "/") + ".py")

    @rule(
        name=st.sampled_from(NAMES),
        imports=st.sets(st.sampled_from(NAMES[:-1])),
        flaw=st.sampled_from(["", "", "", "syntax", "raises"]),
        plainly=st.booleans(),
    )
    def write(self, name: str, imports: set[str], flaw: Flaw, plainly: bool) -> None:
        before = [other for other in NAMES[: NAMES.index(name)] if other in imports]
        self.version += 1
        self.files[name] = File(self.version, tuple(before), flaw, plainly)
        self.save(name)

    @rule(name=st.sampled_from(NAMES))
    def repair(self, name: str) -> None:
        if name in self.files:
            self.version += 1
            known = self.files[name]
            self.files[name] = File(self.version, known.imports, "", known.plainly)
            self.save(name)

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name: str) -> None:
        if self.files.pop(name, None) is not None:
            self.path(name).unlink()
            self.changed.add(name)

    def save(self, name: str) -> None:
        path = self.path(name)
        path.write_text(self.files[name].source(name), encoding="utf-8")
        # Two edits in one tick of the file system's clock would look alike; people are slower.
        os.utime(path, ns=(self.version * 10**9, self.version * 10**9))
        self.changed.add(name)

    # -------------------------------------------------------------- model

    def is_good(self, name: str) -> bool:
        file = self.files.get(name)
        return file is not None and not file.flaw and all(self.is_good(other) for other in file.imports)

    def answer(self, name: str) -> Any:
        return [self.files[name].version, [self.answer(other) for other in self.files[name].imports]]

    def depends_on(self, name: str) -> set[str]:
        found = {name}
        for other in self.files[name].imports if name in self.files else ():
            found |= self.depends_on(other)
        return found

    # -------------------------------------------------------------- reload

    @rule()
    def reload(self) -> None:
        before, modules = self.registry, dict(self.registry.modules)
        changed, self.changed = self.changed, set()
        result = self.loader.reload([self.path(name) for name in sorted(changed)])
        self.registry = result.registry
        for name in NAMES[1:]:
            if name not in self.files:
                self.answers.pop(name, None)
            elif self.is_good(name):
                self.answers[name] = self.answer(name)
            assert self.ask(name) == self.answers.get(name), name
        self.check_problems()
        for name in NAMES[1:]:
            undisturbed = (
                self.is_good(name)
                and name in self.was_good
                and not self.depends_on(name) & changed
                and self.depends_on(name) <= self.was_good
            )
            if undisturbed:
                path = name.replace(".", "/")
                assert self.registry.modules[path] is modules[path]
                assert self.registry.endpoints[f"{path}/get"] is before.endpoints[f"{path}/get"]
        self.was_good = {name for name in self.files if self.is_good(name)}

    def check_problems(self) -> None:
        """There are problems exactly while a live module is not good, and the files at fault are among them."""
        bad = {name for name in self.files if not name.startswith("_") and not self.is_good(name)}
        assert bool(self.registry.problems) == bool(bad)
        named = {problem.file for problem in self.registry.problems}
        for name in bad:
            file = self.files[name]
            if file.flaw == "syntax" or (file.flaw and all(self.is_good(other) for other in file.imports)):
                assert f"live/{name.replace('.', '/')}.py" in named

    def ask(self, name: str) -> Any:
        endpoint = self.registry.find(name.replace(".", "/") + "/get")
        return None if endpoint is None else endpoint.fn(None)


Reloading.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
pytestmark = pytest.mark.spec("LIVE-172")
TestReloading = Reloading.TestCase
