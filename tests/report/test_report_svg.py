from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from robustbench_zosam.report.style import INK
from robustbench_zosam.report.svg import drawing, new_figure, to_svg


def draw(label="x", name="figure"):
    with drawing():
        figure = new_figure(200, 100)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], marker="o", color=INK.placeholder, label=label)
        axes.set_xlabel(label)
        return to_svg(figure, name, f"alt of {label}")


def test_colours_become_variables_and_fonts_the_pages_own():
    svg = draw()
    assert INK.placeholder not in svg
    assert "var(--ink)" in svg
    assert "DejaVu" not in svg
    assert "<style" not in svg
    assert "<metadata" not in svg


def test_ids_carry_the_name_and_all_references_resolve():
    root = ET.fromstring(draw(name="mine"))
    ids = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
    assert len(ids) == len(set(ids)) > 0
    assert all(i.startswith("mine-") for i in ids)
    targets = {e.attrib["href"][1:] for e in root.iter() if "href" in e.attrib}
    assert targets <= set(ids)


@pytest.mark.parametrize(
    "label", ["</text><script>alert(1)</script>", "a & b", "$x_{", "名前", '"quoted"']
)
def test_any_text_is_shown_as_it_is(label):
    root = ET.fromstring(draw(label))
    assert root.attrib["aria-label"] == f"alt of {label}"
    assert label in [e.text for e in root.iter("text")]
    assert not list(root.iter("script"))


def test_bytes_are_stable_and_global_settings_untouched():
    before = dict(mpl.rcParams)
    assert draw() == draw()
    assert dict(mpl.rcParams) == before
