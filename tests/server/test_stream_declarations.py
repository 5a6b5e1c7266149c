"""What a stream is declared with: topics, schema of arguments, admission, wrappers. Spec: live-api 8.1 to 8.3."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.live.declare import live
from tests.server.conftest import AppFactory
from tests.server.peers import turns

TOPICS = """
    import msgspec
    from runtime import live, LiveError
    from runtime.plugins import CircuitBreaker

    class Even:
        def validate(self, args):
            if args[0] % 2: raise ValueError("an even number is needed")
            return [args[0] // 2]

    class Odd:
        def validate(self, args): return args[0]

    seen = []

    def topic(ctx, *args):
        seen.append(args)
        return f"t:{args[0]}"

    @live.stream(topic, args=tuple[int, str])
    async def pair(ctx, number, text): return [number, text]

    @live.stream(topic, args=list[str])
    async def some(ctx, first, second, third=3): return [first, second, third]

    @live.stream(topic, args=Even())
    async def even(ctx, number): return [number]

    @live.stream(topic, args=Odd())
    async def odd(ctx, number): return [number]

    async def later(): return "x"

    @live.stream(lambda: later())
    async def promised(ctx): return []

    @live.stream(lambda context, name: f"{context.user}:{name}")
    async def mine(ctx, name: str): return []

    @live.stream(lambda name: f"n:{name}")
    async def named(ctx, name: str): return []

    @live.stream(lambda user, name: f"{user.user}:{name}")
    async def counted(ctx, name: str): return []

    live.admission({"background": ["MEMORY"], "busy": lambda pressure: pressure.memory_ratio > 0.5})

    @live.stream("admitted", class_of_service="busy")
    async def admitted(ctx): return [1]

    off = []

    async def left(ctx, topic, remaining): off.append(remaining)

    def shown(row): return {"id": row["id"]}

    @live.breaker(CircuitBreaker())
    @live.gate(lambda ctx: True)
    @live.stream("wrapped", key="slug", prepend=True, max=5, transform=shown, version=2, migrate={1: shown},
                 stale_after=9, invalidate_on="x", coalesce_by=lambda row: row["id"], class_of_service="background",
                 resync_on_drop=True, on_unsubscribe=left)
    async def wrapped(ctx): return [{"id": 1, "secret": 2}]
"""


async def started(make_app: AppFactory, user: Any = "ann") -> tuple[Any, Any, Any]:
    app = await make_app({"live/t.py": TOPICS})
    return app, await app.connect(user), app.runtime.live.registry.modules["t"].module


@pytest.mark.spec("LIVE-80")
async def test_a_schema_of_all_arguments_comes_before_the_topic(make_app: AppFactory) -> None:
    _, peer, module = await started(make_app)
    for args in ([1], [1, "a", 2], ["1", "a"], []):
        reply = await peer.stream("t/pair", *args)
        assert reply["code"] == "VALIDATION"
        assert reply["issues"]
    assert module.seen == []
    reply = await peer.stream("t/pair", 1, "a")
    assert (reply["data"], reply["topic"]) == ([1, "a"], "t:1")
    assert module.seen == [(1, "a")]


@pytest.mark.spec("LIVE-80")
async def test_a_schema_with_validate_gives_the_topic_what_it_parsed(make_app: AppFactory) -> None:
    _, peer, module = await started(make_app)
    assert (await peer.stream("t/even", 3))["issues"] == [{"path": [], "message": "an even number is needed"}]
    reply = await peer.stream("t/even", 8)
    assert (reply["data"], reply["topic"], module.seen) == ([4], "t:4", [(4,)])
    assert (await peer.stream("t/odd", 3))["code"] == "VALIDATION"  # it gave no sequence


@pytest.mark.spec("LIVE-78", "LIVE-79")
def test_topics_that_cannot_be_fail_at_the_declaration() -> None:
    async def later(name: str) -> str:
        return name

    for topic, text in (
        (later, "topic: must be a plain function, not async"),
        ("__rpc", "topic: '__rpc' begins with the reserved prefix"),
        ("", "topic: must not be empty"),
        (5, "topic: must be a string or a function"),
    ):
        with pytest.raises(ValueError, match=text):
            live.stream(topic)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unexpected keyword argument 'keys'"):
        live.stream("todos", keys="id")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="args: "):
        live.stream("todos", args=object)


@pytest.mark.spec("LIVE-78")
async def test_a_topic_function_gets_the_ctx_when_it_asks_for_it(make_app: AppFactory) -> None:
    _, peer, _ = await started(make_app)
    for path, topic in (("mine", "ann:a"), ("named", "n:a"), ("counted", "ann:a")):
        assert (await peer.stream(f"t/{path}", "a"))["topic"] == topic
    reply = await peer.stream("t/promised")
    assert (reply["code"], reply["error"]) == ("INVALID_REQUEST", "Topic function must return a string")


@pytest.mark.spec("LIVE-100")
async def test_pressure_refuses_new_subscribers_and_keeps_those_there(make_app: AppFactory) -> None:
    app, peer, _ = await started(make_app)
    await peer.stream("t/admitted")
    sampler = app.runtime.platform.parts.sampler
    calm = sampler.snapshot
    from dataclasses import replace

    sampler.snapshot = replace(calm, memory_ratio=0.9, reason="MEMORY", active=True)
    other = await app.connect()
    for path, name in (("t/admitted", "busy"), ("t/wrapped", "background")):
        reply = await other.stream(path)
        assert (reply["code"], reply["error"]) == ("OVERLOADED", f"Stream class '{name}' shed under pressure")
    app.runtime.platform.publish("admitted", "created", {"id": 2})
    await turns()
    assert peer.events("admitted") == [("created", {"id": 2})]
    sampler.snapshot = calm
    assert (await other.stream("t/admitted"))["data"] == [1]


@pytest.mark.spec("LIVE-102")
async def test_wrappers_keep_every_option_of_the_stream(make_app: AppFactory) -> None:
    app, peer, module = await started(make_app)
    reply = await peer.stream("t/wrapped")
    assert {key: reply[key] for key in ("data", "key", "prepend", "max", "schemaVersion")} == {
        "data": [{"id": 1}],
        "key": "slug",
        "prepend": True,
        "max": 5,
        "schemaVersion": 2,
    }
    options = app.runtime.live.registry.find("t/wrapped").options
    assert (options.stale_after, options.invalidate_on, options.class_of_service) == (9, ("x",), "background")
    assert options.resync_on_drop is True
    app.runtime.live.functions.ctx_for(peer.connection).publish("wrapped", "updated", {"id": 3, "secret": 1})
    await turns()
    (frame,) = [frame for frame in peer.parsed() if frame.get("topic") == "wrapped"]
    assert frame["data"] == {"id": 3}
    assert "seq" not in frame  # coalesced
    await peer.leave()
    await turns()
    assert module.off == [0]


@pytest.mark.spec("LIVE-86")
async def test_a_hook_gets_as_many_arguments_as_it_takes(make_app: AppFactory) -> None:
    source = """
        from runtime import live
        log = []

        @live.stream("few", on_subscribe=lambda ctx: log.append("on"), on_unsubscribe=lambda: log.append("off"))
        async def few(ctx): return []
    """
    app = await make_app({"live/f.py": source})
    peer = await app.connect()
    await peer.stream("f/few")
    await peer.leave()
    await turns()
    assert app.runtime.live.registry.modules["f"].module.log == ["on", "off"]


@pytest.mark.spec("LIVE-80")
async def test_a_schema_that_lets_too_many_or_too_few_through_is_no_failure_of_the_loader(
    make_app: AppFactory,
) -> None:
    _, peer, module = await started(make_app)
    for args, path in ((["a"], ["second"]), (["a"] * 4, ["3"]), ([], ["first"])):
        reply = await peer.stream("t/some", *args)
        assert (reply["code"], reply["issues"][0]["path"]) == ("VALIDATION", path)
    assert module.seen == []
    assert (await peer.stream("t/some", "a", "b"))["data"] == ["a", "b", 3]


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ("'__no'", "topic: '__no' begins with the reserved prefix '__'"),
        ("'x', merge='odd'", "merge: must be one of crud, latest, set, presence, cursor, not 'odd'"),
        ("'x', max=-1", "max: must be an integer >= 0, not -1"),
        ("'x', filter=3", "filter: must be a function, not 3"),
        ("'x', args=int", "args: must be a tuple or list type such as tuple[str, int], or an object"),
        ("'x', volatile=True, replay=True", "volatile: cannot be combined with replay"),
        ("'x', stale_after=0", "stale_after: must be a number of seconds above 0, not 0"),
        ("'x', colour='red'", "unexpected keyword argument 'colour'"),
    ],
)
async def test_a_wrong_declaration_is_reported_with_option_module_and_line(
    make_app: AppFactory, declaration: str, message: str
) -> None:
    source = f"""
        from runtime import live

        @live.stream({declaration})
        async def wrong(ctx): return []
    """
    app = await make_app({"live/board/wrong.py": source, "live/right.py": TOPICS}, env="dev")
    (problem,) = app.runtime.live.registry.problems
    assert (problem.file, problem.line) == ("live/board/wrong.py", 4)
    assert str(problem).startswith(f"live/board/wrong.py:4: {problem.kind}: ")
    assert message in problem.message
    assert app.runtime.live.registry.find("right/pair") is not None


@pytest.mark.parametrize("env", ["dev", "test"])
async def test_a_class_that_there_is_not_is_named_at_load_and_refused(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture, env: str
) -> None:
    source = """
        # realtime-allow-public
        from runtime import live

        live.admission({"background": []})

        @live.stream("odd", class_of_service="back-ground")
        async def odd(ctx): return []

        @live.stream("even", class_of_service="background")
        async def even(ctx): return []
    """
    app = await make_app({"live/a.py": source}, env=env)
    text = "unknown class of service 'back-ground'; known: background"
    place = f"live/a.py:7: class_of_service: {text}; whoever subscribes to a/odd is refused"
    assert [m for m in caplog.messages if "class_of_service" in m] == ([place] if env == "dev" else [])
    peer = await app.connect()
    reply = await peer.stream("a/odd")
    assert (reply["code"], reply["error"]) == ("INVALID_REQUEST", text)
    assert (await peer.stream("a/even"))["ok"] is True
