"""UPG123: names of the cluster half and of internals."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import after, flagged, stays

STORES = (
    "from runtime.cluster import IdempotencyStore, RedisClient\n\n"
    "idem = IdempotencyStore(redis)\nredis = RedisClient('a')\n"
)


@pytest.mark.parametrize(
    "source",
    [
        "from other import RELEASE_SCRIPT\n",
        "import threading\n\nthreading.Lock().acquire(key=1)\n",
        "from runtime.plugins import Lock\n\nLock().acquire(key='a')\n",
        "from runtime.cluster import IdempotencyStore\n\nIdempotencyStore(1).acquire('a')\n",
        "class Store:\n    def acquire(self, key): ...\n",
        "def f(ws):\n    return ws.user_data['name']\n",
        "def f(row):\n    return row.user_data['__subscriptions']\n",
        "redis.eval(JOIN_SCRIPT)\n",
        "x = '__subscriptions'\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG123", source)


@pytest.mark.spec("UPGC-57")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "from runtime.cluster.lock import RELEASE_SCRIPT as RELEASE\n\nuse(RELEASE)\n",
            "from runtime.cluster.lease import LEASE_RELEASE_SCRIPT as RELEASE\n\nuse(RELEASE)\n",
        ),
        (
            "from runtime.cluster.lock import HEARTBEAT_SCRIPT\n\nuse(HEARTBEAT_SCRIPT)\n",
            "from runtime.cluster.lease import LEASE_RENEW_SCRIPT\n\nuse(LEASE_RENEW_SCRIPT)\n",
        ),
        (
            "from runtime.live.room import _MAX_PRESENCE_REF\n\nprint(_MAX_PRESENCE_REF)\n",
            "from runtime import MAX_PRESENCE_REF\n\nprint(MAX_PRESENCE_REF)\n",
        ),
    ],
)
def test_constants_have_new_names_and_homes(before: str, expected: str) -> None:
    assert after("UPG123", before) == expected


@pytest.mark.spec("UPGC-57")
def test_stores_of_keys_call_them_idempotency_keys() -> None:
    source = (
        "from services import idem\n\n\nasync def f(u):\n"
        "    await idem.acquire(key=f'a:{u}', ttl=1)\n    await idem.purge(key=u)\n"
    )
    text = after("UPG123", source, services=STORES)
    assert text == source.replace("(key=", "(idempotency_key=")
    subclass = (
        "from runtime.cluster import IdempotencyStore\n\n\n"
        "class Mine(IdempotencyStore):\n    def acquire(self, key): ...\n"
    )
    assert flagged("UPG123", subclass) == [("S-30", 5)]


@pytest.mark.spec("UPGC-57")
def test_internals_of_the_user_data() -> None:
    for written in ('ws.user_data["__subscriptions"]', 'ws.user_data.get("__subscriptions")'):
        text = after("UPG123", f"def f(ws):\n    return {written}\n")
        assert text == (
            "def f(ws):\n    # TODO(realtime-upgrade UPG123): internals moved; ws.subscriptions is public\n"
            "    return ws.subscriptions\n"
        )
    assert flagged("UPG123", "def f(ws):\n    return ws.user_data['__coalesced']\n") == [("S-31", 2)]
    assert flagged("UPG123", "def f(ws):\n    ws.user_data['__subscriptions'] = 1\n") == [("S-31", 2)]


@pytest.mark.spec("UPGC-57")
def test_the_join_script_called_by_hand_is_told() -> None:
    source = "from services import redis\n\nredis.eval(JOIN_SCRIPT, 1)\n"
    assert flagged("UPG123", source, services=STORES) == [("R-16", 3)]
