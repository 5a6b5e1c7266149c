"""A TypeScript project that uses what `realtime types` wrote, under a strict compiler."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.apps import EVERYTHING, write_project
from tests.cli.commands import realtime
from tools.system_tools import TYPESCRIPT, advice

CONFIG = {
    "compilerOptions": {
        "strict": True,
        "exactOptionalPropertyTypes": True,
        "noUncheckedIndexedAccess": True,
        "noEmit": True,
        "target": "es2022",
        "module": "es2022",
        "moduleResolution": "node",
        "lib": ["es2022", "dom", "dom.iterable"],
        "types": [],
        "paths": {"$live/*": ["./types/live/*"]},
        "baseUrl": ".",
    },
    "include": ["app.ts", "types/live/**/*.d.ts"],
}
APP = """
import { RpcError, batch, status } from "$live/client.js";
import { add, attach, card, cards, desk, remove, thumbnail, typing } from "$live/board.js";
import type { Card, ErrorCode, Stored } from "$live/board.js";
import { Traffic, of_shop, summary } from "$live/follow.js";
// @ts-expect-error what the clock runs is not for clients
import { nightly } from "$live/follow.js";
// @ts-expect-error nor is what other services post
import { payments } from "$live/follow.js";
// @ts-expect-error nor is what happens after a publish
import { mail } from "$live/follow.js";
import { total } from "$live/reports-2026.js";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(equal: Same<A, B>): void {}

export async function use(photo: File): Promise<void> {
  const made = await add("milk", "urgent", "cold");
  same<typeof made, Card>(true);
  const number: number = await total();
  const stored: Stored = await thumbnail(new ArrayBuffer(3), 80);
  const handle = attach(photo, 3);
  handle.on("progress", (progress) => progress.bytesPerSec);
  const url: string = (await handle).url;
  await batch(() => [add("milk"), remove(number)]);
  await remove.with({ timeout: 100 })(1);
  cards.subscribe((now) => now?.map((one) => one.title));
  const one: Card | null | undefined = card(3).get();
  same<ReturnType<typeof typing.get>, unknown[] | undefined>(true);
  desk.presence("mine").subscribe((people) => people?.[0]?.data.url);
  const renamed: Card = await desk.rename("mine", "new");
  status.subscribe((now) => now === "open");
  const counts: number[] = [summary, of_shop("mine")].map((store) => store.get()?.cards ?? 0);
  const seen: number = Traffic.last5.get()?.count ?? Traffic.total.get()?.count ?? counts.length;
  console.log(made, stored, url, one, renamed, seen);
  // @ts-expect-error a number is no title
  await add(3);
  // @ts-expect-error the title is missing
  await add();
  // @ts-expect-error a card has no such key
  made.titel;
  // @ts-expect-error the stream has arguments
  card.subscribe(() => {});
  // @ts-expect-error the stream has none
  cards("mine");
  // @ts-expect-error no bytes
  await thumbnail("text");
  // @ts-expect-error the number is missing
  attach(photo);
  // @ts-expect-error the room has no such action
  desk.burn("mine");
}

export function explain(error: unknown): string {
  if (!(error instanceof RpcError)) return "unknown";
  const code = error.code as ErrorCode | "RATE_LIMITED";
  switch (code) {
    case "BOARD_FULL":
      return "full";
    case "GONE":
      return "gone";
    case "RATE_LIMITED":
      return `wait ${error.retryAfter}`;
    // @ts-expect-error the app raises no such code
    case "NO_SUCH_CODE":
      return "";
  }
}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_project(tmp_path_factory.mktemp("tsc") / "app", EVERYTHING)
    assert realtime("types", "-q", cwd=root).code == 0
    (root / "tsconfig.json").write_text(json.dumps(CONFIG))
    return root


def errors(project: Path, source: str) -> list[str]:
    """Compile the project with this `app.ts`; return the errors, one per line."""
    compiler = TYPESCRIPT.find()
    assert compiler is not None, advice([TYPESCRIPT])
    (project / "app.ts").write_text(source.lstrip("\n"))
    done = subprocess.run(
        [compiler, "--project", "."], cwd=project, capture_output=True, text=True, timeout=120, check=False
    )
    return (done.stdout + done.stderr).splitlines()


@pytest.mark.spec("PLAT-174")
def test_a_project_that_uses_the_types_compiles_and_its_marked_mistakes_do_not(project: Path) -> None:
    assert errors(project, APP) == []
    marked = len(re.findall(r"// @ts-expect-error .", APP))
    found = [
        line for line in errors(project, APP.replace("@ts-expect-error", "")) if line.startswith("app.ts")
    ]
    assert len({line.partition(",")[0] for line in found}) == marked
