"""Focus on a method or corruption, tables, links and files."""

import csv
import io
from xml.etree import ElementTree as ET

import pytest

pytestmark = pytest.mark.browser

METHOD = "zo-sam-rigl-0.9"
DIMMED = """[...document.querySelectorAll('#severity svg.chart')[0].querySelectorAll('g[data-m]')]
  .map(g => Number(getComputedStyle(g).opacity) < 0.5)"""
DATA = "JSON.parse(document.getElementById('data').textContent)"
NUMBER = f"{DATA}.methods.findIndex(m => m.id === '{METHOD}')"
WATCH = """window.saved = [];
  URL.createObjectURL = blob => { window.saved.push(blob); return '#'; }; true"""
REST = "new Promise(done => setTimeout(done, 120))"
STILL = """(() => { const style = document.createElement('style');
  style.textContent = '* { transition: none !important }'; document.head.append(style); })()"""


def hash_of(browser):
    return browser.run("decodeURIComponent(location.hash)")


def test_choosing_a_method_lights_it_up_everywhere_and_again_lets_go(browser, page):
    number = browser.run(NUMBER)
    browser.run(STILL)
    assert not any(browser.run(DIMMED))
    button = f"document.querySelector('.legend [data-m=\"{number}\"] .pick')"
    browser.run(f"{button}.click()")
    browser.run(f"document.activeElement.blur(); {REST}")
    assert [i for i, dim in enumerate(browser.run(DIMMED)) if not dim] == [number]
    assert f"method={METHOD}" in hash_of(browser)
    pressed = f"""[...document.querySelectorAll('[data-m="{number}"] .pick')]
      .map(b => b.getAttribute('aria-pressed'))"""
    assert set(browser.run(pressed)) == {"true"}
    browser.run(f"{button}.click()")
    assert not any(browser.run(DIMMED))
    assert hash_of(browser) == ""


def test_a_corruption_is_chosen_by_its_name_in_the_heat_map(browser, page):
    browser.run(STILL)
    browser.run("document.querySelector('.heat tr[data-c=\"4\"] .pick').focus()")
    browser.press("Enter", text="\r", code=13)
    assert hash_of(browser).startswith("#corruption=")
    browser.run(f"document.activeElement.blur(); {REST}")
    shown = """[...document.querySelectorAll('#severity .panel')]
      .filter(panel => getComputedStyle(panel.querySelector('svg')).opacity === '1')
      .map(panel => panel.dataset.c)"""
    assert browser.run(shown) == ["4"]
    pressed = "[...document.querySelectorAll('.pick[aria-pressed=true]')].length"
    assert browser.run(pressed) == 1


def test_focus_by_keyboard_lights_up_too(browser, page):
    browser.run(STILL)
    number = browser.run(NUMBER)
    browser.run(f"document.querySelector('.methods [data-m=\"{number}\"] .pick').focus(); {REST}")
    assert [i for i, dim in enumerate(browser.run(DIMMED)) if not dim] == [number]


def test_a_link_restores_the_view(browser, report):
    fragment = (
        f"#method={METHOD}&corruption=shot_noise&sort-methods-0=2.down&filter-methods-1=sam"
        "&theme=dark&at=corruptions"
    )
    browser.open(report, fragment=fragment)
    bar = "[...document.querySelectorAll('.controls select')].map(s => s.selectedOptions[0].text)"
    method, corruption = browser.run(bar)
    assert "ZO-SAM" in method
    assert corruption == "shot noise"
    head = "document.querySelector('.methods').tHead.rows[0].cells[2].ariaSort"  # corrupted
    assert browser.run(head) == "descending"
    rows = "[...document.querySelectorAll('.methods')[1].tBodies[0].rows].filter(r => !r.hidden)"
    assert all("SAM" in name for name in browser.run(f"{rows}.map(r => r.textContent)"))
    assert browser.run("document.documentElement.dataset.theme") == "dark"
    top = browser.run("document.querySelector('#corruptions').getBoundingClientRect().top")
    assert abs(top) < 200


def test_unknown_parts_of_a_link_do_no_harm(browser, report):
    fragment = (
        "#method=none&corruption=%E0%A4%A&sort-methods-0=99.up&surface=a_b&plane=x&at=nowhere&&="
    )
    browser.open(report, fragment=fragment)
    assert browser.run("document.querySelectorAll('.pick[aria-pressed=true]').length") == 0
    assert browser.problems() == []


def test_an_anchor_keeps_the_choices(browser, report):
    browser.open(report, fragment=f"#method={METHOD}")
    browser.run("location.hash = '#claims'; new Promise(done => setTimeout(done, 50))")
    assert browser.run("document.querySelector('.controls select').value") != ""
    assert hash_of(browser) in {f"#at=claims&method={METHOD}", f"#method={METHOD}&at=claims"}


def test_methods_can_be_left_out(browser, page):
    shown = """[...document.querySelector('.methods').tBodies[0].rows]
      .filter(row => row.getClientRects().length).length"""
    before = browser.run(shown)
    browser.run("""const field = document.querySelector('.controls input'); field.value = 'zo-sam';
      field.dispatchEvent(new Event('input'))""")
    assert 0 < browser.run(shown) < before
    heads = """[...document.querySelector('.heat').tHead.rows[0].cells]
      .filter(cell => cell.getClientRects().length).length"""
    assert browser.run(heads) == 1 + browser.run(shown)
    browser.run("document.querySelector('.actions button:last-child').click()")
    assert browser.run(shown) == before


def test_words_that_match_nothing_are_said_to(browser, page):
    shown = """[...document.querySelector('.methods').tBodies[0].rows]
      .filter(row => row.getClientRects().length).length"""
    before = browser.run(shown)
    browser.run("""const field = document.querySelector('.controls input'); field.value = 'nobody';
      field.dispatchEvent(new Event('input'))""")
    assert browser.run(shown) == before
    told = browser.run("document.querySelector('.controls .count').textContent")
    assert told == "No method has these words: all are shown."
    browser.run("document.querySelector('#differences details').open = true")
    browser.run("""const table = document.querySelector('#differences table');
      window.box = table.closest('.sheet').querySelector('input'); box.value = 'nothing';
      box.dispatchEvent(new Event('input'))""")
    assert browser.run("box.parentElement.querySelector('.count').textContent") == (
        "No row has these words."
    )


def test_rows_filter_by_words(browser, page):
    table = "document.querySelector('#differences table')"
    browser.run("document.querySelector('#differences details').open = true")
    browser.run(f"""const box = {table}.closest('.sheet').querySelector('input');
      box.value = 'blur'; box.dispatchEvent(new Event('input'))""")
    rows = f"[...{table}.tBodies[0].rows].filter(row => !row.hidden)"
    assert browser.run(f"{rows}.map(row => row.cells[0].textContent)") == [
        "defocus blur",
        "glass blur",
        "motion blur",
        "zoom blur",
    ]


def test_tables_leave_as_csv_with_all_digits(browser, page, runs):
    browser.run(WATCH)
    browser.run("document.querySelector('#methods .tools button:last-child').click()")
    text = browser.run("saved[0].text()")
    rows = list(csv.reader(io.StringIO(text)))
    assert len({len(row) for row in rows}) == 1
    column = rows[0].index("Clean %")
    assert rows[0][column : column + 3] == ["Clean %", "Clean % low", "Clean % high"]
    values = browser.run("""[...document.querySelector('.methods').tBodies[0].rows]
      .map(row => row.cells[[...row.closest('table').tHead.rows[0].cells]
        .findIndex(head => head.textContent.startsWith('Clean'))])
      .map(cell => [cell.dataset.sort, cell.textContent])""")
    for row, (stored, shown) in zip(rows[1:], values, strict=True):
        value, low, high = map(float, row[column : column + 3])
        assert value == 100 * float(stored)  # per cent, as the head says
        assert shown.startswith(f"{value:.1f}")
        assert f"[{low:.1f},\u00a0{high:.1f}]" in shown


def test_a_table_of_differences_leaves_with_both_limits_in_points(browser, page):
    browser.run(WATCH)
    browser.run("document.querySelector('#differences .tools button[aria-label^=CSV]').click()")
    head, *rows = csv.reader(io.StringIO(browser.run("saved[0].text()")))
    assert head[:5] == ["corruption", "difference", "verdict", "interval low", "interval high"]
    shown = browser.run("""[...document.querySelector('#differences table').tBodies[0].rows]
      .map(row => [row.cells[1].textContent, row.cells[3].textContent])""")
    for row, (difference, interval) in zip(rows, shown, strict=True):
        value, low, high = (float(row[i]) for i in (1, 3, 4))
        assert f"{value:+.2f}".replace("-", "−").lstrip("+−") in difference
        assert low < value < high
        assert f"{abs(high):.2f}]" in interval
        assert len(row[1]) > 6  # all digits


def test_the_cells_of_a_table_still_hold_hostile_names(browser, page):
    browser.run(WATCH)
    browser.run("document.querySelector('#methods .tools button:last-child').click()")
    rows = list(csv.reader(io.StringIO(browser.run("saved[0].text()"))))
    assert "</script><img src=x onerror=alert(1)>" in "".join(row[0] for row in rows)


def test_figures_leave_as_svg_without_the_page(browser, page):
    browser.run(WATCH)
    browser.run("for (const b of document.querySelectorAll('[aria-label^=SVG]')) b.click()")
    count = browser.run("saved.length")
    assert count == browser.run("document.querySelectorAll('[aria-label^=SVG]').length") > 4
    for i in range(count):
        root = ET.fromstring(browser.run(f"saved[{i}].text()"))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        images = [e.attrib["href"] for e in root.iter("{http://www.w3.org/2000/svg}image")]
        assert all(image.startswith("data:image/png") for image in images)
        assert images or len({e.attrib.get("stroke") for e in root.iter()}) > 2
        assert not any("var(" in value for e in root.iter() for value in e.attrib.values())


def test_values_appear_beside_the_pointer(browser, page):
    place = browser.run("""(() => { const chart = document.querySelector('#severity svg.chart');
      chart.scrollIntoView({block: 'center', behavior: 'instant'});
      const box = chart.getBoundingClientRect();
      return [box.x + box.width / 2, box.y + box.height / 2]; })()""")
    browser.pointer("Moved", *place)
    tip = browser.run("document.querySelector('.tip').textContent")
    assert "severity" in tip
    assert "ZO-SAM" in tip


def test_the_numbers_of_a_comparison_appear_beside_the_pointer(browser, page):
    place = browser.run("""(() => {
      const mark = document.querySelector('#differences g[data-c="3"] use');
      mark.scrollIntoView({block: 'center', behavior: 'instant'});
      const box = mark.getBoundingClientRect();
      return [box.x + box.width / 2, box.y + box.height / 2]; })()""")
    browser.pointer("Moved", *place)
    tip = browser.run("document.querySelector('.tip').innerText")
    row = browser.run(
        """document.querySelector('#differences tr[data-c="3"]').cells[1].textContent"""
    )
    assert f"difference: {row}" in tip


def test_heads_keep_their_words(browser, report):
    words = """[...document.querySelectorAll('thead th')]
      .map(head => head.textContent.replace(/\\s+/g, ' ').trim())"""
    without = browser.open(report, script=False).run(words)
    assert browser.open(report).run(words) == without
    assert len(without) > 20
