"""No rule fails on any code, and the same project gives the same report."""

from __future__ import annotations

import ast
import random
import sysconfig
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_cli.rules.engine import Report, run_rules
from realtime_cli.rules.examples import FOLDER
from realtime_cli.rules.project import Project
from realtime_cli.rules.report_machine import as_json
from tests.cli.check.projects import LIVE, report_of

ROOT = Path(__file__).parents[3]
LARGE = 120_000  # bytes


def checked(root: Path, files: dict[str, str]) -> Report:
    report = report_of(root, files)
    assert report.failed == {}
    return report


def modules(folder: Path, many: int) -> dict[str, str]:
    """Return Python files below a folder as if they were live modules, the same ones each time."""
    paths = sorted(path for path in folder.rglob("*.py") if path.stat().st_size < LARGE)
    chosen = random.Random(8).sample(paths, min(many, len(paths)))
    found = {}
    for number, path in enumerate(sorted(chosen)):
        try:
            found[f"live/m{number}_{path.stem}.py"] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


@pytest.mark.parametrize(
    "folder",
    [
        Path(sysconfig.get_paths()["purelib"]),
        Path(sysconfig.get_paths()["stdlib"]) / "test",
        Path(sysconfig.get_paths()["stdlib"]) / "asyncio",
        ROOT / "runtime",
        ROOT / "tests",
        ROOT / "realtime_cli",
    ],
    ids=lambda folder: folder.name,
)
def test_no_rule_fails_on_code_that_exists(folder: Path, tmp_path: Path) -> None:
    files = modules(folder, 60)
    checked(tmp_path, {**files, "hooks.py": next(iter(files.values()), "")})


WEIRD = """
import a.b as c, d.e
from . import x
from .. import y
from ...... import z
from .m import *
from runtime import *
from nowhere.at.all import *

@(lambda f: f)
@live
@[live][0]
@live.stream(*("a",), **{})
@(yield_ := live)
@live if live else None
@x[0](1)(2).y
async def one(ctx, /, a, *args, b=lambda ctx: ctx, **kw) -> (yield_): ...

@live.upload()
def two(*, ctx=1): ...

@live
def three(): ...

@live()
async def four(ctx: "Ctx[", a: "(", b: 1, c: [int], d: None = None, *e: "x y", **f: ...): ...

@live.lock(lambda: 1)
@live.lock(key=lambda *a: a)
@live.idempotent(*[], **{})
@live.idempotent(key_from=lambda **k: k)
@live.rate_limit
@live
async def five(ctx, a):
    match a:
        case {"x": [1, *rest], **more} if (n := len(more)) > 1:
            ctx.publish(f"{a!r:>{n}}{rest=}", *rest, **more)
        case Point(x=0, y=[_, *q]) | [*q] as whole:
            return whole
        case "a" | None | -1 | 1j | x.y:
            pass
        case _:
            raise
    async with a as (b, [c, *d]), a as ctx.x, a as a[0]:
        async for b.c, *d[0] in [e async for e in f if await g]:
            del b, (c, [d]), e.f, g[:, ..., 1:2]
            continue
        else:
            nonlocal_ = yield
    ctx.publish()
    ctx.publish(*a)
    ctx.publish(**a)
    ctx.publish(topic=a, *b)
    ctx.platform.subscribe(*a)
    ctx.ws.subscribe(*a)
    ctx.ws.subscribe(**a)
    cookies.set()
    cookies.set(*a, **b)
    live.push()
    live.push(*a)
    open()
    open(*a)
    Path()
    Path() / a / b / c
    pickle.loads()
    eval(*a)
    db.execute()
    db.execute(**a)
    (lambda: (yield))()
    print(*a, sep=f"{f'{x}'}{'a' 'b'}" "c" f'{a["b"]}')
    assert (a, "b")
    return {**a, None: 1, 1: 2, "password": a, **{"token": b}}

class K(*bases, metaclass=M, **kw):
    global g
    g: int
    (h): int = 1
    self.x: int
    a = b = *c, d = e
    live = live
    def __init__(): ...
    @property
    @live.action
    def p(self): return self.q.r().s[t]
    q = p
    async def _guard(self): return self

_guard = lambda: 1
_guard = guard(*a, **b)
_guard = guard(lambda *a, **k: not a)
loop = loop
one_, two_ = two_, one_
a = b; b = a
alias = alias2
alias2 = alias
live(live)
live(live(live(one)))
live.stream("x")(lambda ctx: 1)
live.public(*a)
(live)(one)
getattr(live, "x")(one)
getattr()
getattr(live)
UpgradeResponse(*a, **b)
Group(*a, **b)
Queue(**{}, max_size=None)
Replay(**a, authorize=not True)
define_topics(*a, **b)
define_topics({**a, "x": lambda: f""}, y=z, z=y)
try:
    ...
except* (A, B) as e:
    e = e
finally:
    del e
if __name__ == "__main__": asyncio.run(one(None))
"""


@pytest.mark.parametrize("path", ["live/weird.py", "hooks.py", "app/weird.py", "live/_weird.py"])
def test_no_rule_fails_on_weird_code(path: str, tmp_path: Path) -> None:
    ast.parse(WEIRD)
    checked(tmp_path, {path: LIVE + WEIRD})


DEEP = {
    "a sum": "x = ctx_publish(" + " + ".join(["a"] * 900) + ")",
    "a sum as a topic": "@live\nasync def f(ctx, a):\n    ctx.publish(" + " + ".join(["a"] * 900) + ", 'x')",
    "a path": "@live\nasync def f(ctx, a):\n    return " + " / ".join(["a_dir"] + ["a"] * 900),
    "unions": "async def upgrade(cookies):\n    return " + " | ".join(["a"] * 900),
    "attributes": "x = a" + ".b" * 900 + "\n" + "x.y()\n",
    "calls": "x = a" + ".b()" * 400 + "\n",
    "brackets": "x = " + "(" * 80 + "a" + ")" * 80,
    "lists": "x = " + "[" * 80 + "a" + "]" * 80,
    "text in text": '@live\nasync def f(ctx, a):\n    ctx.publish(f"{'
    + " + ".join(["a"] * 900)
    + "}\", 'x')",
    "functions": "\n".join("  " * n + f"def f{n}():" for n in range(40)) + "\n" + "  " * 40 + "pass",
    "else if": "if a:\n    pass\n" + "elif a:\n    pass\n" * 400,
    "names": "\n".join(f"a{n} = a{n + 1}" for n in range(500)) + "\na500 = a0\na0.b()\n",
    "functions that call": "\n".join(f"def f{n}(x):\n    return f{n + 1}(x)" for n in range(300)),
    "a union": "@live\nasync def f(ctx, a: " + " | ".join(["int"] * 400) + "): ...",
    "and": "def _guard(ctx):\n    return " + " and ".join(["a"] * 900),
    "not": "def _guard(ctx):\n    return " + "not " * 60 + "a",
    "comparisons": "x = " + " == ".join(["token"] * 500),
}


@pytest.mark.parametrize("case", DEEP)
def test_no_rule_fails_on_deep_code(case: str, tmp_path: Path) -> None:
    text = DEEP[case]
    checked(
        tmp_path, {"live/deep.py": LIVE + text + "\n", "hooks.py": text + "\n", "app/deep.py": text + "\n"}
    )


@pytest.mark.parametrize(
    "text",
    [
        "x = '\\0'\n\0",
        "def f(:\n",
        "\ufeffx = 1\n",
        "type X = int\ndef f[T](x: T) -> T: ...\n",
        "x = 1\r\ny = 2\rz = 3\n",
        "\x0c\nx = 1\x0c\n",
        "# -*- coding: latin-1 -*-\nx = 'ä'\n",
        "",
        "#",
        "\\\n",
        "x = '''",
        "if True:\n\tx = 1\n        y = 2\n",
    ],
)
def test_no_rule_fails_on_what_is_no_good_python(text: str, tmp_path: Path) -> None:
    checked(tmp_path, {"live/odd.py": text, "hooks.py": text, "app/odd.py": text})


def test_files_that_import_each_other_end(tmp_path: Path) -> None:
    files = {
        f"app/m{n}.py": "".join(f"from app.m{k} import *\n" for k in range(12) if k != n) for n in range(12)
    }
    files |= {
        "app/a.py": "from app.b import x\n\nx()\n",
        "app/b.py": "from app.a import x\n\nx()\n",
        "app/own.py": "from app.own import y\n\ny()\n",
        "live/todos.py": LIVE + "from app.m0 import *\nfrom app.a import x\n\nlost()\nx()\n",
    }
    checked(tmp_path, files)


def test_files_that_are_no_text_are_left_out(tmp_path: Path) -> None:
    report_of(tmp_path, {})
    (tmp_path / "live" / "bytes.py").write_bytes(b"x = '\xff\xfe'\n")
    (tmp_path / "live" / "folder.py").mkdir()
    (tmp_path / "live" / "gone.py").symlink_to(tmp_path / "nowhere.py")
    report = run_rules(Project.read(tmp_path, environ={}))
    assert report.failed == {}
    assert report.skipped == {"live/gone.py": "cannot be read"}


SNIPPETS = [
    line for path in sorted(FOLDER.rglob("*.py")) for line in path.read_text(encoding="utf-8").splitlines()
]
SNIPPETS += WEIRD.splitlines()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=st.lists(st.sampled_from(sorted(set(SNIPPETS))), min_size=3, max_size=25))
def test_no_rule_fails_on_lines_put_together(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    good: list[str] = []
    for line in lines:
        block = [*good, line, "    pass"] if line.rstrip().endswith(":") else [*good, line]
        try:
            compile("\n".join(block), "x", "exec")
        except (SyntaxError, ValueError):
            continue
        good = block
    text = "\n".join(good) + "\n"
    checked(
        tmp_path_factory.mktemp("lines"),
        {"live/lines.py": LIVE + text, "hooks.py": text, "app/lines.py": text},
    )


@pytest.mark.spec("PLAT-154")
def test_the_same_project_gives_the_same_bytes(tmp_path: Path) -> None:
    paths = sorted(FOLDER.rglob("*_bad/live/*.py"))
    files = {f"live/{path.parent.parent.name.lower()}.py": path.read_text(encoding="utf-8") for path in paths}
    names = list(files)
    reports = set()
    for number in range(3):
        random.Random(number).shuffle(names)  # another order on the disk
        root = tmp_path / str(number)
        reports.add(as_json(report_of(root, {name: files[name] for name in names})))
    assert len(reports) == 1
    assert len(next(iter(reports))) > 5000
