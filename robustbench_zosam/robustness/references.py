"""Corruption errors relative to a published reference model."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Final

import corruptions
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_text
from robustbench_zosam.schema import ConditionScores, RelativeErrors

Errors = Mapping[str, Mapping[int, float]]
"""Corruption to severity to top-1 error, in [0, 1]."""


@dataclass(frozen=True)
class Reference:
    """What another model did on a suite.

    Attributes:
        name: as a report prints it.
        errors: by corruption and severity.
        clean: top-1 error on the clean images; None where it was not published.
    """

    name: str
    errors: Errors
    clean: float | None = None


def relative_errors(rows: Sequence[ConditionScores], reference: Reference) -> RelativeErrors | None:
    """Divides errors by a reference's: CE(c) = sum over s of E(c, s) / sum over s of E_ref(c, s).

    Args:
        rows: of all conditions, the clean one included.

    Returns:
        None where the reference covers no corruption of the rows at all its severities.

    Source: Hendrycks and Dietterich 2019, section 4.2 (CE, mCE, Relative mCE).
    """
    measured: dict[str, dict[int, float]] = {}
    for row in rows:
        assert row["accuracy"] is not None
        measured.setdefault(row["corruption"], {})[row["severity"]] = 1 - row["accuracy"]
    clean = measured.pop("clean")[0]
    covered = {
        name: (sum(errors.values()), sum(reference.errors[name][s] for s in errors), len(errors))
        for name, errors in measured.items()
        if errors.keys() <= reference.errors.get(name, {}).keys()
    }
    if not covered:
        return None
    ce = {name: own / other for name, (own, other, _) in covered.items()}
    relative = None
    if reference.clean is not None:
        relative = {
            name: (own - n * clean) / (other - n * reference.clean)
            for name, (own, other, n) in covered.items()
        }
    return {
        "reference": reference.name,
        "ce": ce,
        "relative_ce": relative,
        "mce": fmean(ce.values()),
        "relative_mce": fmean(relative.values()) if relative else None,
        "without": [name for name in measured if name not in covered],
    }


def find_reference(name: str) -> Reference | None:
    """Returns a reference by name.

    Args:
        name: "none", "alexnet-imagenet-c", or a CSV file with the columns corruption, severity and
            error (in [0, 1]); a row with corruption `clean` gives the clean error.

    Raises:
        InputError: there is no such reference, or the file cannot be read.
    """
    if name == "none":
        return None
    if name == ALEXNET.name:
        return ALEXNET
    if name.endswith(".csv"):
        return _read(Path(name))
    raise InputError(f"suite.reference is {name!r}: use none, {ALEXNET.name} or a file ending .csv")


def _read(file: Path) -> Reference:
    found: dict[tuple[str, int], float] = {}
    try:
        reader = csv.DictReader(read_text(file).splitlines(), strict=True)
        if sorted(reader.fieldnames or ()) != ["corruption", "error", "severity"]:
            raise ValueError(f"its columns are {reader.fieldnames}")
        for row in reader:
            key, error = _condition(row), float(row["error"])
            if key in found:
                raise ValueError(f"{key[0]} at severity {key[1]} stands there twice")
            if not 0 <= error <= 1:
                raise InputError(f"{file} gives the error {error}: use fractions in [0, 1]")
            found[key] = error
        clean = found.pop(("clean", 0), None)
        errors: dict[str, dict[int, float]] = {}
        for (corruption, severity), error in found.items():
            errors.setdefault(corruption, {})[severity] = error
        nothing = next((name for name, row in errors.items() if not any(row.values())), None)
        if nothing is not None or not errors:
            raise ValueError(f"its errors under {nothing or 'corruptions'} are 0 or missing")
    except InputError as error:
        raise InputError(f"the reference {error}") from error
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise InputError(
            f"the reference {file} needs the columns corruption, severity and error, with numbers "
            f"in the last two ({error})"
        ) from error
    return Reference(file.stem, errors, clean)


def _condition(row: Mapping[str, str]) -> tuple[str, int]:
    """Returns corruption and severity of a row; 0 for clean images, whatever stands there."""
    name, severity = row["corruption"], row["severity"]
    if None in row or None in row.values():
        raise ValueError("a row has more or fewer fields than columns")
    if name == "clean":
        return name, 0
    if name not in corruptions.names("all"):
        raise ValueError(f"{name!r} is no corruption")
    if severity not in {"1", "2", "3", "4", "5"}:
        raise ValueError(f"the severity {severity!r} is not from 1 to 5")
    return name, int(severity)


def _by_severity(*errors: float) -> dict[int, float]:
    return dict(enumerate(errors, start=1))


# Source: Hendrycks and Dietterich 2019, the released evaluation of torchvision's AlexNet.
ALEXNET: Final = Reference(
    "alexnet-imagenet-c",
    {
        "gaussian_noise": _by_severity(0.69528, 0.82542, 0.93554, 0.98138, 0.99452),
        "shot_noise": _by_severity(0.71224, 0.85108, 0.93574, 0.98182, 0.99146),
        "impulse_noise": _by_severity(0.78374, 0.89808, 0.94870, 0.98720, 0.99548),
        "defocus_blur": _by_severity(0.65624, 0.73202, 0.85036, 0.91364, 0.94714),
        "glass_blur": _by_severity(0.64308, 0.75054, 0.88806, 0.91622, 0.93344),
        "motion_blur": _by_severity(0.58430, 0.70048, 0.82108, 0.89750, 0.92638),
        "zoom_blur": _by_severity(0.70008, 0.76992, 0.80784, 0.84198, 0.87198),
        "snow": _by_severity(0.71726, 0.88392, 0.86468, 0.91870, 0.94952),
        "frost": _by_severity(0.61390, 0.79734, 0.88790, 0.89942, 0.93430),
        "fog": _by_severity(0.67474, 0.76050, 0.84378, 0.87260, 0.94500),
        "brightness": _by_severity(0.45140, 0.48502, 0.54048, 0.62166, 0.72440),
        "contrast": _by_severity(0.64548, 0.76150, 0.88874, 0.97760, 0.99270),
        "elastic_transform": _by_severity(0.52596, 0.70116, 0.55686, 0.64076, 0.80554),
        "pixelate": _by_severity(0.52218, 0.54620, 0.73728, 0.87092, 0.91262),
        "jpeg_compression": _by_severity(0.51002, 0.54718, 0.57294, 0.65458, 0.74778),
        "speckle_noise": _by_severity(0.66192, 0.74440, 0.90246, 0.94548, 0.97268),
        "gaussian_blur": _by_severity(0.54732, 0.70444, 0.82574, 0.89864, 0.95940),
        "spatter": _by_severity(0.47196, 0.62194, 0.75052, 0.84132, 0.90182),
        "saturate": _by_severity(0.59342, 0.65514, 0.51174, 0.70834, 0.82260),
    },
    clean=0.4348,
)
