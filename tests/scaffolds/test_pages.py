"""The pages of the templates in a real browser against a real server."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.cli.commands import serving
from tests.scaffolds.conftest import Visitors


def column(page: Page, status: str) -> list[str]:
    """The titles of one column of the board, from top to bottom."""
    return page.locator(f'[data-status="{status}"] .words').all_inner_texts()


def card(page: Page, title: str):  # type: ignore[no-untyped-def]  # playwright's Locator
    return page.locator(".card", has_text=title)


def add(page: Page, title: str) -> None:
    page.get_by_label("New task").fill(title)
    page.keyboard.press("Enter")


def test_the_minimal_page_counts_together(make: Callable[[str], Path], visitors: Visitors) -> None:
    with serving(make("minimal")) as (_, url):
        one, other = visitors.open(url), visitors.open(url)
        expect(one.locator("#count")).to_have_text("0")
        one.get_by_label("One more").click()
        one.get_by_label("One more").click()
        other.get_by_label("One less").click()
        for page in (one, other):
            expect(page.locator("#count")).to_have_text("1")
    assert visitors.complaints == []


def test_two_people_share_a_board(make: Callable[[str], Path], visitors: Visitors) -> None:
    project = make("board")
    with serving(project) as (_, url):
        ada, bob = visitors.open(url), visitors.open(url, phone=True)
        expect(ada.locator("#link")).to_have_text("Live")
        expect(ada.locator("#people li")).to_have_count(1)

        add(ada, "Water the plants")
        expect(card(bob, "Water the plants")).to_be_visible()
        card(bob, "Water the plants").get_by_label("Move to Doing").click()
        expect(ada.locator('[data-status="doing"]')).to_contain_text("Water the plants")
        expect(ada.locator('[data-status="doing"] .count')).to_have_text("2")

        card(ada, "Water the plants").drag_to(
            ada.locator('[data-status="done"] .card'), target_position={"x": 9, "y": 3}
        )
        expect(bob.locator('[data-status="done"] .words').first).to_have_text("Water the plants")
        expect(bob.locator("#summary")).to_have_text("2 of 5 done")
        expect(bob.locator("#activity li").first).to_contain_text("moved “Water the plants” to Done")

        card(ada, "Water the plants").locator(".words").click()
        ada.keyboard.type("Water all plants")
        ada.keyboard.press("Enter")
        expect(card(bob, "Water all plants")).to_be_visible()
        expect(card(ada, "Water all plants").locator(".words")).to_be_focused()

        card(ada, "Water all plants").get_by_label("Remove").click(force=True)
        expect(card(bob, "Water all plants")).to_have_count(0)
        ada.get_by_role("button", name="Undo").click()
        expect(bob.locator('[data-status="done"] .words').last).to_have_text("Water all plants")
    assert visitors.complaints == []


def test_what_the_server_refuses_is_shown_and_undone(make: Callable[[str], Path], visitors: Visitors) -> None:
    with serving(make("board")) as (_, url):
        page = visitors.open(url)
        expect(page.locator(".card")).to_have_count(4)

        add(page, "x" * 141)
        expect(page.get_by_role("alert")).to_have_text("Use at most 140 characters")
        expect(page.get_by_label("New task")).to_have_value("x" * 141)
        expect(page.locator(".card")).to_have_count(4)
        add(page, "   ")
        expect(page.get_by_role("alert")).to_have_text("Write a few words first")

        for number in range(5):
            add(page, f"task {number}")
            expect(card(page, f"task {number}")).to_be_visible()
            card(page, f"task {number}").get_by_label("Move to Doing").click(force=True)
        expect(page.locator(".toast")).to_have_text("Doing holds 5 cards: finish one first")
        expect(page.locator('[data-status="todo"]')).to_contain_text("task 4")
        expect(page.locator('[data-status="doing"] .card')).to_have_count(5)
    assert visitors.complaints == []


def test_a_name_is_changed_and_kept(make: Callable[[str], Path], visitors: Visitors) -> None:
    with serving(make("board")) as (_, url):
        page, other = visitors.open(url), visitors.open(url)
        expect(other.locator("#people li")).to_have_count(1)
        page.get_by_role("button", name="Change your name").click()
        page.get_by_role("textbox", name="Your name").fill("Ada <b>Lovelace")
        page.keyboard.press("Enter")
        expect(other.get_by_label("Ada <b>Lovelace")).to_have_text("AB")
        page.reload()
        expect(page.locator("#me")).to_contain_text("Ada <b>Lovelace")
    assert visitors.complaints == []


def test_a_click_counts_though_somebody_comes_while_the_button_is_down(
    make: Callable[[str], Path], visitors: Visitors
) -> None:
    with serving(make("board")) as (_, url):
        page = visitors.open(url)
        expect(page.locator(".card")).to_have_count(4)
        page.locator("#me span").first.hover()
        page.mouse.down()
        visitors.open(url)
        expect(page.locator("#people li")).to_have_count(1)
        page.mouse.up()
        expect(page.get_by_role("textbox", name="Your name")).to_be_visible()


def test_a_restart_loses_nothing(make: Callable[[str], Path], visitors: Visitors) -> None:
    project = make("board")
    with serving(project) as (_, url):
        page = visitors.open(url)
        expect(page.locator(".card")).to_have_count(4)
        for left in (3, 2, 1, 0):
            page.get_by_label("Remove").first.click(force=True)
            expect(page.locator(".card")).to_have_count(left)
        add(page, "Kept")
        expect(page.locator(".card")).to_have_count(1)
        expect(page.locator("#activity li")).to_have_count(5)
    with serving(project) as (_, url):
        page = visitors.open(url)
        expect(page.locator(".card")).to_have_count(1)
        assert column(page, "todo") == ["Kept"]
        expect(page.locator("#activity li")).to_have_count(5)
        expect(page.locator('[data-status="done"] .empty')).to_be_visible()
    assert visitors.complaints == []


@pytest.mark.parametrize("template", ["board", "minimal"])
def test_pages_fit_phones_and_desks_in_light_and_dark(
    template: str, make: Callable[[str], Path], visitors: Visitors
) -> None:
    grounds = set()
    with serving(make(template)) as (_, url):
        for phone in (False, True):
            for dark in (False, True):
                page = visitors.open(url, phone=phone, dark=dark)
                expect(page.locator("h1")).to_have_text("My app")
                width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
                assert width[0] <= width[1]
                grounds.add((dark, page.evaluate("getComputedStyle(document.body).backgroundColor")))
                if template == "board":
                    grounds.add(
                        (dark, page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
                    )
    colours = {dark: {colour for d, colour in grounds if d is dark} for dark in (False, True)}
    assert colours[False] != colours[True]
    assert visitors.complaints == []


def test_everything_on_the_board_has_a_name_and_is_reached_by_keyboard(
    make: Callable[[str], Path], visitors: Visitors
) -> None:
    with serving(make("board")) as (_, url):
        page = visitors.open(url)
        expect(page.locator(".card")).to_have_count(4)
        snapshot = page.locator("body").aria_snapshot()
        assert re.findall(r"- (?:button|textbox)(?:\s*:?\s*$| \[)", snapshot, re.MULTILINE) == []

        page.keyboard.press("/")
        expect(page.get_by_label("New task")).to_be_focused()
        page.keyboard.type("By keyboard")
        page.keyboard.press("Enter")
        words = card(page, "By keyboard").locator(".words")
        words.focus()
        page.keyboard.press("Tab")
        expect(card(page, "By keyboard").get_by_label("Move to Doing")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator('[data-status="doing"]')).to_contain_text("By keyboard")
        assert "By keyboard" in page.evaluate("document.activeElement.closest('.card')?.textContent ?? ''")
    assert visitors.complaints == []
