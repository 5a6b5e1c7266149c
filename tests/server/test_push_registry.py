"""Who is behind a connection, and who is asked first: `live.configure_push`. Spec: live-api 15.1 and 15.4."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from runtime import LiveError, OfflineError, live
from runtime.core.assertions import InvariantViolation
from runtime.core.capacity import capacity_override
from runtime.live import collector
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns


@pytest.fixture(autouse=True)
def nothing_ambient() -> Iterator[None]:
    collector.ambient.wiring.clear()
    yield
    collector.ambient.wiring.clear()


async def answer(peer: Peer, data: Any) -> None:
    """Answer the newest request that the peer got."""
    frame = await peer.wait(lambda one: one.get("type") == "request")
    peer.send({"type": "reply", "ref": frame["ref"], "data": data})
    peer.frames.clear()


async def pushed(app: App, peer: Peer, user: str) -> Any:
    """Push to `user`, whom `peer` is expected to be."""
    task = app.runtime.tasks.start(live.push(user, "ask"), name="push")
    await answer(peer, "mine")
    return await task


@pytest.mark.parametrize(
    ("data", "user"),
    [
        ({"user_id": "a", "userId": "b", "id": "c"}, "a"),
        ({"userId": "b", "id": "c"}, "b"),
        ({"user_id": None, "id": "c"}, "c"),
        ({"user_id": "", "id": "c"}, "c"),
        ({"id": 7}, "7"),
        ({"user_id": 8, "id": 7}, "8"),
    ],
)
async def test_the_user_data_says_who_it_is(make_app: AppFactory, data: dict[str, Any], user: str) -> None:
    app = await make_app({})
    peer = await app.connect(data)
    assert await pushed(app, peer, user) == "mine"
    await peer.leave()
    assert len(app.runtime.live.pushes) == 0


async def test_an_object_can_be_user_data(make_app: AppFactory) -> None:
    class User:
        user_id = "ann"

    app = await make_app({})
    assert await pushed(app, await app.connect(User()), "ann") == "mine"


@pytest.mark.parametrize("data", [{}, {"user_id": None}, {"id": ""}, {"name": "ann"}, None])
async def test_without_an_id_nobody_is_registered(make_app: AppFactory, data: Any) -> None:
    app = await make_app({})
    await app.connect(data)
    assert len(app.runtime.live.pushes) == 0


@pytest.mark.parametrize("user", ['a"b', "a\nb", "x" * 257, True, ["a"]])
async def test_a_user_id_that_cannot_name_anybody_ends_the_connection(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture, user: Any
) -> None:
    app = await make_app({})
    peer = await app.connect({"user_id": user})
    assert peer.sink.closed == (1011, "open failed")
    assert "cannot be registered for pushes" in caplog.text
    await peer.leave()
    assert len(app.runtime.live.pushes) == 0


async def test_an_id_that_was_perhaps_never_meant_for_this_does_not(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({})
    peers = [await app.connect({"id": 'a"b'}) for _ in range(2)]
    assert [peer.sink.closed for peer in peers] == [None, None]
    assert caplog.text.count("a user cannot be pushed to") == 1
    assert len(app.runtime.live.pushes) == 0


IDENTIFY = """
    from runtime import live
    live.configure_push(identify=lambda ws: ws.user_data.get("account"))
"""


async def test_identify_names_the_user(make_app: AppFactory) -> None:
    app = await make_app({"hooks.py": IDENTIFY})
    peer = await app.connect({"account": "acme", "user_id": "ann"})
    assert await pushed(app, peer, "acme") == "mine"
    with pytest.raises(LiveError, match="no active connection"):
        await live.push("ann", "ask")
    await app.connect({"user_id": "bob"})
    assert len(app.runtime.live.pushes) == 1
    for bad in (7, 'a"b'):
        refused = await app.connect({"account": bad})
        assert refused.sink.closed == (1011, "open failed")


async def test_what_the_open_hook_writes_counts(make_app: AppFactory) -> None:
    hook = "    def open(ws):\n        ws.user_data['account'] = 'acme'\n"
    app = await make_app({"hooks.py": IDENTIFY + hook})
    assert await pushed(app, await app.connect({}), "acme") == "mine"


async def test_who_goes_while_the_open_hook_runs_is_not_registered(make_app: AppFactory) -> None:
    app = await make_app({"hooks.py": "async def open(ws):\n    await ws.close()\n"})
    await app.connect({"user_id": "ann"})
    assert len(app.runtime.live.pushes) == 0


async def test_an_asynchronous_identify_is_refused(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({})

    async def identify(ws: Any) -> str:
        return "ann"

    live.configure_push(identify=identify)
    assert (await app.connect({})).sink.closed == (1011, "open failed")
    assert "identify is asynchronous" in caplog.text


async def test_clearing_brings_the_usual_fields_back(make_app: AppFactory) -> None:
    app = await make_app({"hooks.py": IDENTIFY})
    registry = Registry("there")
    live.configure_push(remote_registry=registry)
    live.configure_push(identify=None)
    await app.connect({"user_id": "ann"})
    assert await live.push("ann", "ask") == "there"
    live.configure_push(None)
    with pytest.raises(LiveError, match="no active connection"):
        await live.push("bob", "ask")
    assert app.runtime.live.pushes.connection_of("ann") is not None


CONFIGURED = """
    # realtime-allow-public
    from runtime import live
    live.configure_push(identify=lambda ws: ws.user_data["account"])
"""


async def test_what_a_live_module_configures_ends_when_it_says_so_no_more(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": CONFIGURED})
    user = {"account": "acme", "user_id": "ann"}
    assert await pushed(app, await app.connect(user), "acme") == "mine"
    await app.runtime.live.reload([app.write("live/m.py", CONFIGURED.replace('"account"', '"user_id"'))])
    assert await pushed(app, await app.connect(user), "ann") == "mine"
    await app.runtime.live.reload([app.write("live/m.py", "# realtime-allow-public\n")])
    assert app.runtime.live.pushes.identify is None


ASKING = """
    # realtime-allow-public
    from runtime import live

    @live
    async def ask(ctx, user: str):
        return await live.push(user, "ask")
"""


async def test_a_live_function_pushes_to_the_users_of_its_own_app(make_app: AppFactory) -> None:
    one, two = await make_app({"live/m.py": ASKING}), await make_app({"live/m.py": ASKING})
    mine, other = await one.connect({"user_id": "ann"}), await two.connect({"user_id": "ann"})
    for app, peer in ((one, mine), (two, other)):
        caller = await app.connect({"user_id": "bob"})
        caller.send({"rpc": "m/ask", "id": "q", "args": ["ann"]})
        await answer(peer, "mine")
        assert (await caller.reply("q"))["data"] == "mine"
    assert await pushed(two, other, "ann") == "mine", "outside of live functions it is the latest app"


class Registry:
    """A remote registry that answers, or raises."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome
        self.asked: list[Any] = []

    async def request(self, user_id: str, event: str, data: Any, *, timeout: float) -> Any:
        self.asked.append((user_id, event, data, timeout))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.mark.spec("LIVE-142")
async def test_a_remote_registry_is_asked_first(make_app: AppFactory) -> None:
    app = await make_app({})
    peer = await app.connect({"user_id": "ann"})
    registry = Registry("from elsewhere")
    live.configure_push(remote_registry=registry)
    assert await live.push("ann", "ask", {"n": 1}, timeout=3) == "from elsewhere"
    assert registry.asked == [("ann", "ask", {"n": 1}, 3.0)]
    await live.notify("ann", "news")
    await turns()
    assert registry.asked[1:] == [("ann", "news", None, 1.0)]
    assert [frame for frame in peer.parsed() if frame.get("type") == "request"] == []


@pytest.mark.spec("LIVE-142")
@pytest.mark.parametrize("error", [OfflineError("nobody"), RuntimeError("user 'ann' is offline")], ids=str)
async def test_who_is_offline_elsewhere_and_connected_here_is_asked_here(
    make_app: AppFactory, error: Exception
) -> None:
    app = await make_app({})
    peer = await app.connect({"user_id": "ann"})
    live.configure_push(remote_registry=Registry(error))
    assert await pushed(app, peer, "ann") == "mine"
    with pytest.raises(type(error)):
        await live.push("bob", "ask")
    assert app.runtime.metrics.get("push_total", "offline") == 1
    await live.notify("ann", "news")
    await answer(peer, None)
    await turns()
    assert app.runtime.metrics.get("notify_total", "ok") == 1


@pytest.mark.spec("LIVE-140", "LIVE-142")
async def test_every_other_error_of_the_registry_is_the_callers(make_app: AppFactory) -> None:
    app = await make_app({})
    await app.connect({"user_id": "ann"})
    for error, code in (
        (RuntimeError("request timed out"), "TIMEOUT"),
        (TimeoutError(), "TIMEOUT"),
        (LiveError("QUOTA", "enough"), "QUOTA"),
        (OSError("no line"), None),
    ):
        live.configure_push(remote_registry=Registry(error))
        with pytest.raises(Exception) as caught:  # which one is looked at below
            await live.push("ann", "ask")
        assert getattr(caught.value, "code", None) == code
        if code == "TIMEOUT":
            assert caught.value.__cause__ is error
        else:
            assert caught.value is error
        await live.notify("ann", "news")  # whatever it is, nobody hears of it
        await turns()
    assert app.runtime.metrics.get("notify_total", "timeout") == 2
    assert app.runtime.metrics.get("notify_total", "error") == 2


def test_what_cannot_be_configured() -> None:
    bad: Any = "x"
    with pytest.raises(ValueError, match="identify=, remote_registry="):
        live.configure_push()
    with pytest.raises(TypeError, match="identify="):
        live.configure_push(bad)
    with pytest.raises(TypeError, match="identify: must be a function"):
        live.configure_push(identify=bad)
    with pytest.raises(TypeError, match="remote_registry: must have request"):
        live.configure_push(remote_registry=bad)
    assert collector.ambient.wiring == {}


async def test_notifications_that_are_awaited_have_a_bound(make_app: AppFactory) -> None:
    app = await make_app({})
    peer = await app.connect({"user_id": "ann"})
    with capacity_override(MAX_NOTIFIES=2):
        for _ in range(3):
            await live.notify("ann", "news")
    await turns()
    assert len([frame for frame in peer.parsed() if frame.get("type") == "request"]) == 2
    assert app.runtime.metrics.get("notify_total", "error") == 1


@pytest.mark.spec("LIVE-143")
async def test_a_notification_of_a_thread_that_finds_no_room_is_counted(make_app: AppFactory) -> None:
    app = await make_app({})
    peer = await app.connect({"user_id": "ann"})

    def tell() -> None:
        for _ in range(2):
            _ = live.notify("ann", "news")

    with capacity_override(MAX_THREADSAFE_QUEUE=1):
        thread = threading.Thread(target=tell)
        thread.start()
        thread.join()
    await peer.wait(lambda frame: frame.get("type") == "request")
    await turns()
    assert len([frame for frame in peer.parsed() if frame.get("type") == "request"]) == 1
    assert app.runtime.metrics.get("notify_total", "error") == 1


async def test_an_entry_that_is_not_tracked_is_a_violation(make_app: AppFactory) -> None:
    app = await make_app({})
    peer = await app.connect({"user_id": "ann"})
    pushes = app.runtime.live.pushes
    pushes._users.clear()
    with pytest.raises(InvariantViolation, match="push-registry"):
        pushes.closed(peer.connection)


async def test_the_sizes_of_the_registry_are_shown(make_app: AppFactory) -> None:
    app = await make_app({})
    await app.connect({"user_id": "ann"})
    assert app.runtime.live.sizes()["MAX_PUSH_REGISTRY"] == 1
