"""What is known of each corruption without importing torch: name, category, summary, constants."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from corruptions import constants as table
from corruptions.errors import CorruptionError

if TYPE_CHECKING:
    from corruptions.kernel import Corruption

Category = Literal["noise", "blur", "weather", "digital"]
Group = Literal["common", "extra", "all"]
SEVERITIES: Final = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Facts:
    """What a corruption is.

    Attributes:
        name: what a user types, and the name of its file or folder in the published suites.
        category: noise, blur, weather or digital.
        summary: one line for listings.
        columns: meaning of the constants, in order.
        constants: preset -> five rows of constants, severity 1 first.
        target: where the implementation is, `"package.module:attribute"`.
        extra: one of the four held-out corruptions, outside the mean over fifteen.
        random: the result depends on the seed.
    """

    name: str
    category: Category
    summary: str
    columns: tuple[str, ...]
    constants: dict[str, table.Table]
    target: str
    extra: bool = False
    random: bool = True

    def row(self, preset: str, severity: int) -> table.Row:
        """Looks up the constants of one severity.

        Args:
            preset: one of `PRESETS`.
            severity: 1 (weakest) to 5.

        Returns:
            One number per name in `columns`.

        Raises:
            CorruptionError: for an unknown preset or severity.
        """
        return self.constants[check_preset(preset)][check_severity(severity) - 1]

    def load(self) -> Corruption[Any]:
        """Returns the implementation, importing torch."""
        module, _, attribute = self.target.partition(":")
        loaded: Corruption[Any] = getattr(importlib.import_module(module), attribute)
        return loaded


_ENTRIES: Final = (
    Facts(
        "gaussian_noise",
        "noise",
        "Additive normal noise, independent for each pixel and channel.",
        ("standard deviation",),
        table.GAUSSIAN_NOISE,
        "corruptions.noise:gaussian_noise",
    ),
    Facts(
        "shot_noise",
        "noise",
        "Poisson noise of a sensor that counts few photons.",
        ("photons at full brightness",),
        table.SHOT_NOISE,
        "corruptions.noise:shot_noise",
    ),
    Facts(
        "impulse_noise",
        "noise",
        "Salt and pepper: single values become 0 or 255.",
        ("probability",),
        table.IMPULSE_NOISE,
        "corruptions.noise:impulse_noise",
    ),
    Facts(
        "defocus_blur",
        "blur",
        "Disk-shaped filter of a lens out of focus.",
        ("radius in pixels", "sigma of the softened edge"),
        table.DEFOCUS_BLUR,
        "corruptions.blur:defocus_blur",
        random=False,
    ),
    Facts(
        "glass_blur",
        "blur",
        "Near-by pixels scattered between two normal blurs, as through frosted glass.",
        ("sigma in pixels", "reach in pixels", "sweeps"),
        table.GLASS_BLUR,
        "corruptions.blur:glass_blur",
    ),
    Facts(
        "motion_blur",
        "blur",
        "One-sided smear along a random direction.",
        ("radius in pixels", "sigma in pixels"),
        table.MOTION_BLUR,
        "corruptions.blur:motion_blur",
    ),
    Facts(
        "zoom_blur",
        "blur",
        "Mean over the image and zooms into its centre.",
        ("step of the factor", "number of factors"),
        table.ZOOM_BLUR,
        "corruptions.blur:zoom_blur",
        random=False,
    ),
    Facts(
        "snow",
        "weather",
        "Driving flakes in two layers over a whitened image.",
        (
            "mean",
            "standard deviation",
            "zoom",
            "threshold",
            "radius in pixels",
            "sigma in pixels",
            "share of the image",
        ),
        table.SNOW,
        "corruptions.weather:snow",
    ),
    Facts(
        "frost",
        "weather",
        "A random crop of an ice texture laid over the image.",
        ("scale of the texture", "weight of the image", "weight of the texture"),
        table.FROST,
        "corruptions.frost:frost",
    ),
    Facts(
        "fog",
        "weather",
        "Plasma-fractal haze, scaled to keep the brightest value.",
        ("side of the plasma", "strength", "decay of the roughness"),
        table.FOG,
        "corruptions.weather:fog",
    ),
    Facts(
        "brightness",
        "weather",
        "Adds to the value channel of HSV.",
        ("added value",),
        table.BRIGHTNESS,
        "corruptions.colour:brightness",
        random=False,
    ),
    Facts(
        "contrast",
        "digital",
        "Shrinks each channel towards its mean over the image.",
        ("factor",),
        table.CONTRAST,
        "corruptions.colour:contrast",
        random=False,
    ),
    Facts(
        "elastic_transform",
        "digital",
        "Random affine stretch and smooth random displacement.",
        (
            "side the lengths refer to",
            "strength of the displacement",
            "sigma of the displacement",
            "jitter of the stretch",
        ),
        table.ELASTIC_TRANSFORM,
        "corruptions.elastic:elastic_transform",
    ),
    Facts(
        "pixelate",
        "digital",
        "Box reduction to fewer pixels, enlarged again without smoothing.",
        ("factor of the side",),
        table.PIXELATE,
        "corruptions.digital:pixelate",
        random=False,
    ),
    Facts(
        "jpeg_compression",
        "digital",
        "JPEG encoding and decoding with 4:2:0 subsampling.",
        ("quality",),
        table.JPEG_COMPRESSION,
        "corruptions.digital:jpeg_compression",
        random=False,
    ),
    Facts(
        "speckle_noise",
        "noise",
        "Multiplicative normal noise: brighter values vary more.",
        ("standard deviation",),
        table.SPECKLE_NOISE,
        "corruptions.noise:speckle_noise",
        extra=True,
    ),
    Facts(
        "gaussian_blur",
        "blur",
        "Normal low-pass filter.",
        ("sigma in pixels",),
        table.GAUSSIAN_BLUR,
        "corruptions.blur:gaussian_blur",
        extra=True,
        random=False,
    ),
    Facts(
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
    Facts(
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
REGISTRY: Final = {entry.name: entry for entry in _ENTRIES}


def get(name: str) -> Facts:
    """Looks a corruption up.

    Args:
        name: the corruption's name.

    Returns:
        Its facts.

    Raises:
        CorruptionError: if there is none of that name.
    """
    if name in REGISTRY:
        return REGISTRY[name]
    close = [entry for entry in REGISTRY if str(name) and entry.startswith(str(name))]
    close += difflib.get_close_matches(str(name), REGISTRY, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(REGISTRY)}."
    raise CorruptionError(f"there is no corruption {name!r}; {hint}")


def names(group: Group = "common") -> tuple[str, ...]:
    """Lists corruptions in the order of the published suites.

    Args:
        group: `"common"` (those of the reported mean), `"extra"` (held out for validation) or
            `"all"`.

    Returns:
        Their names.

    Raises:
        CorruptionError: for another group.
    """
    if group not in {"common", "extra", "all"}:
        raise CorruptionError(f"group is {group!r}; choose 'common', 'extra' or 'all'.")
    common = tuple(entry.name for entry in _ENTRIES if not entry.extra)
    extra = tuple(entry.name for entry in _ENTRIES if entry.extra)
    return {"common": common, "extra": extra, "all": common + extra}[group]


def category(name: str) -> Category:
    """Looks up the group a corruption is averaged in.

    Args:
        name: the corruption's name.

    Returns:
        noise, blur, weather or digital.
    """
    return get(name).category


def check_preset(preset: str) -> str:
    """Validates the name of a set of constants.

    Args:
        preset: the name.

    Returns:
        The same name.

    Raises:
        CorruptionError: if it is not one of `PRESETS`.
    """
    if preset not in table.PRESETS:
        raise CorruptionError(f"preset is {preset!r}; choose one of {', '.join(table.PRESETS)}.")
    return preset


def check_severity(severity: int) -> int:
    """Validates a severity.

    Args:
        severity: the number.

    Returns:
        The same number.

    Raises:
        CorruptionError: if it is not an integer from 1 to 5.
    """
    if isinstance(severity, bool) or severity not in SEVERITIES:
        raise CorruptionError(f"severity is {severity!r}; give an integer from 1 to 5.")
    return int(severity)
