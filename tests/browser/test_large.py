"""Forty cells, nineteen corruptions, five severities; print; hostile names."""

import base64
import copy

import pytest

pytestmark = pytest.mark.browser

HOSTILE = "</script><b>\"'`&\x00\x07\u202eesrever\u2066\U0001f600" + "w" * 270


def test_a_large_page_works(browser, large):
    assert large.stat().st_size < 4_000_000
    browser.open(large)
    assert browser.problems() == []
    assert browser.run("document.querySelectorAll('.methods')[0].tBodies[0].rows.length") == 40
    assert (
        browser.run("document.querySelectorAll('.heat:not(.contrast) tbody tr[data-c]').length")
        == 21
    )
    assert browser.run("document.querySelectorAll('.panels-severity .panel').length") == 19
    browser.run("document.querySelectorAll('.methods .pick')[30].click()")
    assert "method=" in browser.run("location.hash")
    assert browser.run("document.documentElement.scrollWidth") <= 1400
    high = "document.querySelector('{}').getBoundingClientRect().height"
    assert browser.run(high.format(".methods")) > 1400
    for frame, most in (("#methods .box", 720), ("#severity .legend", 130)):
        assert browser.run(high.format(frame)) <= most
        assert browser.run(f"document.querySelector('{frame}').tabIndex") == 0


def test_on_a_phone_accuracy_and_verdict_come_first(browser, report):
    """Without scrolling sideways: the two accuracies; above the facts: the verdict."""
    browser.open(report, width=390)
    seen = browser.run("""[...document.querySelector('.methods').tHead.rows[0].cells]
      .filter(cell => cell.getBoundingClientRect().right <= innerWidth)
      .map(cell => cell.textContent)""")
    assert len(seen) >= 3
    assert "Corrupted" in seen[1]
    assert "Against best" in seen[2]
    top = "document.querySelector('{}').getBoundingClientRect().top + scrollY"
    places = [browser.run(top.format(s)) for s in (".verdict", ".answer svg", ".answers", "nav")]
    assert places == sorted(places)
    assert places[0] < 420
    heads = "[...document.querySelector('#differences table').tHead.rows[0].cells]"
    assert browser.run(f"{heads}.slice(0, 3).map(cell => cell.textContent)") == [
        "corruption", "difference", "verdict",
    ]  # fmt: skip


A4 = 718  # CSS pixels between Chromium's margins


@pytest.mark.parametrize(("name", "script"), [("report", 1), ("report", 0), ("large", 1)])
def test_nothing_is_cut_off_on_paper(browser, request, name, script):
    page = request.getfixturevalue(name)
    browser.open(page, width=A4, media="print", script=bool(script))
    beyond = """[...document.querySelectorAll('table, svg.chart, img, pre, p, h2, canvas')]
      .filter(e => e.getClientRects().length && e.getBoundingClientRect().right > innerWidth + 1)
      .map(e => e.tagName + (e.caption?.textContent ?? '') + e.getBoundingClientRect().right)"""
    assert browser.run(beyond) == []
    pdf = base64.b64decode(browser.send("Page.printToPDF", printBackground=True)["data"])
    assert pdf.startswith(b"%PDF")
    assert 3 < pdf.count(b"/Type /Page\n") < 40


def test_hostile_names_are_text_in_every_place(browser, runs, tmp_path):
    results = runs.make_results(kinds=3, corruptions=4, n=40)
    poisoned = copy.deepcopy(results)
    for method in poisoned["methods"]:
        method["label"] += HOSTILE
    poisoned["title"] = poisoned["data"]["title"] = HOSTILE
    poisoned["data"]["classes"] = [HOSTILE]
    poisoned["provenance"]["command"] += " --data " + HOSTILE
    poisoned["suite"]["name"] = HOSTILE
    page = runs.build(tmp_path / "run", poisoned)
    for width in (390, 1400):
        browser.open(page, width=width)
        assert browser.problems() == []
        assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("document.querySelectorAll('main b b, p b, main script').length") == 0
    text = browser.run("document.body.innerText")
    assert "␀␇[U+202E]esrever[U+2066]\U0001f600" in text
    assert "</script><b>\"'`&" in text
    assert "\u202e" not in page.read_text(encoding="utf-8")
