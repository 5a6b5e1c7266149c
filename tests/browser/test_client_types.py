"""The declarations of the browser client, `realtime.d.ts`, under a strict TypeScript compiler."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.system_tools import TYPESCRIPT, advice

APP = Path(__file__).parent / "types" / "app.ts"
CLIENT = Path(__file__).parents[2] / "runtime" / "client" / "browser"
TIMEOUT = 120
STRICT = (
    "--strict",
    "--exactOptionalPropertyTypes",
    "--noImplicitReturns",
    "--noUncheckedIndexedAccess",
    "--noEmit",
    *("--target", "es2022", "--module", "es2022", "--moduleResolution", "node"),
    *("--lib", "es2022,dom,dom.iterable"),
)

# A name that only one side has becomes a required key that is missing, and so an error that names it.
NAMES = """
import type * as declared from "./realtime";
type Made = %s;
type Declared = keyof typeof declared;
export const undeclared: Record<Exclude<Made, Declared>, never> = {};
export const unmade: Record<Exclude<Declared, Made>, never> = {};
"""


@pytest.fixture(scope="session")
def compiler() -> str:
    """Path of the TypeScript compiler, which these tests need."""
    found = TYPESCRIPT.find()
    if found is None:
        pytest.fail(advice([TYPESCRIPT]))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the declarations alone, as an editor sees them."""
    shutil.copy(CLIENT / "realtime.d.ts", tmp_path)
    return tmp_path


def check(compiler: str, folder: Path, *files: str) -> list[str]:
    """Compile; return the errors, one per line."""
    command = [compiler, *STRICT, *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    return (done.stdout + done.stderr).splitlines()


def test_an_app_compiles_and_its_marked_mistakes_do_not(compiler: str, folder: Path) -> None:
    source = APP.read_text(encoding="utf-8")
    (folder / "app.ts").write_text(source, encoding="utf-8")
    assert check(compiler, folder, "app.ts") == []
    # Without the marks every mistake is an error of its own, so the compiler did look at them.
    marks = len(re.findall(r"// @ts-expect-error .", source))
    (folder / "app.ts").write_text(source.replace("@ts-expect-error", ""), encoding="utf-8")
    errors = [line for line in check(compiler, folder, "app.ts") if line.startswith("app.ts(")]
    assert len({line.partition(":")[0].partition(",")[0] for line in errors}) == marks > 0


def test_every_name_of_the_module_is_declared_and_no_other(compiler: str, folder: Path) -> None:
    script = "console.log(JSON.stringify(Object.keys(await import(process.argv[1]))))"
    command = ["node", "--input-type=module", "-e", script, (CLIENT / "realtime.js").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=True)
    names = json.loads(done.stdout)
    (folder / "names.ts").write_text(NAMES % " | ".join(map(json.dumps, names)), encoding="utf-8")
    assert check(compiler, folder, "names.ts") == []
    one_off = [*names[1:], "extra"]
    (folder / "names.ts").write_text(NAMES % " | ".join(map(json.dumps, one_off)), encoding="utf-8")
    errors = "\n".join(check(compiler, folder, "names.ts"))
    assert "extra" in errors
    assert names[0] in errors


def test_the_modules_of_the_devtools_say_their_types(compiler: str) -> None:
    flags = [
        flag for flag in STRICT if flag not in ("--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess")
    ]
    files = sorted(path.name for path in (CLIENT / "devtools").glob("*.js"))
    assert "page.js" in files
    command = [compiler, *flags, "--allowJs", "--checkJs", *files]
    done = subprocess.run(
        command, cwd=CLIENT / "devtools", capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.stdout.splitlines() == []
