"""Keys of calls, names of users and of hosts: what of them could pass for somebody else's. Platform 5.2, 5.8, 5.16."""

from __future__ import annotations

from typing import Any

import pytest

from runtime import LiveError, live
from runtime.core.settings import SecuritySettings, SettingsError, WebSocketSettings
from runtime.server.origin import is_allowed_origin
from tests.server.conftest import AppFactory
from tests.server.peers import App

PAY = """
    from runtime import live

    ran = []
    stored = []

    class Store:
        # Keeps nothing, and remembers under which keys it was asked to.
        async def acquire(self, key, ttl):
            stored.append(key)
            class Slot:
                acquired, result = True, None
                async def commit(self, result): ...
                async def abort(self): ...
            return Slot()

    @live.idempotent(key_from=lambda ctx, key: key)
    @live
    async def x(ctx, key: str):
        ran.append(f"{ctx.user and ctx.user['id']} x {key}")
        return len(ran)

    @live.idempotent(key_from=lambda ctx, key: key)
    @live
    async def y(ctx, key: str):
        ran.append(f"y {key}")
        return len(ran)

    @live.idempotent()
    @live
    async def sent(ctx):
        ran.append("sent")
        return len(ran)
"""


def ran(app: App) -> list[str]:
    found: list[str] = app.runtime.live.registry.modules["a"].module.ran
    return found


@pytest.mark.spec("PLAT-104")
async def test_one_key_is_one_run_through_every_door(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": PAY})
    peer = await app.connect({"id": "u1"})
    first = await peer.request("a/x", "k")
    peer.send(
        {"batch": [{"rpc": "a/x", "id": "b1", "args": ["k"]}, {"rpc": "a/x", "id": "b2", "args": ["k"]}]}
    )
    batch = await peer.wait(lambda frame: frame.get("event") == "__batch")
    loaded = await live.load("a/x", app.runtime.platform, args=["k"])
    assert {first["data"], loaded, *(one["data"] for one in batch["data"]["batch"])} == {1}
    assert ran(app) == ["u1 x k"]


@pytest.mark.spec("PLAT-104")
@pytest.mark.parametrize(
    "key", ["y:1", "a/y:1", "rpc:a/y:1", ":", "a/y", "../y", "*", "\x00", "a\nrpc:a/y:1"]
)
async def test_no_key_reaches_into_those_of_another_function(make_app: AppFactory, key: str) -> None:
    app = await make_app({"live/a.py": PAY})
    peer = await app.connect({"id": "u1"})
    assert (await peer.request("a/y", "1"))["data"] == 1
    assert (await peer.request("a/x", key))["data"] == 2
    assert (await peer.request("a/y", key))["data"] == 3
    assert (await peer.request("a/y", "1"))["data"] == 1


@pytest.mark.spec("PLAT-104", "PLAT-119")
async def test_with_the_switch_functions_share_their_keys(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": PAY}, security=SecuritySettings(idempotency_namespace=False))
    peer = await app.connect({"id": "u1"})
    assert (await peer.request("a/x", "k"))["data"] == 1
    assert (await peer.request("a/y", "k"))["data"] == 1
    assert ran(app) == ["u1 x k"]


@pytest.mark.spec("PLAT-104")
@pytest.mark.parametrize("key", ["x" * 257, 7, True, ["k"], {"k": 1}, 1.5])
async def test_what_is_no_key_runs_nothing(make_app: AppFactory, key: Any) -> None:
    app = await make_app({"live/a.py": PAY})
    peer = await app.connect({"id": "u1"})
    answer = await peer.request("a/sent", idempotencyKey=key)
    assert (answer["code"], answer["error"]) == (
        "INVALID_REQUEST",
        "idempotencyKey must be a string no longer than 256 characters",
    )
    assert ran(app) == []


# ------------------------------------------------------------ names that become part of a topic

SIGNALS = """
    from runtime import live

    @live
    async def tell(ctx, user): return ctx.send_signal(user, "hello", 1)
"""


@pytest.mark.spec("PLAT-118")
@pytest.mark.parametrize(
    "user",
    ["", "u" * 257, "a\r\nb", "a\x00", "a\x7f", 'a"b', "a\\b", "\ud800", 7, None, True, ["u1"], {"id": "u1"}],
)
async def test_a_user_id_that_cannot_stand_in_a_topic_is_refused(make_app: AppFactory, user: Any) -> None:
    app = await make_app({"live/a.py": SIGNALS})
    peer = await app.connect({"id": "u1"})
    answer = await peer.request("a/tell", user)
    assert (answer["ok"], answer["code"]) == (False, "INVALID_USER_ID")


@pytest.mark.spec("PLAT-118")
@pytest.mark.parametrize(
    "path",
    [
        "a/__class__",
        "a/../x",
        "a/b/__init__",
        "a/x/__call__",
        "a//x",
        "/a/x",
        "a/x/",
        "a",
        "",
        "a.x",
        "a/x\n",
        "a/\u0445",
        "a/PAY",
        "a/_hidden",
        "A/x",
        "a" * 100_000 + "/x",
    ],
)
async def test_only_what_is_registered_is_found(make_app: AppFactory, path: str) -> None:
    app = await make_app({"live/a.py": PAY + "\n    async def _hidden(ctx): ...\n"})
    with pytest.raises(LiveError) as refused:
        await live.load(path, app.runtime.platform, args=["k"])
    assert refused.value.code in ("NOT_FOUND", "INVALID_REQUEST")
    assert ran(app) == []


# ------------------------------------------------------------ hosts that look alike


@pytest.mark.spec("PLAT-110")
@pytest.mark.parametrize(
    "origin",
    [
        "https://\u0430pp.example",
        "https://xn--pp-7kc.example",
        "https://app\u3002example",
        "https://app.example\u200b",
        "https://\uff41pp.example",
        "https://app.example.",
        "https://app%2eexample",
        "https://app.exampl\u00e9",
    ],
)
def test_a_host_that_looks_like_ours_is_not(origin: str) -> None:
    for policy in ("same-origin", ("https://app.example",)):
        for has_hook in (False, True):
            assert not is_allowed_origin(
                origin, policy=policy, base="https://app.example", has_upgrade_hook=has_hook
            )


@pytest.mark.spec("PLAT-110")
def test_a_name_beyond_ascii_is_written_as_browsers_send_it() -> None:
    listed = ("https://xn--mnchen-3ya.example",)
    assert is_allowed_origin(listed[0], policy=listed, base="http://x", has_upgrade_hook=False)
    with pytest.raises(SettingsError, match="allowed_origins"):
        WebSocketSettings(allowed_origins=("https://m\u00fcnchen.example",))
