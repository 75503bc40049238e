"""Which corrupted test images are meant, and where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

import corruptions
from corruptions.info import RESULTS_VERSION
from robustbench_zosam.config import SuiteConfig
from robustbench_zosam.data.dataset import balanced_subset
from robustbench_zosam.errors import InputError
from robustbench_zosam.schema import DataFacts, SuiteFacts

if TYPE_CHECKING:
    from corruptions.suites import Suite

Layout = Literal["arrays", "folders", "cifar10.1"]
NATURAL = "natural"  # category of a shift that is no corruption
_GROUPS = ("common", "extra", "all")
_SYNTHETIC_FROST = (
    "Frost uses procedural textures, so it is not comparable with published suites; set "
    "CORRUPTIONS_FROST_DIR to a folder of the original textures."
)
_CALIBRATED = (
    "Severities are calibrated for digits of 16 pixels, so they are not comparable with published "
    "suites."
)


class SuitePlan(BaseModel):
    """A suite on disk, or one that will be there.

    Attributes:
        name: as a report prints it, "digits-c".
        source: made from the test images of this run, or found.
        layout: of the files, see `corruptions.suites`.
        folders: where they are; published suites come in parts.
        key: changes whenever the images may have.
        corruptions: names, in canonical order.
        severities: 1 to 5, ascending.
        classes: their names, in the order of the labels.
        limit: at most this many images of each condition, drawn class by class; None for all.
        limit_seed: of that draw.
        reference: whose errors mCE divides by; "none" for plain means.
        preset: which published constants; empty for a suite that was found.
        seed: of the corruptions' random draws.
        frost: which textures frost uses, "published" or "synthetic"; empty without frost.
        left_out: corruptions that were asked for and are absent.
        notes: what a reader must be told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: Literal["generated", "stored"]
    layout: Layout
    folders: tuple[str, ...]
    key: str
    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    classes: tuple[str, ...]
    limit: int | None = None
    limit_seed: int = 0
    reference: str = "none"
    preset: str = ""
    seed: int = 0
    frost: str = ""
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def open(self) -> Suite:
        """Opens the corruptions, severities and images that the plan selects."""
        with input_errors():
            suite = open_layout(self.layout, self.folders, self.classes, self.name)
        return select(suite, self.corruptions, self.severities, self.limit, self.limit_seed)

    def identity_parts(self) -> dict[str, object]:
        """Returns all that can change a measurement on this suite, as JSON values."""
        return self.model_dump(mode="json", exclude={"folders", "name", "left_out", "notes"})

    def facts(self) -> SuiteFacts:
        """Returns what a report says of the suite."""
        return {
            "name": self.name,
            "source": self.source,
            "preset": self.preset,
            "seed": self.seed,
            "reference": self.reference,
            "corruptions": list(self.corruptions),
            "severities": list(self.severities),
            "categories": {name: category(name) for name in self.corruptions},
            "left_out": list(self.left_out),
            "notes": list(self.notes),
            "frost": self.frost,
        }


def plan_generated(config: SuiteConfig, facts: DataFacts, cache: Path) -> SuitePlan:
    """Plans a suite made of a run's own test images, without making it.

    Args:
        cache: folder in which suites are kept.

    Returns:
        The suite that the configuration means.

    Raises:
        InputError: a corruption or the preset is unknown.
    """
    with input_errors():
        names = expand(config.corruptions)
        preset = choose_preset(config.preset, facts["image_size"])
    key = f"{facts['fingerprint'][:16]}-v{RESULTS_VERSION}{_foreign(names)}"
    frost = corruptions.frost_source()
    return SuitePlan(
        name=config.name or f"{facts['name']}-c",
        source="generated",
        layout="arrays",
        folders=(str(cache / f"suite-{key}-{preset}-seed{config.seed}-{frost}-frost"),),
        key=key,
        corruptions=names,
        severities=tuple(sorted(set(config.severities))),
        classes=tuple(facts["classes"]),
        reference="none" if config.reference == "auto" else config.reference,
        preset=preset,
        seed=config.seed,
        frost=frost if "frost" in names else "",
        notes=tuple(_notes(names, preset, frost)),
    )


def _notes(names: tuple[str, ...], preset: str, frost: str) -> Iterator[str]:
    if frost == "synthetic" and "frost" in names:
        yield _SYNTHETIC_FROST
    if preset == "digits":
        yield _CALIBRATED


def plan_validation(
    config: SuiteConfig,
    severities: tuple[int, ...],
    tested: tuple[str, ...],
    facts: DataFacts,
    cache: Path,
) -> SuitePlan:
    """Plans a suite made of validation images, of the extra corruptions that no test uses.

    Args:
        config: of the suite of the test, whose preset and seed it shares.
        tested: corruptions of the test.

    Returns:
        The suite, in a folder beside that of the test.

    Raises:
        InputError: the test uses all of them.
    """
    names = tuple(name for name in corruptions.names("extra") if name not in tested)
    if not names:
        raise InputError(
            "the test uses all extra corruptions, so none is left to tune by: choose another "
            "tune.score, or leave some of them out of suite.corruptions"
        )
    wanted = {"source": None, "name": None, "corruptions": names, "severities": severities}
    plan = plan_generated(config.model_copy(update=wanted), facts, cache)
    folder = Path(plan.folders[0])
    return plan.model_copy(
        update={
            "name": f"{plan.name}-validation",
            "key": f"validation-{plan.key}",
            "folders": (str(folder.with_name(f"validation-{folder.name}")),),
            "reference": "none",
        }
    )


def _foreign(names: tuple[str, ...]) -> str:
    """Returns the versions of corruptions of other packages, whose images change with them."""
    found = [
        f"-{name}{corruptions.get(name).version}" for name in names if corruptions.origin(name)
    ]
    return "".join(found)


def choose_preset(preset: str, side: int) -> str:
    """Returns a preset by name; "auto" chooses by the side of the images, in pixels."""
    if preset != "auto":
        return corruptions.check_preset(preset)
    if side < 48:  # between the 32 of CIFAR and the 64 of Tiny-ImageNet
        return "cifar"
    return "tiny-imagenet" if side < 128 else "imagenet"


def expand(names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the named corruptions and those of named groups, in canonical order."""
    wanted = set(_expand(names))
    return tuple(name for name in corruptions.names("all") if name in wanted)


def _expand(names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        if name in _GROUPS:
            yield from corruptions.names(name)  # type: ignore[arg-type] # checked above
        else:
            yield corruptions.get(name).name


def category(name: str) -> str:
    """Returns the category of a corruption; a newly collected test set is a natural shift."""
    return corruptions.category(name) if name in corruptions.names("all") else NATURAL


def open_layout(
    layout: Layout, folders: tuple[str, ...], classes: tuple[str, ...], name: str
) -> Suite:
    """Returns all that is present of a suite.

    Args:
        classes: their names, in the order of the labels.
    """
    from corruptions import suites

    if layout == "arrays":
        return suites.open_array_suite(folders[0], classes=len(classes), name=name)
    if layout == "folders":
        return suites.open_folder_suite(folders, classes=classes, name=name)
    images, labels = suites.open_cifar10_1(folders[0])
    return suites.Suite(
        name=name,
        corruptions=("cifar10.1-v6",),
        missing=(),
        severities=(1,),
        labels=labels,
        classes=(),
        notes=("CIFAR-10.1 is a test set collected anew; severity 1 is all there is of it.",),
        read=lambda corruption, severity, first, last: np.array(images[first:last]),
    )


def select(
    suite: Suite, names: tuple[str, ...], severities: tuple[int, ...], limit: int | None, seed: int
) -> Suite:
    """Returns a part of a suite, read from disk when used.

    Args:
        limit: maximum images per condition; `balanced_subset` keeps the same ones of equal labels.
    """
    kept = replace(suite, corruptions=names, severities=severities)
    if limit is None or limit >= len(suite):
        return kept
    return take(kept, balanced_subset(suite.labels, limit, seed))


def take(suite: Suite, chosen: NDArray[np.int64]) -> Suite:
    """Returns images of every condition of a suite by index; no others are read from disk."""

    def read(corruption: str, severity: int, first: int, last: int) -> NDArray[np.uint8]:
        parts = [suite.read(corruption, severity, i, i + 1) for i in chosen[first:last]]
        return np.concatenate(parts)

    return replace(suite, labels=suite.labels[chosen], read=read)


@contextmanager
def input_errors() -> Iterator[None]:
    """Turns the errors of the corruptions package into those of this one."""
    try:
        yield
    except corruptions.CorruptionError as error:
        raise InputError(str(error)) from error
