import pytest

pytestmark = pytest.mark.browser

CUT_OFF = """[...document.querySelectorAll('.panel svg')].flatMap(svg => {
  const box = svg.getBoundingClientRect();
  const outside = t => t.left < box.left - 1 || t.right > box.right + 1
    || t.top < box.top - 1 || t.bottom > box.bottom + 1;
  return [...svg.querySelectorAll('text')]
    .filter(text => outside(text.getBoundingClientRect()))
    .map(text => svg.getAttribute('aria-label').slice(0, 40) + ': ' + text.textContent);
})"""

OVERLAPPING = """[...document.querySelectorAll('.panel svg')].flatMap(svg => {
  const texts = [...svg.querySelectorAll('text')]
    .map(text => [text.textContent, text.getBoundingClientRect()]);
  const found = [];
  texts.forEach(([a, p], i) => texts.slice(i + 1).forEach(([b, q]) => {
    const w = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const h = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (w > 1 && h > 3) found.push(a + ' / ' + b);
  }));
  return found;
})"""

CLEAN = """[...document.querySelectorAll('.methods')[0].tBodies[0].rows]
  .map(row => Number(row.cells[1].dataset.sort))"""


@pytest.mark.parametrize("width", [360, 390, 800, 1400])
def test_the_page_fits_its_window(browser, report, width):
    browser.open(report, width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [360, 1400])
def test_tables_have_the_width_of_the_page(browser, report, width):
    browser.open(report, width=width)
    browser.run("for (const each of document.querySelectorAll('details')) each.open = true")
    narrow = """[...document.querySelectorAll('.box')]
      .filter(box => box.clientWidth < 0.9 * document.querySelector('main').clientWidth)
      .map(box => box.getAttribute('aria-label'))"""
    assert browser.run(narrow) == []


@pytest.mark.parametrize("width", [360, 1400])
def test_no_text_of_a_figure_is_cut_off_or_hidden(browser, report, width):
    browser.open(report, width=width)
    assert browser.run("document.querySelectorAll('.panel svg text').length") > 100
    assert browser.run(CUT_OFF) == []
    assert browser.run(OVERLAPPING) == []


def test_nothing_is_requested_and_nothing_complains(browser, report):
    browser.open(report)
    complaints = browser.problems()
    sent = [e for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    urls = {e["params"]["request"]["url"] for e in sent}
    fetched = {url.partition("?")[0] for url in urls if not url.startswith("data:")}
    assert fetched == {report.as_uri()}
    assert complaints == []


def test_both_themes_follow_the_system_the_button_and_the_address(browser, report):
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    light = browser.open(report).run(paper)
    dark = browser.open(report, dark=True).run(paper)
    assert light != dark
    browser.run("document.querySelector('[data-choice=light]').click()")
    assert browser.run(paper) == light
    assert browser.open(report, fragment="#theme=dark").run(paper) == dark
    assert browser.open(report, dark=True, media="print").run(paper) == light


def test_figures_change_with_the_theme(browser, report):
    ink = "getComputedStyle(document.querySelector('.panel svg text')).fill"
    assert browser.open(report).run(ink) != browser.open(report, dark=True).run(ink)


def test_tables_sort_by_keyboard_and_say_so(browser, report):
    browser.open(report)
    head = "document.querySelectorAll('.methods')[0].tHead.rows[0].cells[1]"
    for direction in ("ascending", "descending"):
        browser.run(f"{head}.querySelector('button').focus()")
        browser.press("Enter", text="\r", code=13)
        assert browser.run(f"{head}.getAttribute('aria-sort')") == direction
        values = browser.run(CLEAN)
        assert values == sorted(values, reverse=direction == "descending")


def test_without_script_everything_but_the_switches_is_there(browser, report):
    count = (
        "[document.querySelectorAll('section').length, document.querySelectorAll('.panel').length]"
    )
    complete = browser.open(report).run(count)
    assert browser.open(report, script=False).run(count) == complete
    assert browser.run("getComputedStyle(document.querySelector('.theme')).display") == "none"
    assert browser.run("document.querySelectorAll('main button').length") == 0
    assert browser.run("getComputedStyle(document.querySelector('.controls')).display") == "none"


def test_hostile_names_stay_names(browser, report):
    browser.open(report)
    assert browser.run("document.querySelectorAll('img[onerror], section script').length") == 0
    assert "onerror=alert(1)" in browser.run("document.querySelector('#methods').textContent")


@pytest.mark.parametrize("width", [390, 1400])
def test_several_runs_fit_sort_and_complain_of_nothing(browser, several, width):
    browser.open(several, width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    head = "document.querySelector('#methods table').tHead.rows[0].cells[2]"
    browser.run(f"{head}.querySelector('button').click()")
    assert browser.run(f"{head}.getAttribute('aria-sort')") == "ascending"
    values = browser.run("""[...document.querySelector('#methods table').tBodies[0].rows]
      .map(row => Number.parseFloat(row.cells[2].textContent))""")
    assert values == sorted(values)
    assert browser.problems() == []
