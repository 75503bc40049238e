import pytest

from robustbench_zosam.report.style import (
    BASE,
    BASELINE,
    LIT,
    METHODS,
    PANEL,
    PAPER,
    REFERENCE,
    RULE,
    SHADES,
    theme_css,
)


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("shade", [s for s in BASE if s not in {RULE, PAPER, PANEL, LIT}])
def test_text_has_the_contrast_of_wcag_aa(shade, theme):
    for ground in (PAPER, PANEL, LIT):
        assert contrast(getattr(shade, theme), getattr(ground, theme)) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("shade", [BASELINE, REFERENCE, *METHODS])
def test_marks_have_the_contrast_of_wcag_aa(shade, theme):
    assert contrast(getattr(shade, theme), getattr(PAPER, theme)) >= 3


def test_names_are_unique():
    assert len({shade.name for shade in SHADES}) == len(SHADES)


def test_print_is_light():
    css = theme_css()
    assert css.count("{color-scheme:dark;") == css.count("@media screen") == 2
