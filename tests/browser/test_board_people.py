"""The people on the board of the template: who is there, who looks, where they point, and what is left when they go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from realtime_cli.makeproject import make_project
from realtime_cli.templates import list_templates
from runtime.testing import RunningServer, running_server
from tests.browser.people import People, people_of
from tests.browser.wire import sent_frames

pytestmark = [pytest.mark.browser, pytest.mark.spec("PLAT-136", "PLAT-139")]

CARD = '[data-id="welcome-3"]'
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
#: Where the tip of a pointer is, as parts of a card; the box of a pointer begins at its tip.
PLACE = """([pointer, card]) => {
    const [tip, box] = [pointer, card].map((one) => document.querySelector(one).getBoundingClientRect());
    return [(tip.left - box.left) / box.width, (tip.top - box.top) / box.height];
}"""
KNOWS = """async (text) => {
    const { cursor } = await import("$live/client.js");
    return [...cursor("looking").get().values()].some(({ data }) => JSON.stringify(data) === text);
}"""
HIDE = """(state) => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningServer]:
    monkeypatch.setenv("BOARD_DB", str(tmp_path / "board.sqlite3"))
    template = next(found for found in list_templates() if found.name == "board")
    make_project(template, "board", tmp_path / "board")
    async with running_server(tmp_path / "board") as running:
        yield running


@pytest.fixture
async def people(browser: Browser, no_leaked_tasks: None) -> AsyncIterator[People]:
    async with people_of(browser) as made:
        yield made


def faces(page: Page) -> Locator:
    """The others, at the top of the page."""
    return page.locator("#people .face")


async def see(page: Page, *names: str) -> None:
    """Wait until the page shows the faces of these others, and that all of them look."""
    await expect(faces(page)).to_have_count(len(names))
    for name in names:
        await expect(page.locator(f'#people .face:not(.away)[title="{name}"]')).to_have_count(1)


async def point(page: Page, x: float, y: float) -> None:
    """Move the mouse onto the card, to a place given as parts of it."""
    box = await page.locator(CARD).bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)


async def test_pointers_have_names_and_colours_and_fit_every_screen(
    server: RunningServer, people: People
) -> None:
    ann = await people.open(server.url, "Ann")
    bob = await people.open(server.url, "Bob", **PHONE)
    cyd = await people.open(server.url, "Cyd", color_scheme="dark")
    for page, others in ((ann, ("Bob", "Cyd")), (bob, ("Ann", "Cyd")), (cyd, ("Ann", "Bob"))):
        await see(page, *others)

    await point(ann, 0.25, 0.5)
    for page in (bob, cyd):
        await expect(page.locator(".pointer")).to_have_text("Ann")
        await page.wait_for_function(
            f"(names) => {{ const [x, y] = ({PLACE})(names);"
            " return Math.abs(x - 0.25) < 0.02 && Math.abs(y - 0.5) < 0.05; }",
            arg=[".pointer", CARD],
        )
        color = await page.locator(".pointer").evaluate("(one) => one.style.getPropertyValue('--color')")
        face = page.locator('#people .face[title="Ann"]')
        assert color == await face.evaluate("(one) => one.style.getPropertyValue('--color')")
    await expect(ann.locator(".pointer")).to_have_count(0)  # one's own has no second one behind it

    await ann.mouse.move(5, 5)
    for page in (bob, cyd):
        await expect(page.locator(".pointer")).to_have_count(0)


async def test_tabs_are_one_face_and_who_goes_leaves_nothing(server: RunningServer, people: People) -> None:
    ann, bob, cyd = [await people.open(server.url, name) for name in ("Ann", "Bob", "Cyd")]
    tab = await people.open(server.url, "Bob")
    await see(ann, "Bob", "Cyd")
    await see(tab, "Ann", "Cyd")
    await point(bob, 0.5, 0.5)
    await expect(ann.locator(".pointer")).to_have_text("Bob")
    await expect(tab.locator(".pointer")).to_have_count(0)  # nor in one's other tab

    await bob.close()
    await expect(ann.locator(".pointer")).to_have_count(0)
    await see(ann, "Bob", "Cyd")
    await tab.evaluate(HIDE, "hidden")
    await expect(ann.locator('#people .away[title="Bob, away"]')).to_have_count(1)
    await tab.evaluate(HIDE, "visible")
    await see(ann, "Bob", "Cyd")
    await tab.close()
    await see(ann, "Cyd")
    await see(cyd, "Ann")


async def test_the_keyboard_is_seen_and_who_wants_no_motion_sees_frames(
    server: RunningServer, people: People
) -> None:
    ann, bob = [await people.open(server.url, name) for name in ("Ann", "Bob")]
    calm = await people.open(server.url, "Cyd", reduced_motion="reduce")
    await see(calm, "Ann", "Bob")
    await ann.locator(f"{CARD} .words").focus()
    for page in (bob, calm):
        await expect(page.locator(".held")).to_have_text("Ann")
    await ann.keyboard.press("Enter")  # and while the title is edited
    await expect(ann.locator(f"{CARD} textarea")).to_be_focused()
    await expect(bob.locator(".held")).to_have_text("Ann")

    await point(bob, 0.5, 0.5)
    await expect(calm.locator(".held")).to_have_text("Ann, Bob")
    await expect(calm.locator(".pointer")).to_have_count(0)
    await bob.mouse.move(5, 5)
    await ann.keyboard.press("Escape")
    await ann.get_by_label("New task").focus()
    await expect(calm.locator(".held")).to_have_count(0)


async def test_a_page_sends_few_places_and_none_while_it_is_alone(
    server: RunningServer, people: People
) -> None:
    ann = await people.open(server.url, "Ann")
    connections = sent_frames(ann)
    await ann.reload()
    await expect(ann.locator("#link")).to_have_text("Live")
    await expect(ann.locator(".card")).to_have_count(4)

    def moves() -> list[object]:
        return [frame["data"] for frame in connections[-1] if frame.get("type") == "cursor"]

    for n in range(50):
        await point(ann, n / 100, 0.5)
    assert moves() == []

    bob, cyd = [await people.open(server.url, name) for name in ("Bob", "Cyd")]
    for page in (bob, cyd):  # who comes is told where she is, though she does not move
        await expect(page.locator(".pointer")).to_have_text("Ann")
    before = len(moves())
    await ann.evaluate(
        """(name) => {
            const card = document.querySelector(name), box = card.getBoundingClientRect();
            for (let n = 0; n < 500; n++) {
                const at = { clientX: box.left + n * box.width / 500, clientY: box.top + 9, bubbles: true };
                card.dispatchEvent(new PointerEvent("pointermove", { pointerType: "mouse", ...at }));
            }
        }""",
        CARD,
    )
    await bob.wait_for_function(f"(names) => ({PLACE})(names)[0] > 0.98", arg=[".pointer", CARD])
    assert 1 <= len(moves()) - before <= 6, "500 moves"


async def test_what_another_page_writes_is_no_instruction(server: RunningServer, people: People) -> None:
    ann, bob, cyd = [await people.open(server.url, name) for name in ("Ann", "Bob", "Cyd")]
    await see(ann, "Bob", "Cyd")
    for data in (
        "null",
        "7",
        "['a']",
        "{ point: 1, card: {} }",
        "{ point: { on: '\"] *', x: 'a', y: null }, card: '*' }",
        "{ point: { on: 'welcome-3', x: 1e9, y: -1e9 }, card: '\\u0000' }",
    ):
        sent = await bob.evaluate(
            f"""async () => {{
                const {{ connect }} = await import("$live/client.js"), data = {data};
                connect().send({{ type: "cursor", topic: "looking", data }});
                return JSON.stringify(data);
            }}"""
        )
        await ann.wait_for_function(KNOWS, arg=sent)
    await point(cyd, 0.5, 0.5)
    await expect(ann.locator(".pointer", has_text="Cyd")).to_have_count(1)
    await expect(ann.locator(".pointer", has_text="Bob")).to_have_count(1)
    width = await ann.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
