"""The page of a run in a real browser: it opens, switches and tells, without a network."""

import re
from html import unescape
from itertools import pairwise

import pytest
from browser import Browser, chromium
from pages import sequence_run

from bequest.report.page import write_comparison, write_page

pytestmark = pytest.mark.long

CELL = "#heat td[data-row='{}'][data-column='{}']"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return sequence_run(tmp_path_factory.mktemp("run") / "sequence")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium()
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(browser, folder):
    browser.problems.clear()
    browser.size(1200, 900)
    browser.media(prefers_color_scheme="light")
    path = write_page(folder)
    browser.open(path)
    yield browser
    assert not browser.problems


def text(page, row, column):
    return page.js(f'document.querySelector("{CELL.format(row, column)}").textContent')


def choose(page, name, value):
    page.js(
        f"{{ const s = document.getElementById('{name}'); s.value = '{value}';"
        " s.dispatchEvent(new Event('change')); }"
    )


def test_it_opens_without_an_error_and_without_what_a_name_smuggles_in(page):
    assert page.js("document.querySelector('h1').textContent").startswith("Four <b>tasks</b>")
    assert page.js("document.querySelectorAll('script').length") == 2
    assert page.js("document.querySelectorAll('img[src=x], h1 b').length") == 0
    assert page.js("document.documentElement.classList.contains('live')")


def test_it_loads_nothing_from_elsewhere(folder):
    path = write_page(folder)
    said = unescape(path.read_text())
    assert path.stat().st_size < 3_000_000
    assert not re.findall(r'(?:src|href|url|action)\s*[=(]\s*["\']?(?:https?:)?//', said)
    assert "default-src 'none'" in said


def test_headings_are_in_order_and_pictures_have_words(page):
    levels = page.js("[...document.querySelectorAll('h1,h2,h3,h4')].map((h) => +h.tagName[1])")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.js("document.querySelectorAll('svg[role=img]:not([aria-label])').length") == 0
    assert page.js("document.querySelectorAll('img:not([alt])').length") == 0


def test_the_metric_switch_changes_the_map(page):
    before = text(page, 1, 0)
    choose(page, "metric", "cross_entropy")
    assert text(page, 1, 0) != before
    assert "Lower is better" in page.js("document.getElementById('definition').textContent")
    choose(page, "metric", "accuracy")
    assert text(page, 1, 0) == before


def test_the_difference_switch_compares_with_a_row(page):
    choose(page, "against", "1")
    assert "▼ −" in text(page, 3, 0)
    assert text(page, 1, 0) == "0this row"
    choose(page, "against", "3")
    assert "▲ +" in text(page, 1, 0)


def test_what_python_draws_is_what_the_script_draws(page, folder):
    written = (folder / "report.html").read_text()
    cell = re.search(
        r'<td class="(k\d+)[^"]*" data-row="1" data-column="0"[^>]*>(.*?)</td>', written
    )
    assert re.sub("<[^>]+>", "", cell[2]) == text(page, 1, 0)
    drawn = page.js(f'document.querySelector("{CELL.format(1, 0)}").classList[0]')
    assert drawn == cell[1]


def test_hovering_and_walking_by_keys_show_the_tooltip(page):
    assert page.js("document.getElementById('tip').hidden")
    x, y = page.js(f"""(() => {{
        const cell = document.querySelector("{CELL.format(1, 0)}");
        cell.scrollIntoView({{behavior: "instant", block: "center"}});
        const box = cell.getBoundingClientRect();
        return [box.x + 9, box.y + 9];
    }})()""")
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    said = page.js("document.getElementById('tip').textContent")
    assert "on digits" in said
    assert "samples" in said
    assert "seeds:" in said
    page.js(f'document.querySelector("{CELL.format(1, 0)}").focus()')
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key="ArrowRight", code="ArrowRight",
                  windowsVirtualKeyCode=39)  # fmt: skip
    assert "rotated" in page.js("document.getElementById('tip').textContent")
    assert page.js("document.activeElement.dataset.column") == "1"


def test_an_absent_cell_says_why(page):
    page.js(f'document.querySelector("{CELL.format(7, 2)}").focus()')
    assert "not scored on <b>this</b>" in page.js("document.getElementById('tip').textContent")
    assert text(page, 7, 2) == "—"


def test_the_theme_follows_the_system_and_the_button(page):
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.js(colour)
    page.media(prefers_color_scheme="dark")
    dark = page.js(colour)
    assert dark != light
    page.js("document.getElementById('theme').click()")
    assert page.js(colour) == light


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough(page, scheme):
    page.media(prefers_color_scheme=scheme)
    poor = page.js(CONTRAST)
    assert poor == []


def test_a_phone_needs_no_sideways_scrolling(page):
    page.size(375, 800)
    assert page.js("document.documentElement.scrollWidth") <= 375


def test_a_table_wider_than_the_phone_says_that_it_scrolls(page):
    page.size(320, 812)
    says = "[...document.querySelectorAll('.scroll')].every(f => "
    wide = "f.classList.contains('more') === (f.scrollWidth - f.clientWidth - f.scrollLeft > 8))"
    assert page.js("document.querySelectorAll('.scroll.more').length") > 0
    assert page.js(says + wide)


def test_runs_side_by_side(browser, folder, tmp_path):
    browser.problems.clear()
    path = tmp_path / "both.html"
    write_comparison({"one": folder, "two": folder}, path)
    browser.open(path)
    choose(browser, "against", "1")
    assert "≈ 0.000" in text(browser, 9, 0)
    assert not browser.problems


# Every element with text of its own against the nearest opaque background; AA asks for 4.5,
# for large text for 3.
CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c[3] === 255) return c;
    }
    return [255, 255, 255, 255];
  };
  const poor = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.getClientRects().length) continue;
    if (['SCRIPT', 'STYLE', 'OPTION'].includes(e.tagName)) continue;
    const style = getComputedStyle(e);
    const front = rgb(e.namespaceURI.endsWith('svg') ? style.fill : style.color);
    const [a, b] = [light(front), light(behind(e))].sort((x, y) => y - x);
    const large = parseFloat(style.fontSize) >= 24;
    if ((a + .05) / (b + .05) < (large ? 3 : 4.5))
      poor.push(`${e.tagName}.${e.getAttribute('class')} ${e.textContent.slice(0, 30)}`);
  }
  return [...new Set(poor)];
})()"""
