"""The rules of axe-core, which the session `browser` fetches."""

import json
import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

CHECK = """axe.run(document, {resultTypes: ['violations']}).then(found => found.violations
  .filter(rule => ['serious', 'critical'].includes(rule.impact))
  .map(rule => rule.id + ': ' + rule.nodes.slice(0, 3).map(node => node.html.slice(0, 150))))"""


@pytest.fixture(scope="module")
def axe():
    file = os.environ.get("ZOSAM_AXE")
    if not file or not Path(file).is_file():
        pytest.skip("ZOSAM_AXE names no axe.min.js: run the nox session `browser`")
    return Path(file).read_text(encoding="utf-8")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_serious_violation(browser, report, axe, dark, width):
    browser.open(report, dark=dark, width=width)
    browser.run("for (const each of document.querySelectorAll('details')) each.open = true")
    browser.run(axe)
    assert browser.run(CHECK) == []


def test_no_serious_violation_in_the_page_of_several_runs(browser, several, axe):
    browser.open(several, width=390)
    browser.run(axe)
    assert browser.run(CHECK) == []


def test_no_serious_violation_with_a_focus(browser, report, axe):
    browser.open(report, fragment="#method=zo-sam-rigl-0.9&corruption=snow&sort-methods-0=2.up")
    browser.run(axe)
    assert browser.run(CHECK) == []


def test_the_rules_find_what_is_wrong(browser, report, axe):
    browser.open(report)
    browser.run(axe)
    browser.run("document.querySelector('main').prepend(document.createElement('img'))")
    assert json.dumps(browser.run(CHECK)).count("image-alt") == 1
