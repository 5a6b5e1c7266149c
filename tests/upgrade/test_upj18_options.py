"""UPJ18: renamed and dead options, and what is only told."""

from __future__ import annotations

import pytest

from tests.upgrade.scriptprojects import becomes, stays, stays_everywhere, told

_STORE = (
    "import { createIdempotencyStore } from 'svelte-adapter-uws-extensions/redis/idempotency'\n"
    "const store = createIdempotencyStore(redis)\n"
)
_LIVE = "import { live, pipe, createMessage } from 'svelte-realtime/server'\n"
_TODO = "// TODO(realtime-upgrade UPJ18): "


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize(
    "source",
    [
        f"{_STORE}lock.acquire({{ key: 'a' }})\n",
        f"{_STORE}store.acquire({{ idempotencyKey: 'a' }})\n",
        f"{_STORE}store.release({{ key: 'a' }})\n",
        "import { createDistributedLock } from 'svelte-adapter-uws-extensions/redis/lock'\n"
        "createDistributedLock(redis).acquire({ key: 'a' })\n",
        f"{_LIVE}other.filter({{ transformEvent: f }})\n",
        f"{_LIVE}pipe.filter((ctx, event) => 1)\n",
        f"{_LIVE}const plain = () => 1\nlive.stream('a', load, {{ access: (ctx) => true, filter: plain }})\n",
        f"{_LIVE}live(async (ctx) => {{ ctx.publish('a:b', 'c'); ctx.platform.publish('__a', 'c') }})\n",
        f"{_LIVE}export const a = live.gate((ctx) => 1, f)\n",
        "export const subscribe = async () => 1\nconst a = '__subscription'\nthing.includes('timed out')\n",
        "const topic = '__presence:a'\nif (event === 'join') f()\n",
        f"{_LIVE}live.configurePush({{ identify }})\nlive.binary((ctx, buffer) => 1)\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays_everywhere("UPJ18", source)


@pytest.mark.spec("UPGC-81", "UPGC-56")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("store.acquire({ key: id, ttl: 5 })", "store.acquire({ idempotencyKey: id, ttl: 5 })"),
        ("store.purge({ key })", "store.purge({ idempotencyKey: key })"),
    ],
)
def test_the_key_of_a_store_is_renamed_with_a_mark(before: str, expected: str) -> None:
    todo = f"{_TODO}was key; see that wrappers of this store take idempotencyKey, too\n"
    assert becomes(
        "UPJ18", f"{_STORE}const a = await {before}\n", f"{_STORE}{todo}const a = await {expected}\n"
    )


@pytest.mark.spec("UPGC-81", "UPGC-56")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("pipe.filter({ transformEvent: f, where: g })", "pipe.filter({ where: g })"),
        ("pipe.filter({ where: g, transformEvent: f })", "pipe.filter({ where: g })"),
        ("pipe.filter({\n\twhere: g,\n\ttransformEvent: f,\n})", "pipe.filter({\n\twhere: g,\n})"),
    ],
)
def test_the_dead_option_goes_with_a_mark(before: str, expected: str) -> None:
    todo = f"{_TODO}pipe.filter had transformEvent, which never did anything; live.stream takes transform\n"
    assert becomes("UPJ18", f"{_LIVE}const a = {before}\n", f"{_LIVE}{todo}const a = {expected}\n")


@pytest.mark.spec("UPGC-81", "UPGC-49", "UPGC-50")
@pytest.mark.parametrize(
    ("source", "row"),
    [
        (f"{_LIVE}live.stream('a', load, {{ access: async (ctx) => false }})\n", "C-01"),
        (f"{_LIVE}live.stream('a', load, {{ filter: may }}); async function may() {{}}\n", "C-01"),
        (f"{_LIVE}live.gate(async (ctx) => false, f)\n", "C-02"),
        (f"{_LIVE}live.access.any(live.access.org(), async (ctx) => false)\n", "C-03"),
        (f"{_LIVE}live((ctx) => ctx.platform.sendTo(async (u) => false, 'a'))\n", "C-05"),
        (f"{_LIVE}live((ctx) => ctx.publish('__a', 'b'))\n", "C-08"),
        (f"{_LIVE}live((ctx) => ctx.publish(`__a:${{id}}`, 'b'))\n", "C-08"),
        (f"{_LIVE}live.stream('__a', load)\n", "S-18"),
        (f"{_LIVE}live.channel('gr\u00fc\u00dfe')\n", "C-20"),
        (f"{_LIVE}live.configurePush({{}})\n", "R-12"),
        (f"{_LIVE}live.binary((ctx, chunk, isLast) => 1)\n", "R-05"),
        (f"{_LIVE}createMessage({{ onUnhandled: (ws, d) => JSON.parse(d) }})\n", "R-07"),
        (f"{_LIVE}try {{ live.push(1) }} catch (e) {{ e.message.includes('timed out') }}\n", "D-26"),
        ("import { on } from 'svelte-realtime/client'\non('__signal:a')\n", "C-10"),
        (
            "import { createPresence } from 'svelte-adapter-uws-extensions/redis'\ncreatePresence(redis)\n",
            "D-18",
        ),
        ("import { createLock } from 'svelte-adapter-uws/plugins/lock'\ncreateLock().clear()\n", "D-19"),
        ("\nws.getUserData()['__subscriptions']\n", "S-31"),
    ],
)
def test_what_is_told(source: str, row: str) -> None:
    assert told("UPJ18", source) == [(row, 2 if not source.startswith("\n") else 1)]


@pytest.mark.spec("UPGC-81", "UPGC-47")
def test_each_arm_of_a_presence_decoder_is_told() -> None:
    source = """
        on('__presence:room').subscribe(({ event, data }) => {
        \tswitch (event) {
        \t\tcase 'list': break
        \t\tcase 'join': break
        \t}
        \tif (event === 'leave') f()
        })
        """
    assert told("UPJ18", source) == [("D-06", 3), ("D-06", 4), ("D-06", 6)]


@pytest.mark.spec("UPGC-81", "UPGC-49")
def test_async_subscribe_hooks_are_told() -> None:
    source = "export async function subscribe(ws, topic) {}\nexport const subscribeBatch = async (ws) => {}\n"
    assert told("UPJ18", source, path="src/hooks.ws.js") == [("C-04", 1), ("C-04", 2)]
    assert stays("UPJ18", source.replace("async ", ""), path="src/hooks.ws.js")
