"""The nineteen corruptions of the published suites, in their order."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from corruptions import constants as table
from corruptions.calibrated import DIGITS
from corruptions.info import CorruptionInfo

_PUBLISHED: Final = (
    CorruptionInfo(
        "gaussian_noise",
        "noise",
        "Additive Gaussian noise, independent for each pixel and channel.",
        ("standard deviation",),
        table.GAUSSIAN_NOISE,
        "corruptions.noise:gaussian_noise",
    ),
    CorruptionInfo(
        "shot_noise",
        "noise",
        "Poisson noise of a sensor that counts few photons.",
        ("photons at full brightness",),
        table.SHOT_NOISE,
        "corruptions.noise:shot_noise",
    ),
    CorruptionInfo(
        "impulse_noise",
        "noise",
        "Salt-and-pepper noise: random values become 0 or 255.",
        ("probability",),
        table.IMPULSE_NOISE,
        "corruptions.noise:impulse_noise",
    ),
    CorruptionInfo(
        "defocus_blur",
        "blur",
        "Disk-shaped kernel of an out-of-focus lens.",
        ("radius in pixels", "sigma of the softened edge"),
        table.DEFOCUS_BLUR,
        "corruptions.blur:defocus_blur",
        random=False,
    ),
    CorruptionInfo(
        "glass_blur",
        "blur",
        "Pixels scattered locally between two Gaussian blurs, as through frosted glass.",
        ("sigma in pixels", "reach in pixels", "sweeps"),
        table.GLASS_BLUR,
        "corruptions.blur:glass_blur",
    ),
    CorruptionInfo(
        "motion_blur",
        "blur",
        "One-sided blur along a random direction.",
        ("radius in pixels", "sigma in pixels"),
        table.MOTION_BLUR,
        "corruptions.blur:motion_blur",
    ),
    CorruptionInfo(
        "zoom_blur",
        "blur",
        "Mean over the image and zooms into its centre.",
        ("step of the factor", "number of factors"),
        table.ZOOM_BLUR,
        "corruptions.blur:zoom_blur",
        random=False,
    ),
    CorruptionInfo(
        "snow",
        "weather",
        "Two layers of blown flakes over a whitened image.",
        (
            "mean",
            "standard deviation",
            "zoom",
            "threshold",
            "radius in pixels",
            "sigma in pixels",
            "weight of the image",
        ),
        table.SNOW,
        "corruptions.weather:snow",
    ),
    CorruptionInfo(
        "frost",
        "weather",
        "A random crop of an ice texture blended over the image.",
        ("scale of the texture", "weight of the image", "weight of the texture"),
        table.FROST,
        "corruptions.frost:frost",
    ),
    CorruptionInfo(
        "fog",
        "weather",
        "Plasma-fractal haze, scaled to keep the brightest value.",
        ("side of the plasma", "strength", "decay of the roughness"),
        table.FOG,
        "corruptions.weather:fog",
    ),
    CorruptionInfo(
        "brightness",
        "weather",
        "Adds to the value channel of HSV.",
        ("added value",),
        table.BRIGHTNESS,
        "corruptions.colour:brightness",
        random=False,
    ),
    CorruptionInfo(
        "contrast",
        "digital",
        "Shrinks each channel towards its mean over the image.",
        ("factor",),
        table.CONTRAST,
        "corruptions.colour:contrast",
        random=False,
    ),
    CorruptionInfo(
        "elastic_transform",
        "digital",
        "Random affine transform and smooth random displacement.",
        (
            "side the lengths refer to",
            "strength of the displacement",
            "sigma of the displacement",
            "jitter of the stretch",
        ),
        table.ELASTIC_TRANSFORM,
        "corruptions.elastic:elastic_transform",
    ),
    CorruptionInfo(
        "pixelate",
        "digital",
        "Box downsampling, then nearest-neighbour upsampling.",
        ("factor of the side",),
        table.PIXELATE,
        "corruptions.digital:pixelate",
        random=False,
    ),
    CorruptionInfo(
        "jpeg_compression",
        "digital",
        "JPEG encoding and decoding with 4:2:0 subsampling.",
        ("quality",),
        table.JPEG_COMPRESSION,
        "corruptions.digital:jpeg_compression",
        random=False,
    ),
    CorruptionInfo(
        "speckle_noise",
        "noise",
        "Multiplicative Gaussian noise: brighter values vary more.",
        ("standard deviation",),
        table.SPECKLE_NOISE,
        "corruptions.noise:speckle_noise",
        extra=True,
    ),
    CorruptionInfo(
        "gaussian_blur",
        "blur",
        "Gaussian low-pass filter.",
        ("sigma in pixels",),
        table.GAUSSIAN_BLUR,
        "corruptions.blur:gaussian_blur",
        extra=True,
        random=False,
    ),
    CorruptionInfo(
        "spatter",
        "weather",
        "Drops of water (mode 0) or splashes of mud (mode 1) on the lens.",
        (
            "mean",
            "standard deviation",
            "sigma in pixels",
            "threshold",
            "strength or smoothing",
            "mode",
        ),
        table.SPATTER,
        "corruptions.spatter:spatter",
        extra=True,
    ),
    CorruptionInfo(
        "saturate",
        "digital",
        "Scales and shifts the saturation channel of HSV.",
        ("factor", "shift"),
        table.SATURATE,
        "corruptions.colour:saturate",
        extra=True,
        random=False,
    ),
)

ENTRIES: Final = tuple(
    replace(entry, constants=entry.constants | {"digits": DIGITS[entry.name]})
    for entry in _PUBLISHED
)
