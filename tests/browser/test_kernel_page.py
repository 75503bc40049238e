"""The page of the neural zeroth-order kernel: linked marks, values at the pointer, width."""

import pytest

pytestmark = pytest.mark.browser

REST = "new Promise(done => setTimeout(done, 250))"


@pytest.fixture(scope="module")
def kernel_page(tmp_path_factory):
    from robustbench_zosam.files import read_json, write_json
    from robustbench_zosam.nzk import StudyConfig, build_page, run_study

    folder = tmp_path_factory.mktemp("nzk")
    run_study(StudyConfig(data="synthetic", seeds=(0, 1), steps=20, draws=100), folder)
    results = read_json(folder / "nzk.json")
    curve = results["problems"][0]["tuned"]["shared"]
    last = len(curve["steps"]) // 2
    for key in ("mean", "low", "high"):  # as if it had diverged
        curve[key][last:] = [None] * (len(curve[key]) - last)
    write_json(folder / "nzk.json", results)
    return build_page(folder)


def tip(browser, figure, x, y):
    chart = f"document.querySelector('#{figure} svg.chart')"
    browser.run(f"{chart}.scrollIntoView({{block: 'center', behavior: 'instant'}}); {REST}")
    box = f"{chart}.getBoundingClientRect()"
    left, top, width, height = browser.run(f"['x', 'y', 'width', 'height'].map(k => {box}[k])")
    browser.pointer("Moved", left + x * width, top + y * height)
    return browser.run("[...document.querySelectorAll('.tip > div')].map(line => line.textContent)")


@pytest.mark.parametrize("width", [390, 1100])
def test_the_page_fits_and_says_nothing_to_the_console(browser, kernel_page, width):
    browser.open(kernel_page, width=width, dark=width == 390)
    assert browser.problems() == []
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("document.querySelectorAll('[aria-label^=SVG]').length") == 5


def test_a_chosen_update_lights_up_in_all_figures(browser, kernel_page):
    browser.open(kernel_page)
    browser.run("document.querySelector('#tuned .legend [data-m=\"0\"] .pick').click()")
    browser.run(f"document.activeElement.blur(); {REST}")
    dim = """[...document.querySelectorAll('svg.chart g[data-m]')]
      .filter(g => Number(getComputedStyle(g).opacity) < 0.5)"""
    assert browser.run(f"{dim}.some(g => g.dataset.m === '0' || g.dataset.other === '0')") is False
    others = "svg.chart g:is([data-m]:not([data-m='0'], [data-other='0']))"
    assert browser.run(f"{dim}.length") == browser.run(
        f'document.querySelectorAll("{others}").length'
    )
    assert browser.run("location.hash") == "#method=shared"


def test_values_appear_with_the_names_of_their_lines(browser, kernel_page):
    browser.open(kernel_page)
    found = tip(browser, "equal", 0.7, 0.3)
    assert found[0].startswith("training step + 1 ")
    for words in ("shared vector ", "shared vector, expected loss ", "independent vectors, "):
        assert any(line.startswith(words) for line in found)
    assert any(line.startswith("theory ") for line in tip(browser, "kernels", 0.5, 0.5))


def test_a_curve_that_ended_has_no_value_there(browser, kernel_page):
    browser.open(kernel_page)
    assert any(line.startswith("shared vector ") for line in tip(browser, "tuned", 0.35, 0.3))
    late = tip(browser, "tuned", 0.93, 0.3)
    assert any(line.startswith("gradient descent ") for line in late)
    assert not any(line.startswith("shared vector ") for line in late)
