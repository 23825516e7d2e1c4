"""The report in a real browser: light, dark, narrow, printed; no request, no error, hostile texts harmless."""

import pytest

from tests.browser.reports import write_full_report

pytestmark = pytest.mark.browser

HOSTILE = (
    "</p></li><script>document.title = 'owned'; window.owned = 1</script>"
    '<img src=x onerror="window.owned = 2"><svg onload="window.owned = 3"><a href="javascript:window.owned=4">x</a>'
    "{{ 7 * 7 }} \u202eevil \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd "
)
LEAST_CONTRAST = 4.5  # of normal text, WCAG 2.2 AA


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The file of a report with everything in it, and a hostile document of 200 kB among the worst disagreements."""
    return write_full_report(tmp_path_factory.mktemp("report") / "run", {7: HOSTILE + "word " * 40_000, 19: HOSTILE})


@pytest.fixture
def opened(page, report):
    """Opens the report; what it asks for beside itself is in `page.requests`."""
    page.requests = []

    def open_report(width=1300, scheme="light"):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(report.as_uri())
        return page

    return open_report


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_without_errors_and_asks_for_nothing(opened, scheme):
    page = opened(scheme=scheme)
    assert page.problems == []
    assert len(page.requests) == 1 and page.requests[0].startswith("file:")
    assert page.evaluate("document.querySelectorAll('figure svg').length") >= 9
    assert page.evaluate("document.querySelectorAll('script').length") == 0


def test_hostile_texts_do_nothing_and_stay_in_their_place(opened):
    page = opened()
    assert page.title().startswith("Optimization with")
    assert page.evaluate("window.owned") is None
    cards = page.locator(".card", has_text="document.title = 'owned'")
    assert cards.count() >= 1
    assert page.locator("img").count() == 0
    assert page.evaluate("[...document.querySelectorAll('.document')].every(p => p.dir == 'auto')")
    assert cards.first.bounding_box()["height"] < 600


@pytest.mark.parametrize("width", [400, 800, 1300])
def test_nothing_is_wider_than_the_window(opened, width):
    page = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(opened, scheme):
    """Contrast of every text with the first opaque colour behind it; shades of the matrix are laid over the page."""
    poor = opened(scheme=scheme).evaluate(_CONTRAST, LEAST_CONTRAST)
    assert poor == []


def test_colours_follow_the_scheme(opened):
    page = opened()
    colour = "getComputedStyle(document.querySelector('#chart-axis text')).fill"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(colour) != light


def test_it_prints_on_white_in_few_pages(opened):
    page = opened(scheme="dark")
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF") and 3 <= pdf.count(b"/Type /Page\n") <= 25
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_every_chart_has_a_name_and_its_table_opens_by_keyboard(opened):
    page = opened()
    figures = page.locator("figure")
    for number in range(figures.count()):
        figure = figures.nth(number)
        assert len(figure.get_by_role("img").get_attribute("aria-label")) > 10
        assert figure.locator("tbody tr").count() > 0
    page.locator("#chart-axis summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#chart-axis table").is_visible()


def test_contents_lead_to_their_sections(opened):
    page = opened()
    page.get_by_role("link", name="Gate").click()
    assert page.evaluate("Math.abs(document.querySelector('#gate').getBoundingClientRect().top) < 200")
    assert page.problems == []


_CONTRAST = """
least => {
  const parse = colour => { const c = colour.match(/[\\d.]+/g).map(Number); return c.length < 4 ? [...c, 1] : c; };
  const over = (top, under) => top.slice(0, 3).map((c, i) => c * top[3] + under[i] * (1 - top[3]));
  const linear = c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
  const light = rgb => { const [r, g, b] = rgb.map(c => linear(c / 255)); return .2126 * r + .7152 * g + .0722 * b; };
  const behind = element => { const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]); };
  const poor = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || element.tagName == 'title') continue;
    const style = getComputedStyle(element), under = behind(element);
    const text = over(parse(element.closest('svg') ? style.fill : style.color), under);
    const [a, b] = [light(text), light(under)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < least) poor.push([ratio.toFixed(2), element.className, texts.currentNode.data.slice(0, 40)]);
  }
  return poor;
}
"""
