"""Scripts that nobody wrote: generated from 0.4 constructs and look-alikes, and real ones with bytes changed."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_cli.codemods.catalog import run_order
from realtime_cli.codemods.chain import FileOutcome
from realtime_cli.codemods.encoded import Encoded
from realtime_cli.codemods.project import Project, Tree
from realtime_cli.codemods.scriptfile import ScriptFile
from realtime_cli.codemods.scripts import upgrade_script
from tests.upgrade.projects import write
from tests.upgrade.scriptprojects import EXTENSIONS, PACKAGE

_CODEMODS = [one for one in run_order() if one.id.startswith("UPJ")]
_IDS = [one.id for one in _CODEMODS]
_IMPORTS = """import { live, onCronError, setCronPlatform, pipe } from 'svelte-realtime/server'
import { status, configure } from 'svelte-realtime/client'
import { createReplay } from 'svelte-adapter-uws-extensions/postgres'
import { RELEASE_SCRIPT, createDistributedLock } from 'svelte-adapter-uws-extensions/redis/lock'
import { bus, presence, cursor } from '$lib/redis'
import { get } from 'svelte/store'
"""
_STATEMENTS = [
    "onCronError((path, error) => { report(path, error) })",
    "const onError = 1",
    "const a{n} = live(async (ctx) => {{ ctx.throttle('a', 'b', {n}, 50) }})",
    "const b{n} = live(async (ctx, id) => {{\n\tctx.throttle(`b:${{id}}`, 50)\n\treturn id\n}})",
    "const c{n} = (ctx) => ctx.throttle('a', 'b', 1, 50)",
    "configure({{ upload: {{ chunkSize: {n} }} }})",
    "if (get(status) === 'closed') f({n}); else g()",
    "status.subscribe((now) => {{ if (now !== \"closed\" && now == 'open') f({n}) }})",
    "const d{n} = createReplay(pool, {{\n\tsize: {n}, // rows\n}})",
    "const e{n} = live.room({{ topic: (ctx, a) => `e:${{a}}`, actions: {{ f }}, onLeave: (ctx) => {n} }})",
    "const f{n} = live(async ({{ platform, ws }}) => !platform.checkSubscribe(ws, 'f').ok)",
    "export const {{ subscribe{n}, close }} = presence.hooks",
    "const text{n} = `ctx.throttle(${{get(status) === 'closed' ? 1 : 2}}) onCronError`",
    "function g{n}(status) {{ return get(status) === 'closed' }}",
    "/* onCronError */ const h{n} = /onCronError[/]'/.test('x') // status === 'closed'",
    "export function open(ws, {{ platform }}) {{\n\t// all\n\tsetCronPlatform(platform)\n\tbus.activate(platform)\n}}",
    "const k{n} = pipe(a, pipe.filter({{ transformEvent: f, n: {n} }}))",
    "cursor.hooks.subscribe(ws, 't{n}', ctx)",
]
_COMMENTS = ["", "// a note", "/* several\n   lines */", "\t// far in", "// realtime-upgrade: skip=UPJ06"]
_PATHS = ("src/hooks.ws.js", "src/hooks.ws.ts", "src/live/a.js", "src/A.svelte")
_BOUNDED = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def _run(path: str, raw: bytes, ids: frozenset[str] | None = None) -> FileOutcome:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, {"package.json": PACKAGE, "src/lib/redis.js": EXTENSIONS, path: raw})
        project = Project(Tree(root, sorted({"package.json", "src/lib/redis.js", path})))
        return upgrade_script(project, path, [one for one in _CODEMODS if ids is None or one.id in ids])


def _has_error(path: str, raw: bytes) -> bool:
    file = ScriptFile(Project(Tree(Path(), [])), path, Encoded.utf8(raw))
    return any(tree.root_node.has_error for tree in file.trees)


@st.composite
def _programs(draw: st.DrawFn) -> tuple[str, bytes]:
    picked = draw(
        st.lists(st.tuples(st.sampled_from(_STATEMENTS), st.sampled_from(_COMMENTS)), min_size=1, max_size=6)
    )
    end = draw(st.sampled_from(["", ";"]))
    lines = [_IMPORTS, "\n" * 4]  # what stands in the first ten lines may concern the whole file
    for number, (statement, comment) in enumerate(picked):
        text = statement.replace("{n}", str(number)).replace("{{", "{").replace("}}", "}")
        if text.startswith(("export function open", "const onError")) and any(text in line for line in lines):
            continue
        lines += [comment, text + end, ""]
    path = draw(st.sampled_from(_PATHS))
    whole = "\n".join(lines)
    if draw(st.booleans()):
        whole = whole.replace("\t", "  ")
    if path.endswith(".svelte"):
        markup = draw(
            st.sampled_from(
                ["{$status === 'closed'}", "{#if $status !== 'open'}\n\tx\n{/if}", "<b on={$bus.error}/>"]
            )
        )
        whole = f"<script>\n{whole}</script>\n\n{markup}\n"
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    return path, whole.replace("\n", newline).encode()


@pytest.mark.spec("UPGC-30", "UPGC-10")
@_BOUNDED
@given(_programs(), st.sampled_from([None, *([one] for one in _IDS), ["UPJ08", "UPJ09"], ["UPJ03", "UPJ04"]]))
def test_a_second_run_edits_nothing_and_the_result_parses(
    program: tuple[str, bytes], ids: list[str] | None
) -> None:
    path, raw = program
    chosen = frozenset(ids) if ids else None
    once = _run(path, raw, chosen)
    assert not once.unproved, once.findings
    new = once.new if once.new is not None else raw
    assert not _has_error(path, new)
    twice = _run(path, new, chosen)
    assert twice.new is None, (new, twice.new)
    notes = re.compile(rb"// a note|// far in|/\* several\r?\n\s*lines \*/|// rows|// all")
    assert len(notes.findall(new)) == len(notes.findall(raw))


@pytest.mark.spec("UPGC-30")
@settings(parent=_BOUNDED, max_examples=15)
@given(_programs())
def test_one_after_the_other_is_as_all_at_once(program: tuple[str, bytes]) -> None:
    path, raw = program
    together = _run(path, raw).new or raw
    for name in _IDS:
        raw = _run(path, raw, frozenset({name})).new or raw
    assert raw == together


_REAL = sorted(
    path
    for path in (Path(__file__).parent / "webapp" / "before").rglob("*")
    if path.suffix in (".ts", ".js", ".svelte")
)


@pytest.mark.spec("UPGC-29")
@settings(parent=_BOUNDED, max_examples=40)
@given(st.data())
def test_changed_bytes_never_lead_to_an_unproved_edit(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(_REAL))
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        if data.draw(st.booleans()):
            del raw[at : at + data.draw(st.integers(1, 12))]
        else:
            raw[at:at] = data.draw(
                st.sampled_from(
                    [b"{", b"}", b"(", b"'", b"`", b"</script>", b"{#if ", b"\xff", b"\n", b"=> ", b"${"]
                )
            )
    name = "src/hooks.ws.ts" if path.name == "hooks.ws.ts" else f"src/{path.name}"
    once = _run(name, bytes(raw))
    assert not once.unproved, once.findings
    if once.new is not None:
        twice = _run(name, once.new)
        assert not twice.unproved, twice.findings


@pytest.mark.spec("UPGC-29")
@settings(parent=_BOUNDED, max_examples=40)
@given(
    st.binary(max_size=200), st.sampled_from(["a.js", "a.ts", "a.tsx", "A.svelte", "a.html", "package.json"])
)
def test_any_bytes_are_left_alone(raw: bytes, path: str) -> None:
    if path != "package.json":
        once = _run(path, raw)
        assert (once.new, once.unproved) == (None, False)
