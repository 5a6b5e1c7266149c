"""One render for all who ask at the same time. Spec: platform 3.7 and 5.10."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from runtime.core import capacity
from runtime.core.settings import SecuritySettings, Settings
from runtime.testing import eventually

ANONYMOUS: dict[str, str] = {}


class Page:
    """An endpoint that waits until it is let go, and counts its renders."""

    def __init__(self, make_site: Any, answer: Any = None, settings: Settings | None = None) -> None:
        self.renders = 0
        self.go = asyncio.Event()
        self.answer = answer or (lambda number: HTMLResponse(f"render {number}"))
        self.site = make_site(
            {"web/file.txt": "file", "web/page.html": "<p>page", "web/t.html.j2": "<p>{{ 1 }}"},
            routes=[Route("/p", self.render, methods=["GET", "POST"]), Route("/p/{x}", self.render)],
            settings=settings,
        )
        self.tasks: list[asyncio.Task[Any]] = []

    async def render(self, request: Any) -> Response:
        self.renders += 1
        number = self.renders
        await self.go.wait()
        return self.answer(number)

    def ask(
        self, headers: Any = ANONYMOUS, path: str = "/p", method: str = "GET", origin: str = "http://t"
    ) -> None:
        state = {"state": {"base_origin": origin}}
        self.tasks.append(asyncio.create_task(self.site.client.ask(method, path, headers, **state)))

    async def settled(self, renders: int) -> None:
        """Wait until so many renders began and every other request has come to a rest."""
        await eventually(lambda: self.renders == renders)
        for _ in range(5):
            await asyncio.sleep(0)
        assert self.renders == renders

    async def answers(self) -> list[Any]:
        self.go.set()
        return await asyncio.gather(*self.tasks)

    def outcomes(self) -> dict[str, int]:
        series = self.site.metrics.snapshot().get("page_dedup_total", {})
        return {labels[0]: count for labels, count in series.items()}


@pytest.mark.spec("PLAT-90")
async def test_many_requests_share_one_render(make_site):
    page = Page(make_site)
    for _ in range(50):
        page.ask()
    await page.settled(1)
    answers = await page.answers()
    assert {answer.text for answer in answers} == {"render 1"}
    assert {answer.status_code for answer in answers} == {200}
    assert all(dict(answer.headers) == dict(answers[0].headers) for answer in answers)
    assert page.renders == 1
    assert page.outcomes() == {"leader": 1, "shared": 49}


@pytest.mark.spec("PLAT-90")
async def test_it_is_no_cache(make_site):
    page = Page(make_site)
    page.go.set()
    for number in (1, 2):
        assert (await page.site.client.ask("GET", "/p")).text == f"render {number}"
    assert page.outcomes() == {"leader": 2}


@pytest.mark.spec("PLAT-90")
async def test_head_shares_with_head(make_site):
    page = Page(make_site)
    for method in ("GET", "HEAD", "GET", "HEAD"):
        page.ask(method=method)
    await page.settled(2)
    get, head, *_ = await page.answers()
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]
    assert page.outcomes() == {"leader": 2, "shared": 2}


@pytest.mark.spec("PLAT-90")
async def test_each_client_gets_its_own_coding_of_the_shared_render(make_site):
    page = Page(make_site, lambda number: PlainTextResponse("x" * 2000))
    for accept in ("br", "gzip", "", "br"):
        page.ask({"accept-encoding": accept})
    await page.settled(1)
    codings = [answer.headers.get("content-encoding") for answer in await page.answers()]
    assert codings == ["br", "gzip", None, "br"]


@pytest.mark.spec("PLAT-90")
@pytest.mark.parametrize(
    "second",
    [
        {"headers": {"cookie": "a=b"}},
        {"headers": {"authorization": "Basic eA=="}},
        {"headers": {"x-api-key": "k"}},
        {"headers": {"range": "bytes=0-1"}},
        {"headers": {"content-length": "3"}},
        {"path": "/p?a=1"},
        {"path": "/p/x"},
        {"method": "POST"},
    ],
)
@pytest.mark.parametrize("comes_first", [True, False])
async def test_what_renders_on_its_own(make_site, second, comes_first):
    page = Page(make_site)
    requests = [{}, second]
    for request in reversed(requests) if comes_first else requests:
        page.ask(**request)
    await page.settled(2)
    assert sorted(answer.text for answer in await page.answers()) == ["render 1", "render 2"]
    assert "shared" not in page.outcomes()


@pytest.mark.spec("PLAT-90")
async def test_an_empty_cookie_is_none(make_site):
    page = Page(make_site)
    page.ask()
    page.ask({"cookie": ""})
    await page.settled(1)
    await page.answers()
    assert page.outcomes() == {"leader": 1, "shared": 1}


@pytest.mark.spec("PLAT-90")
async def test_no_client_can_ask_for_a_render_of_its_own(make_site):
    page = Page(make_site)
    for _ in range(3):
        page.ask({"x-no-dedup": "1"})
    await page.settled(1)
    await page.answers()


@pytest.mark.spec("PLAT-90")
@pytest.mark.parametrize(
    "answer",
    [
        lambda n: Response(f"{n}", headers={"set-cookie": "a=b"}),
        lambda n: Response(f"{n}", headers={"vary": "Accept-Language"}),
        lambda n: Response(f"{n}", headers={"vary": "Accept-Encoding, Cookie"}),
        lambda n: Response(f"{n}", headers={"vary": "*"}),
        lambda n: Response(f"{n}", headers={"cache-control": "private, max-age=1"}),
        lambda n: Response(f"{n}", headers={"cache-control": "No-Store"}),
        lambda n: Response(f"{n}", headers={"content-encoding": "br"}),
        lambda n: Response(f"{n}", 500),
        lambda n: Response(f"{n}", 503),
        lambda n: Response(f"{n}", 206),
        lambda n: Response(b"", 200, {"x-number": f"{n}"}),
        lambda n: Response(None, 204),
        lambda n: Response(b"x" * (capacity.MAX_SSR_DEDUP_BODY + 1)),
        lambda n: StreamingResponse(iter([f"{n}"])),
    ],
)
async def test_what_is_not_shared(make_site, answer):
    page = Page(make_site, answer)
    for _ in range(3):
        page.ask()
    await page.settled(1)
    answers = await page.answers()
    assert page.renders == 3
    assert {one.status_code for one in answers} == {answer(0).status_code}
    assert page.outcomes() == {"leader": 1, "unshared": 2}


@pytest.mark.spec("PLAT-90")
@pytest.mark.parametrize(
    "answer",
    [
        lambda n: Response(f"{n}", headers={"vary": "accept-encoding"}),
        lambda n: Response(f"{n}", headers={"cache-control": "public, max-age=60"}),
        lambda n: Response(f"{n}", 404),
        lambda n: Response(b"x" * capacity.MAX_SSR_DEDUP_BODY),
    ],
)
async def test_what_is_shared(make_site, answer):
    page = Page(make_site, answer)
    for _ in range(3):
        page.ask()
    await page.settled(1)
    first, *others = await page.answers()
    assert page.renders == 1
    assert all(one.content == first.content and one.status_code == first.status_code for one in others)


@pytest.mark.spec("PLAT-90")
async def test_a_leader_that_raises_fails_nobody_else(make_site):
    def answer(number: int) -> Response:
        if number == 1:
            raise RuntimeError("the leader fails")
        return PlainTextResponse(f"render {number}")

    page = Page(make_site, answer)
    for _ in range(3):
        page.ask()
    await page.settled(1)
    first, *others = await page.answers()
    assert first.status_code == 500
    assert [one.text for one in others] == ["render 2", "render 3"]
    assert page.outcomes() == {"leader": 1, "unshared": 2}


@pytest.mark.spec("PLAT-90")
async def test_a_leader_that_is_cancelled_fails_nobody_else(make_site):
    page = Page(make_site)
    for _ in range(3):
        page.ask()
    await page.settled(1)
    page.tasks.pop(0).cancel()
    await page.settled(3)
    assert [answer.text for answer in await page.answers()] == ["render 2", "render 3"]


@pytest.mark.spec("PLAT-90")
async def test_a_waiter_that_is_cancelled_disturbs_nobody(make_site):
    page = Page(make_site)
    for _ in range(3):
        page.ask()
    await page.settled(1)
    page.tasks.pop(1).cancel()
    await asyncio.sleep(0)
    assert [answer.text for answer in await page.answers()] == ["render 1", "render 1"]
    assert page.site.layers.sharing.waiting == 0
    assert len(page.site.layers.sharing) == 0


@pytest.mark.spec("PLAT-90")
async def test_nobody_waits_for_a_stream(make_site):
    held = asyncio.Event()

    async def pieces() -> Any:
        yield "one"
        await held.wait()

    page = Page(make_site, lambda n: StreamingResponse(pieces()))
    page.go.set()
    for _ in range(3):
        page.ask()
    await page.settled(3)
    held.set()
    assert [answer.text for answer in await page.answers()] == ["one"] * 3


@pytest.mark.spec("PLAT-90")
@pytest.mark.parametrize(("announced", "shared"), [("6", True), ("7", False), ("5", False)])
async def test_pieces_of_a_known_length_are_put_together(make_site, announced, shared):
    held = asyncio.Event()

    async def pieces() -> Any:
        yield "one"
        await held.wait()
        yield "two"

    page = Page(make_site, lambda n: StreamingResponse(pieces(), headers={"content-length": announced}))
    page.go.set()
    for _ in range(3):  # the others come while the leader is half way
        page.ask()
        await page.settled(1)
    held.set()
    assert [answer.text for answer in await page.answers()] == ["onetwo"] * 3
    assert page.renders == (1 if shared else 3)


@pytest.mark.spec("PLAT-90")
async def test_at_most_so_many_pages_and_waiters(make_site):
    with capacity.capacity_override(MAX_SSR_DEDUP=2, MAX_SSR_DEDUP_WAITERS=2):
        page = Page(make_site)
        for path in ("/p/a", "/p/b", "/p/c", "/p/a", "/p/b", "/p/b"):
            page.ask(path=path)
        await page.settled(4)
        await page.answers()
    assert page.outcomes() == {"leader": 2, "bypass": 2, "shared": 2}
    assert capacity.events["MAX_SSR_DEDUP", "bypass"] >= 1
    assert capacity.events["MAX_SSR_DEDUP_WAITERS", "bypass"] >= 1


@pytest.mark.spec("PLAT-112")
async def test_hosts_have_renders_of_their_own(make_site):
    page = Page(make_site)
    for origin in ("http://one", "http://two", "http://one:81", "https://one", "http://one"):
        page.ask(origin=origin)
    await page.settled(4)
    await page.answers()
    assert page.outcomes() == {"leader": 4, "shared": 1}


@pytest.mark.spec("PLAT-112")
async def test_the_origin_can_be_left_out_of_the_key(make_site):
    page = Page(make_site, settings=Settings(security=SecuritySettings(dedup_include_origin=False)))
    page.ask(origin="http://one")
    page.ask(origin="http://two")
    await page.settled(1)
    await page.answers()


@pytest.mark.spec("PLAT-90")
async def test_files_and_paths_of_ours_are_left_alone(make_site):
    page = Page(make_site)
    for path in ("/file.txt", "/page", "/healthz", "/readyz", "/live/client.js"):
        assert (await page.site.client.ask("GET", path)).status_code == 200
    assert page.outcomes() == {}
    assert (await page.site.client.ask("GET", "/t")).text.endswith("<p>1")
    assert page.outcomes() == {"leader": 1}


async def test_an_error_answer_of_a_handler_is_shared_like_a_page(make_site):
    def answer(number: int) -> Response:
        raise HTTPException(404, "no such order")

    page = Page(make_site, answer)
    for _ in range(2):
        page.ask()
    await page.settled(1)
    assert [one.text for one in await page.answers()] == ["no such order"] * 2
