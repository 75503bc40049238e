"""Severity constants of the 19 corruptions in the four published generators.

Every table has one row per severity 1 to 5. The column names are in `corruptions.entries`. Lengths
in pixels are literal: they belong to the preset, not to the size of the images at hand.

Source: Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations, 2019, and the generators its authors published with it.
"""

from __future__ import annotations

from typing import Final

Row = tuple[float, ...]
Table = tuple[Row, Row, Row, Row, Row]

PUBLISHED: Final = ("cifar", "tiny-imagenet", "imagenet", "inception")
PRESETS: Final = (*PUBLISHED, "digits")


def _each(cifar: Table, tiny: Table, imagenet: Table, inception: Table) -> dict[str, Table]:
    return dict(zip(PUBLISHED, (cifar, tiny, imagenet, inception), strict=True))


def _column(s1: float, s2: float, s3: float, s4: float, s5: float) -> Table:
    return ((s1,), (s2,), (s3,), (s4,), (s5,))


def _with(first: float, table: Table) -> Table:
    s1, s2, s3, s4, s5 = table
    return ((first, *s1), (first, *s2), (first, *s3), (first, *s4), (first, *s5))


GAUSSIAN_NOISE = _each(
    _column(0.04, 0.06, 0.08, 0.09, 0.10),
    _column(0.04, 0.08, 0.12, 0.15, 0.18),
    _column(0.08, 0.12, 0.18, 0.26, 0.38),
    _column(0.09, 0.13, 0.19, 0.27, 0.40),
)
SHOT_NOISE = _each(
    _column(500, 250, 100, 75, 50),
    _column(250, 100, 50, 30, 15),
    _column(60, 25, 12, 5, 3),
    _column(50, 20, 10, 5, 3),
)
IMPULSE_NOISE = _each(
    _column(0.01, 0.02, 0.03, 0.05, 0.07),
    _column(0.01, 0.02, 0.05, 0.08, 0.14),
    _column(0.03, 0.06, 0.09, 0.17, 0.27),
    _column(0.04, 0.07, 0.10, 0.18, 0.28),
)
SPECKLE_NOISE = _each(
    _column(0.06, 0.10, 0.12, 0.16, 0.20),
    _column(0.15, 0.20, 0.25, 0.30, 0.35),
    _column(0.15, 0.20, 0.35, 0.45, 0.60),
    _column(0.16, 0.21, 0.36, 0.46, 0.61),
)
GAUSSIAN_BLUR = _each(
    _column(0.4, 0.6, 0.7, 0.8, 1.0),
    _column(0.5, 0.75, 1.0, 1.25, 1.5),
    _column(1, 2, 3, 4, 6),
    _column(1.5, 2.5, 3.5, 4.5, 6.5),
)
DEFOCUS_BLUR = _each(
    ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    ((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
    ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    ((4, 0.1), (5, 0.5), (7, 0.5), (10, 0.5), (12, 0.5)),
)
GLASS_BLUR = _each(
    ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    ((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)),
    ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    ((0.8, 1, 3), (1, 3, 1), (1.1, 2, 4), (1.2, 4, 2), (1.6, 5, 2)),
)
MOTION_BLUR = _each(
    ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
    ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    ((12, 4), (17, 6), (17, 9), (17, 13), (22, 16)),
)
# The generators build the factors with a floating-point range whose length depends on rounding;
# these are the lists that were really used, as (step, number of factors counted from 1).
_ZOOM_SMALL: Table = ((0.01, 7), (0.01, 12), (0.01, 16), (0.01, 21), (0.01, 26))
_ZOOM_LARGE: Table = ((0.01, 12), (0.01, 16), (0.02, 11), (0.02, 13), (0.03, 11))
ZOOM_BLUR = _each(_ZOOM_SMALL, _ZOOM_SMALL, _ZOOM_LARGE, _ZOOM_LARGE)

_SNOW_LARGE: Table = (
    (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
    (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
    (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
)
SNOW = _each(
    (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
    ),
    _SNOW_LARGE,
    _SNOW_LARGE,
)
_FROST_LARGE: Table = ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))
FROST = _each(
    _with(0.2, ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))),
    _with(0.3, ((1, 0.3), (0.9, 0.4), (0.8, 0.45), (0.75, 0.5), (0.7, 0.55))),
    _with(1, _FROST_LARGE),
    _with(1, _FROST_LARGE),
)
FOG = _each(
    _with(32, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    _with(64, ((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75))),
    _with(256, ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))),
    _with(512, ((1.5, 2), (2, 2), (2.5, 1.8), (2.5, 1.6), (3, 1.5))),
)
_BRIGHTNESS_LARGE = _column(0.1, 0.2, 0.3, 0.4, 0.5)
BRIGHTNESS = _each(
    _column(0.05, 0.1, 0.15, 0.2, 0.3), _BRIGHTNESS_LARGE, _BRIGHTNESS_LARGE, _BRIGHTNESS_LARGE
)
_CONTRAST_LARGE = _column(0.4, 0.3, 0.2, 0.1, 0.05)
CONTRAST = _each(
    _column(0.75, 0.5, 0.4, 0.3, 0.15), _CONTRAST_LARGE, _CONTRAST_LARGE, _CONTRAST_LARGE
)
_ELASTIC_LARGE: Table = (
    (2, 0.7, 0.1),
    (2, 0.08, 0.2),
    (0.05, 0.01, 0.02),
    (0.07, 0.01, 0.02),
    (0.12, 0.01, 0.02),
)
# 244 is what the ImageNet generator uses for images of 224 pixels; its author kept the slip.
ELASTIC_TRANSFORM = _each(
    _with(
        32,
        ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    ),
    _with(
        64,
        ((0, 0, 0.08), (0.05, 0.3, 0.06), (0.1, 0.08, 0.06), (0.1, 0.03, 0.03), (0.16, 0.03, 0.02)),
    ),
    _with(244, _ELASTIC_LARGE),
    _with(360, _ELASTIC_LARGE),
)
PIXELATE = _each(
    _column(0.95, 0.9, 0.85, 0.75, 0.65),
    _column(0.9, 0.8, 0.7, 0.6, 0.5),
    _column(0.6, 0.5, 0.4, 0.3, 0.25),
    _column(0.5, 0.4, 0.3, 0.25, 0.2),
)
JPEG_COMPRESSION = _each(
    _column(80, 65, 58, 50, 40),
    _column(65, 58, 50, 40, 25),
    _column(25, 18, 15, 10, 7),
    _column(23, 16, 13, 8, 5),
)
_SATURATE_LARGE: Table = ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))
SATURATE = _each(
    ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
    ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)),
    _SATURATE_LARGE,
    _SATURATE_LARGE,
)
SPATTER = _each(
    (
        (0.62, 0.1, 0.7, 0.7, 0.5, 0),
        (0.65, 0.1, 0.8, 0.7, 0.5, 0),
        (0.65, 0.3, 1, 0.69, 0.5, 0),
        (0.65, 0.1, 0.7, 0.69, 0.6, 1),
        (0.65, 0.1, 0.5, 0.68, 0.6, 1),
    ),
    (
        (0.62, 0.1, 0.7, 0.7, 0.6, 0),
        (0.65, 0.1, 0.8, 0.7, 0.6, 0),
        (0.65, 0.3, 1, 0.69, 0.6, 0),
        (0.65, 0.1, 0.7, 0.68, 0.6, 1),
        (0.65, 0.1, 0.5, 0.67, 0.6, 1),
    ),
    (
        (0.65, 0.3, 4, 0.69, 0.6, 0),
        (0.65, 0.3, 3, 0.68, 0.6, 0),
        (0.65, 0.3, 2, 0.68, 0.5, 0),
        (0.65, 0.3, 1, 0.65, 1.5, 1),
        (0.67, 0.4, 1, 0.65, 1.5, 1),
    ),
    (
        (0.65, 0.3, 4, 0.69, 0.9, 0),
        (0.65, 0.3, 3.5, 0.68, 0.9, 0),
        (0.65, 0.3, 3, 0.68, 0.8, 0),
        (0.65, 0.3, 1.2, 0.65, 1.8, 1),
        (0.67, 0.4, 1.2, 0.65, 1.8, 1),
    ),
)
