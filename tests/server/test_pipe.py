"""`pipe` and `define_topics` in live functions, over the wire. Spec: live-api 9.3 and 9.4."""

from __future__ import annotations

from typing import Any

import pytest

from runtime import live, pipe
from tests.server.conftest import AppFactory

MAIL = """
    # realtime-allow-public
    from runtime import Page, define_topics, live, pipe

    TOPICS = define_topics(mail=lambda owner: f"mail:{owner}", notices="notices")
    seen = []

    @live.stream(TOPICS.mail, key="n")
    async def mail(ctx, owner: str):
        return [
            {"n": 1, "at": 5, "muted": False, "author": "a"},
            {"n": 2, "at": None, "muted": False, "author": "b"},
            {"n": 3, "at": 9, "muted": False, "author": "a"},
            {"n": 4, "at": 7, "muted": True, "author": "a"},
            {"n": 5, "at": 5, "muted": False, "author": "b"},
        ]

    async def name_of(id):
        seen.append(id)
        return {"a": "Ann", "b": "Bob"}[id]

    async def is_heard(ctx, item):
        return not item["muted"]

    inbox = pipe(
        mail, pipe.filter(is_heard), pipe.sort("at", "desc"), pipe.limit(3), pipe.join("author", name_of, "name")
    )
    oldest = pipe(mail, pipe.sort("at"), pipe.limit(4))

    class Doubled:
        def transform_init(self, data, ctx):
            return data + [ctx.user]

    @live.stream(TOPICS.notices, merge="latest")
    async def notices(ctx):
        return ["one", "two"]

    doubled = pipe(notices, Doubled())
    shut = live.gate(lambda ctx: False)(pipe(notices, pipe.limit(1)))

    @live.stream("pages")
    async def pages(ctx):
        return Page([{"id": 2}, {"id": 1}], True, "next")

    @live.stream("dicts")
    async def dicts(ctx):
        return {"data": [{"id": 2}, {"id": 1}], "hasMore": False}

    @live.stream("one", merge="set")
    async def one(ctx):
        return {"id": 1}

    sorted_pages = pipe(pages, pipe.sort("id"))
    sorted_dicts = pipe(dicts, pipe.sort("id"))
    sorted_one = pipe(one, pipe.sort("id"), pipe.limit(0))

    @live
    async def send(ctx, owner: str):
        ctx.publish(TOPICS.mail(owner), "created", {"n": 6, "at": 1, "muted": True, "author": "a"})
        ctx.publish(TOPICS.notices, "created", "three")
"""


@pytest.mark.spec("LIVE-106")
async def test_what_is_loaded_goes_through_the_transforms_in_order(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": MAIL})
    ann = await app.connect("ann")
    reply = await ann.stream("m/inbox", "ann")
    assert [(item["n"], item["name"]) for item in reply["data"]] == [(3, "Ann"), (1, "Ann"), (5, "Bob")]
    assert (reply["topic"], reply["merge"], reply["key"]) == ("mail:ann", "crud", "n")
    module = app.runtime.live.registry.modules["m"].module
    assert module.seen == ["a", "a", "b"], "only what is left is joined"
    assert [item["n"] for item in (await ann.stream("m/oldest", "ann"))["data"]] == [1, 5, 4, 3]
    assert (await ann.stream("m/doubled"))["data"] == ["one", "two", "ann"]
    plain = (await ann.stream("m/mail", "ann"))["data"]
    assert [item["n"] for item in plain] == [1, 2, 3, 4, 5]
    assert all("name" not in item for item in plain)


@pytest.mark.spec("LIVE-106")
async def test_pages_are_transformed_inside_and_what_is_no_list_not_at_all(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": MAIL})
    ann = await app.connect("ann")
    reply = await ann.stream("m/sorted_pages")
    assert (reply["data"], reply["hasMore"], reply["cursor"]) == ([{"id": 1}, {"id": 2}], True, "next")
    reply = await ann.stream("m/sorted_dicts")
    assert (reply["data"], reply["hasMore"]) == ([{"id": 1}, {"id": 2}], False)
    assert (await ann.stream("m/sorted_one"))["data"] == {"id": 1}


@pytest.mark.spec("LIVE-106")
async def test_live_events_pass_unchanged(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": MAIL})
    ann = await app.connect("ann")
    await ann.stream("m/inbox", "ann")
    await ann.request("m/send", "ann")
    assert ann.events("mail:ann") == [("created", {"n": 6, "at": 1, "muted": True, "author": "a"})]


async def test_a_gate_over_a_pipe_is_not_the_streams(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": MAIL})
    ann = await app.connect("ann")
    reply = await ann.stream("m/shut")
    assert (reply["data"], reply["gated"]) == (None, True)
    assert (await ann.stream("m/notices"))["data"] == ["one", "two"]


@pytest.mark.spec("LIVE-105")
async def test_a_closed_gate_is_no_error_and_no_subscription(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": MAIL})
    ann = await app.connect("ann")
    assert await ann.stream("m/shut") == {"id": "q1", "ok": True, "data": None, "gated": True}
    assert not ann.connection.is_subscribed("notices")
    await ann.request("m/send", "ann")
    assert ann.events("notices") == []


PARTS = {
    "live/a.py": """
        from runtime import guard, live, pipe
        _guard = guard(lambda ctx: ctx.user == "a")
        @live.gate(lambda ctx: ctx.user != "b")
        @live.stream("things")
        async def things(ctx):
            return [2, 1]
    """,
    "live/b.py": """
        from runtime import guard, live, pipe
        from live.a import things
        _guard = guard(lambda ctx: ctx.user in ("b", "c"))
        few = pipe(things, pipe.limit(1))
    """,
}


@pytest.mark.spec("LIVE-102")
async def test_a_pipe_in_another_module_has_its_guard_and_the_gates_of_the_stream(
    make_app: AppFactory,
) -> None:
    app = await make_app(PARTS)
    a, b, c = [await app.connect(name) for name in "abc"]
    assert [(await peer.stream("b/few")).get("code") for peer in (a, b, c)] == ["FORBIDDEN", None, None]
    assert (await b.stream("b/few"))["gated"] is True
    assert (await c.stream("b/few"))["data"] == [2]
    assert (await c.stream("a/things"))["code"] == "FORBIDDEN"
    assert (await a.stream("a/things"))["data"] == [2, 1]


@pytest.mark.spec("LIVE-106")
async def test_a_piped_stream_can_be_called_in_a_test() -> None:
    @live.stream("numbers")
    async def numbers(ctx: Any) -> list[int]:
        return [3, 1, 2]

    assert await pipe(numbers, pipe.limit(2))(None) == [3, 1]
    assert await pipe(numbers)(None) == [3, 1, 2]


def test_what_cannot_be_piped() -> None:
    @live.stream("words")
    async def words(ctx: Any) -> list[str]:
        return []

    @live
    async def call(ctx: Any) -> None: ...

    bad: Any = object()
    for wrong, match in (
        (lambda: pipe(call), "the first argument must be a stream"),
        (lambda: pipe(bad), "the first argument must be a stream"),
        (lambda: pipe(words, bad), r"transform_init\(data, ctx\)"),
        (lambda: pipe.filter(bad), r"pipe\.filter"),
        (lambda: pipe.join("a", bad, "b"), r"pipe\.join"),
    ):
        with pytest.raises(TypeError, match=match):
            wrong()
    for wrong, match in (
        (lambda: pipe.sort("a", bad), "direction"),
        (lambda: pipe.sort(""), "field"),
        (lambda: pipe.limit(-1), "integer >= 0"),
        (lambda: pipe.limit(True), "integer >= 0"),
        (lambda: pipe.join("", str, "b"), "non-empty"),
    ):
        with pytest.raises(ValueError, match=match):
            wrong()
