"""The loss surface: drag, keys, models, scale and read-out."""

import pytest

pytestmark = pytest.mark.browser

PIXELS = "document.querySelector('canvas').toDataURL()"
READ = "document.querySelector('.read').textContent"


@pytest.fixture
def surface(browser, report):
    browser.open(report, fragment="#at=planes")
    browser.run("""document.querySelector('canvas')
      .scrollIntoView({block: 'center', behavior: 'instant'})""")
    return browser


def centre(browser):
    return browser.run("""(() => {
      const box = document.querySelector('canvas').getBoundingClientRect();
      return [box.x + box.width / 2, box.y + box.height / 2]; })()""")


def test_dragging_turns_it_and_the_address_keeps_the_view(surface, report):
    before = surface.run(PIXELS)
    x, y = centre(surface)
    surface.pointer("Moved", x, y)
    surface.pointer("Pressed", x, y, held=True)
    surface.pointer("Moved", x + 90, y + 30, held=True)
    surface.pointer("Released", x + 90, y + 30)
    after = surface.run(PIXELS)
    assert after != before
    fragment = surface.run("location.hash")
    assert "surface=" in fragment
    surface.open(report, fragment=fragment)
    assert surface.run(PIXELS) == after


@pytest.mark.parametrize("key", ["ArrowLeft", "ArrowUp", "+", "-", "l"])
def test_keys_change_the_view_and_home_restores_it(surface, key):
    surface.run("document.querySelector('canvas').focus()")
    before = surface.run(PIXELS)
    surface.press(key, text=key if len(key) == 1 else "")
    assert surface.run(PIXELS) != before
    surface.press("Home")
    assert surface.run(PIXELS) == before


def test_shift_and_arrows_move_what_is_read_out(surface):
    surface.run("document.querySelector('canvas').focus()")
    before = surface.run(READ)
    surface.press("ArrowRight", shift=True)
    assert surface.run(READ) != before
    losses = "JSON.parse(document.getElementById('data').textContent).surfaces.planes[0].losses"
    n = surface.run(f"{losses}.length")
    value = surface.run(f"{losses}[{n // 2}][{n // 2 + 1}]")
    assert f"{value:.3g} nats" in surface.run(READ)


def test_models_and_scale_can_be_chosen(surface):
    before = surface.run(PIXELS)
    surface.run("""const select = document.querySelector('#surface-method'); select.value = '2';
      select.dispatchEvent(new Event('change'))""")
    assert surface.run(PIXELS) != before
    label = surface.run("document.querySelector('canvas').getAttribute('aria-label')")
    assert surface.run("document.querySelector('#surface-method').selectedOptions[0].text") in label
    before = surface.run(PIXELS)
    surface.run("document.querySelector('#surface-log').click()")
    assert surface.run(PIXELS) != before


OTHER = "document.querySelectorAll('canvas')[1]"


def test_a_second_surface_turns_with_the_first_and_is_restored(surface, report):
    assert surface.run(f"{OTHER}.hidden")
    surface.run("""const beside = document.querySelector('#surface-beside'); beside.value = '2';
      beside.dispatchEvent(new Event('change'))""")
    assert not surface.run(f"{OTHER}.hidden")
    assert "compared with" in surface.run(READ)
    before = surface.run(f"{OTHER}.toDataURL()")
    surface.run("document.querySelector('canvas').focus()")
    surface.press("ArrowLeft")
    after = surface.run(f"{OTHER}.toDataURL()")
    assert after != before
    surface.open(report, fragment=surface.run("location.hash"))
    assert surface.run(f"{OTHER}.toDataURL()") == after


@pytest.mark.parametrize(
    "view", ["1_1_1_1_-5_3", "9_-9_1e9_7_99_99", "NaN_1_1_1_0_0", "1_1_1_1_0.5_x"]
)
def test_impossible_views_do_no_harm(browser, report, view):
    browser.open(report, fragment=f"#surface={view}")
    assert browser.problems() == []
    assert browser.run(READ).startswith("At (")


def test_the_contours_follow_the_model_and_the_point(surface):
    twin = "document.querySelector('.twin svg').getAttribute('aria-label')"
    before = surface.run(twin)
    surface.run("""const other = document.querySelector('#surface-method'); other.value = '1';
      other.dispatchEvent(new Event('change'))""")
    assert surface.run(twin) != before
    assert surface.run("document.querySelectorAll('.twin .probe').length") == 1


def test_the_surface_changes_with_the_theme(browser, report):
    light = browser.open(report).run(PIXELS)
    assert browser.open(report, dark=True).run(PIXELS) != light


@pytest.mark.parametrize("yaw", [0.0, 0.65, 1.57, 3.9])
@pytest.mark.parametrize("pitch", [0.05, 0.9, 1.5])
@pytest.mark.parametrize("width", [390, 1400])
def test_the_surface_is_seen_whole_from_every_side(browser, report, yaw, pitch, width):
    browser.open(report, width=width, fragment=f"#at=planes&surface={yaw}_{pitch}_1_1_8_8")
    painted = browser.run("""(() => {
      const canvas = document.querySelector('canvas');
      const [w, h, pen] = [canvas.width, canvas.height, canvas.getContext('2d')];
      return [[0, 0, w, 2], [0, h - 2, w, 2], [0, 0, 2, h], [w - 2, 0, 2, h]]
        .map(edge => pen.getImageData(...edge).data.some((value, i) => i % 4 === 3 && value > 0));
    })()""")
    assert painted == [False] * 4
