"""Generated programs of 0.4 with look-alikes, comments and odd spacing: what the codemods must never do."""

from __future__ import annotations

import ast
import io
import tokenize

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.upgrade.projects import upgrade

SERVICES = """\
from runtime.cluster import Cursor, IdempotencyStore, JobQueue, PgReplay, Presence, PubSubBus, TaskRunner
from runtime.plugins import Lock, Queue
bus = PubSubBus(redis)
presence = Presence(redis)
cursor = Cursor(redis)
jobs = JobQueue(
    pg,
    name='a',  # the name
)
replay = PgReplay(pg)
locks = Lock()
idem = IdempotencyStore(redis)
queue = Queue()
subscribe_cursor = cursor.hooks.subscribe
"""
HOOKS = """\
from services import bus, presence
subscribe_presence, close_presence = presence.hooks.subscribe, presence.hooks.close


def subscribe(sock, topic, c):
    return c.platform.check_subscribe(sock, topic)


async def open(sock, c):
    await bus.activate(c.platform)
    await hello(sock)  # greet
"""
HEAD = (
    "import asyncio\nimport json\nfrom runtime import live, pipe\n"
    "from services import cursor, idem, locks, presence, replay\n\n"
)
LINES = (
    "denied = ctx.platform.subscribe(ctx.ws, topic)",
    "x = ctx.platform.subscribe( ctx.ws,topic ).upper ()",
    "ctx.ws.subscribe(f'{topic}:more')",
    "await presence.join(ctx.ws, f'b:{topic}', ctx.platform)",
    "await presence.leave(ctx.ws, ctx.platform, topic)",
    "slot = await idem.acquire(key=topic)",
    "locks.clear()",
    "await locks.with_lock(topic, f)",
    "x = pipe.filter(f, transform_event = str)",
    "ctx.publish('__audit', 'x', 1)",
    "y = await either(ctx) or either(ctx)",
    "z = ctx.ws.user_data['__subscriptions']",
    "task = asyncio.create_task(ctx.platform.subscribe(ctx.ws, topic))",
    "other.platform.subscribe(ctx.ws, topic)",
    "strings = ', '.join(topic)",
    "cache.clear() ; queue.acquire(key=1)",
    "value = {'a' : 1,}  ;  use( value )",
    "f = lambda p: p.subscribe(1)",
    "pass",
)
BLOCKS = (
    "try:\n    await replay.publish(None, 'a', 'b', {})\nexcept (OSError,\n        KeyError):\n    pass",
    'try:\n    await live.push(topic, "a", {})\nexcept Exception as err:\n    if "timed out" in str(err): raise',
    "if topic :\n    ctx.platform.check_subscribe(ctx.ws, topic)\nelse:\n    ctx.publish('a', 'b')",
    "for t in topic:\n    await ctx.platform.subscribe(ctx.ws, t)",
)
COMMENTS = ("", "  # why", "  # noqa: E501", "  # type: ignore", "\t# å é")
DECORATORS = ("@live\n", "@live\n# between\n@other\n", "@live.stream('a', access=member)\n", "@other\n", "")


def indented(text: str) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in text.split("\n"))


@st.composite
def functions(draw: st.DrawFn) -> str:
    lines = draw(st.lists(st.sampled_from([*LINES, *BLOCKS]), min_size=1, max_size=5))
    body = []
    for line in lines:
        comment = draw(st.sampled_from(COMMENTS)) if "\n" not in line else ""
        above = draw(st.sampled_from(("", "# own line\n", "\n", "\n\n# far\n\n")))
        body.append(above + line + comment)
    prefix = draw(st.sampled_from(("async ", "async ", "async ", "")))
    text = "\n".join(body)
    if not prefix:
        text = text.replace("await ", "")
    name = draw(st.sampled_from(("f", "g", "move")))
    return f"{draw(st.sampled_from(DECORATORS))}{prefix}def {name}(ctx, topic):\n{indented(text)}"


@st.composite
def modules(draw: st.DrawFn) -> str:
    parts = draw(st.lists(functions(), min_size=1, max_size=3))
    access = "\nasync def member(ctx):\n    return True\n\n\neither = live.access.any(member)\n\n\n"
    return HEAD + access + "\n\n".join(parts)


def comments(text: str) -> list[str]:
    return [
        one.string
        for one in tokenize.generate_tokens(io.StringIO(text).readline)
        if one.type == tokenize.COMMENT
    ]


def is_part(small: list[str], large: list[str]) -> bool:
    """Say whether all of `small` stand in `large` in their order."""
    rest = iter(large)
    return all(one in rest for one in small)


NUMBERS = [f"UPG{number}" for number in range(113, 135)]


@pytest.mark.spec("UPGC-30", "UPGC-10", "UPGC-24")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    source=modules(),
    chosen=st.sets(st.sampled_from(NUMBERS), min_size=1, max_size=3),
    everything=st.booleans(),
)
def test_generated_programs_stay_whole(source: str, chosen: set[str], everything: bool) -> None:
    files: dict[str, str | bytes] = {
        "live/a.py": source.encode(),
        "services.py": SERVICES.encode(),
        "hooks.py": HOOKS.encode(),
    }
    done = upgrade(files, only=set(NUMBERS) if everything else chosen)
    for path, before in files.items():
        assert isinstance(before, bytes)
        text = done.files[path]
        ast.parse(text)
        assert is_part(comments(before.decode()), comments(text)), path
        added = [one for one in comments(text) if "TODO(realtime-upgrade" in one]
        assert len(comments(text)) == len(comments(before.decode())) + len(added)
        kept = [line for line in before.decode().splitlines() if is_foreign(line)]
        assert is_part(kept, text.splitlines()), path


def is_foreign(line: str) -> bool:
    return any(word in line for word in ("other", "cache", "value", "strings", "# own", "# far", "pass"))


@pytest.mark.spec("UPGC-31")
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(source=modules())
def test_one_after_the_other_is_all_at_once(source: str) -> None:
    files: dict[str, str | bytes] = {"live/a.py": source.encode(), "services.py": SERVICES.encode()}
    together = upgrade(files, only={"UPG113", "UPG117", "UPG123"}).files
    step = dict(files)
    for codemod in ("UPG113", "UPG117", "UPG123"):
        step = {path: text.encode() for path, text in upgrade(step, only=codemod).files.items()}
    assert {path: text.encode() for path, text in together.items()} == step
