"""The review page in a real browser: by keyboard alone, with a hostile document, on a small screen."""

import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from optimize_workers.library.reviews import Decision
from tests.recorded_runs import make_pairs

pytestmark = pytest.mark.browser

HOSTILE = (
    "</div></textarea><script>document.title = 'owned'; window.owned = 1</script>"
    '<img src=x onerror="window.owned = 2"><svg onload="window.owned = 3"><a href="javascript:window.owned=4">x</a>'
    "{{ 7 * 7 }} \u202eevil\u202c \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \x00 "
)


def position(page):
    return page.locator("#position").inner_text()


def explain(page, text):
    """Press e, write, save by Ctrl+Enter."""
    page.keyboard.press("e")
    page.keyboard.type(text)
    with page.expect_navigation():
        page.keyboard.press("Control+Enter")


def press(page, key):
    """Press a key that leads to another page."""
    with page.expect_navigation():
        page.keyboard.press(key)


def test_ten_pairs_are_reviewed_by_keyboard_undone_reloaded_and_exported(page, serve, ledger):
    url, desk = serve()
    page.goto(url)
    press(page, "j")
    for number in range(10):
        assert position(page) == f"{number + 1} of 30"
        explain(page, f"A page that only mentions the subject is no answer, case {'abcdefghij'[number]}.")
        press(page, "arw"[number % 3])
    assert page.locator("header p").inner_text() == "10 of 30 decided"

    press(page, "u")  # the tenth was accepted
    assert position(page) == "10 of 30"
    assert page.locator("#decision").inner_text() == "open"
    press(page, "a")
    press(page, "k")
    assert page.locator("#decision").inner_text() == "accepted by ada"

    page.reload()
    assert page.locator("#decision").inner_text() == "accepted by ada"
    assert page.locator("#explanation").input_value().endswith("case j.")
    assert page.locator("#bullet").input_value() == page.locator("#explanation").input_value()

    with page.expect_download() as download:
        page.get_by_text("Export").click()
    exported = Path(download.value.path()).read_text(encoding="utf-8")
    lines = [json.loads(line) for line in exported.splitlines()]
    assert [line["decision"] for line in lines] == ["accepted", "rejected", "label_wrong"] * 3 + ["accepted"]
    assert [event["kind"] for event in lines[-1]["events"]] == ["explained", "accepted", "undone", "accepted"]
    assert {event["author"] for line in lines for event in line["events"]} == {"ada"}
    assert [review.decision for review in desk.reviews().values()].count(Decision.ACCEPTED) == 4
    assert page.problems == []


def test_a_bullet_is_edited_and_one_that_the_guardrails_refuse_is_not_accepted(page, serve, ledger):
    url, _ = serve()
    page.goto(url)
    press(page, "j")
    explain(page, "Rate it from 1 to 10.")
    assert "The guardrails refuse this bullet, scale_change" in page.locator("main").inner_text()
    page.keyboard.press("a")
    page.wait_for_selector("[role=alert]")
    assert "guardrails refuse" in page.locator("[role=alert]").inner_text()
    assert [str(event.kind) for event in ledger.review_events()] == ["explained"]
    page.keyboard.press("b")
    page.keyboard.press("Control+A")
    page.keyboard.type("A page that only mentions the subject is no answer.")
    page.keyboard.press("Escape")
    press(page, "a")
    assert position(page) == "2 of 30"
    press(page, "k")
    assert page.locator("#bullet").input_value() == "A page that only mentions the subject is no answer."


def test_keys_do_nothing_inside_a_text_field_and_the_help_opens(page, serve, ledger):
    url, _ = serve()
    page.goto(url)
    press(page, "j")
    page.keyboard.press("e")
    page.keyboard.type("jkarwu?")
    assert page.locator("#explanation").input_value() == "jkarwu?"
    assert position(page) == "1 of 30"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#help").is_hidden()
    assert ledger.review_events() == []


def test_filters_narrow_the_queue_and_stay_while_reading(page, serve):
    url, _ = serve()
    page.goto(url)
    page.select_option("select[name=direction]", "too generous")
    page.select_option("select[name=state]", "open")
    with page.expect_navigation():
        page.get_by_role("button", name="Filter").click()
    shown = page.locator("tbody tr").count()
    assert 0 < shown < 30
    press(page, "j")
    assert position(page) == f"1 of {shown} filtered"
    press(page, "w")
    assert "direction=too" in page.url
    assert position(page) == f"1 of {shown - 1} filtered"


def test_a_hostile_document_renders_harmlessly(page, serve):
    hostile = HOSTILE + "right-to-left \u0639\u0631\u0628\u064a " * 12_000
    assert len(hostile.encode()) > 200_000
    pairs = make_pairs(6)
    first = replace(pairs[0], item=replace(pairs[0].item, document=hostile, query=HOSTILE), explanations=(HOSTILE,))
    url, desk = serve([first, *pairs[1:]])
    number = next(entry.number for entry in desk.entries if entry.example.item.query == HOSTILE)
    page.goto(url)
    base = f"http://{urlsplit(url).netloc}"
    page.goto(f"{base}/pair/{number}")
    assert "<script>document.title = 'owned'" in page.locator("#document").inner_text()
    assert "{{ 7 * 7 }}" in page.locator("#query").inner_text()
    assert len(page.locator("#document").inner_text()) < 5_000
    explain(page, HOSTILE.replace("\x00", ""))
    assert page.locator("#explanation").input_value().startswith("</div></textarea><script>")
    press(page, "s")
    assert len(page.locator("#document").inner_text()) > 200_000
    page.goto(f"{base}/")
    assert page.evaluate("window.owned") is None
    assert "owned" not in page.title()
    assert page.locator("script").count() == 1
    assert page.locator("main img, main svg").count() == 0
    assert page.problems == []


def test_an_injected_inline_script_would_not_run(page, serve):
    url, _ = serve()
    page.goto(url)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.owned = 1\">')")
    page.wait_for_timeout(300)
    assert page.evaluate("window.owned") is None
    assert any("Content Security Policy" in problem for problem in page.problems)


def test_an_address_for_a_browser_opens_the_page_once(page, open_page, serve):
    serve()
    given = serve.served.url_for_once()
    page.goto(given)
    assert page.locator("tbody tr").count() == 30
    assert "token" not in page.url
    press(page, "j")
    page.goto(given)  # who is in stays in
    assert page.locator("tbody tr").count() == 30
    other = open_page()
    other.goto(given)
    assert "this address was used already" in other.locator("body").inner_text()
    other.goto(serve.served.address)
    assert other.locator("tbody").count() == 0


def test_two_windows_of_one_person_show_what_the_other_one_stored(page, open_page, serve, ledger):
    url, desk = serve()
    page.goto(url)
    press(page, "j")
    second = open_page(page.context)
    second.goto(page.url)
    explain(page, "The first window was faster.")
    explain(second, "The second window says something else.")
    told = second.locator("[role=alert]").inner_text()
    assert "in another window" in told
    assert "The first window was faster." in told
    assert desk.reviews()[desk.entries[0].key].explanation == "The first window was faster."
    second.keyboard.press("j")  # what was refused is stored nowhere: leaving asks first, and the person stays
    second.wait_for_timeout(300)
    assert second.problems[-1] == "dialog: beforeunload"
    assert position(second) == "1 of 30"
    with second.expect_navigation():
        second.get_by_role("button", name="Save").click()
    assert desk.reviews()[desk.entries[0].key].explanation == "The second window says something else."


def test_a_key_pressed_twice_is_one_action(page, serve, ledger):
    url, _ = serve()
    page.goto(url)
    press(page, "j")
    with page.expect_navigation():
        page.evaluate(
            "for (const key of ['r', 'r', 'w'])"
            " document.body.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}))"
        )
    page.wait_for_timeout(300)
    assert [str(event.kind) for event in ledger.review_events()] == ["rejected"]
    assert position(page) == "2 of 30"
    press(page, "r")  # the next page takes keys again
    assert len(ledger.review_events()) == 2


@pytest.mark.parametrize("keys", ["Control+a", "Alt+r", "Meta+w", "Shift+R", "Shift+J"])
def test_keys_with_others_held_are_the_browsers_own(page, serve, ledger, keys):
    url, _ = serve()
    page.goto(url)
    press(page, "j")
    page.keyboard.press(keys)
    page.wait_for_timeout(200)
    assert (position(page), ledger.review_events()) == ("1 of 30", [])


def test_caps_lock_changes_no_key(page, serve, ledger):
    url, _ = serve()
    page.goto(url)
    press(page, "J")
    press(page, "R")
    assert [str(event.kind) for event in ledger.review_events()] == ["rejected"]


def test_keys_do_nothing_in_a_choice_or_under_the_help(page, serve, ledger):
    url, _ = serve()
    page.goto(url)
    page.focus("select[name=state]")
    page.keyboard.type("jur")
    assert page.locator("tbody tr").count() == 30
    page.focus("#show-help")
    page.keyboard.press("?")
    page.keyboard.type("juq")
    assert page.locator("#help").is_visible()
    assert ledger.review_events() == []


def test_focus_goes_in_the_order_of_reading(page, serve):
    url, _ = serve()
    page.goto(url)
    press(page, "j")
    press(page, "j")
    named = "(e => e.id || e.value || e.textContent.trim().split(' ')[0].trim())(document.activeElement)"
    order = []
    for _ in range(13):
        page.keyboard.press("Tab")
        order.append(page.evaluate(named))
    header = ["Queue", "Bias", "Undo", "show-help", "Previous", "Next"]
    assert order == [*header, "document", "explanation", "bullet", "save", "accept", "reject", "label_wrong"]


@pytest.mark.parametrize("width", [360, 800, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_window_needs_sideways_scrolling_and_focus_is_visible(page, serve, scheme, width):
    pairs = make_pairs(6)
    item = replace(pairs[0].item, query="q" * 3_000, document="d" * 9_000)
    url, _ = serve([replace(pairs[0], item=item, explanations=("r" * 3_000,)), *pairs[1:]], author="a" * 100)
    page.set_viewport_size({"width": width, "height": 640})
    page.emulate_media(color_scheme=scheme)
    page.goto(url)
    for key in (None, "j"):
        if key:
            press(page, key)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    background = page.evaluate("getComputedStyle(document.documentElement).colorScheme")
    assert background == "light dark"
