"""Landscapes of trained models: same images, directions and ranges for all."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from robustbench_zosam.config import LandscapeConfig, canonical_json
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import write_json
from robustbench_zosam.flatness import Data, EigenResult, top_eigenvalues
from robustbench_zosam.landscape import (
    Grid,
    MapResult,
    PathResult,
    RowFile,
    between,
    eigen_span,
    export,
    line,
    plane,
    quadratic,
    three_models,
    trajectory,
)
from robustbench_zosam.landscape.directions import Direction, Norm
from robustbench_zosam.landscape.export import Slice
from robustbench_zosam.landscape.rays import LEVEL, chance_radius
from robustbench_zosam.landscape.results import LineResult
from robustbench_zosam.landscape.states import weights_of
from robustbench_zosam.landscape.surface import own_loss
from robustbench_zosam.measurement.flatness import image_hash
from robustbench_zosam.measurement.trained_models import TrainedModels, about
from robustbench_zosam.privacy import redacted
from robustbench_zosam.provenance import versions
from robustbench_zosam.schema import LandscapeFile, ModelMap, ModelPath, ModelSlices

KINDS = ("random", "eigen", "between", "plane", "pca")
_EIGEN_STEPS = 20

_FEWEST_CELLS = 5

Progress = Callable[[str, int, int], None]
"""Called with (what, points done, points in all)."""


@dataclass
class Drawing:
    """Landscapes of several models, written as they are finished.

    Attributes:
        norm: scale of random directions.
        span: range; None: along random directions where the flattest model's mean line has risen by
            ln C, along eigenvectors where the sharpest quadratic has risen by 2 nats.
        statistics_images: training images that batch norms are recalibrated on, at most.
    """

    trained: TrainedModels
    settings: LandscapeConfig
    out: Path
    norm: Norm
    span: float | None
    on_progress: Progress
    statistics_images: int = 1024
    slices: dict[str, ModelSlices | ModelPath | ModelMap] = field(default_factory=dict)

    def draw(self, kind: str) -> LandscapeFile:
        """Returns what it writes to OUT/landscape.json; resumes from rows that are there."""
        if kind not in KINDS:
            raise InputError(f"--directions must be one of {', '.join(KINDS)}, got {kind!r}")
        {
            "random": self._random,
            "eigen": self._eigen,
            "between": self._between,
            "plane": self._three,
            "pca": self._training,
        }[kind]()
        found: LandscapeFile = {
            "directions": kind,
            "data": self.trained.data.name,
            "split": self.trained.split,
            "images": len(self.trained.labels),
            "images_sha256": image_hash(self.trained),
            "settings": self.settings.model_dump(mode="json"),
            "slices": self.slices,
            "versions": versions(),
        }
        write_json(self.out / "landscape.json", redacted(found))
        return found

    def _random(self) -> None:
        span = self.span or self._common_span()
        for name in self.trained.models:
            with about(name):
                self.slices[name] = self._around(name, span, norm=self.norm)
        sharp = [n for n, facts in self.slices.items() if "plane" in facts and _is_sharp(facts)]
        if sharp:
            warnings.warn(
                f"fewer than {_FEWEST_CELLS} cells of the plane of {', '.join(sharp)} are within "
                "half a nat of its centre: it is much sharper than the flattest model, so draw it "
                "alone or with a finer grid",
                stacklevel=2,
            )

    def _common_span(self) -> float:
        """Returns the largest distance at which a model's mean line has risen by ln C."""
        found = []
        for name in self.trained.models:
            with about(name):
                lines = self._line(name, self.settings.span, self.norm, None)
                classes = len(self.trained.data.classes)
                found.append(chance_radius(lines.positions, lines.losses, classes))
        return max(radius or self.settings.span for radius in found)

    def _eigen(self) -> None:
        found = {name: self._eigenvalues(name) for name in self.trained.models}
        span = self.span or eigen_span(found.values())
        for name, pairs in found.items():
            facts = self._around(name, span, directions=pairs.vectors)
            steps, centre = facts["line"]["positions"], facts["line"]["summary"]["centre"]
            local = quadratic(pairs, torch.tensor(steps).double().numpy(), centre or 0.0)
            facts["eigenvalues"], facts["residuals"] = list(pairs.values), list(pairs.residuals)
            facts["quadratic"] = local.tolist()
            self.slices[name] = facts

    def _eigenvalues(self, name: str) -> EigenResult:
        with about(name):
            return top_eigenvalues(
                self.trained.models[name].model,
                self.trained.images,
                self.trained.labels,
                masks=self.trained.masks(name),
                k=2,
                steps=_EIGEN_STEPS,
                smallest=False,
                seed=self.settings.seed,
                on_step=self._reporter(f"{name} eigenvectors"),
            )

    def _around(
        self,
        name: str,
        span: float,
        norm: Norm = "filter",
        directions: Sequence[Direction] | None = None,
    ) -> ModelSlices:
        """Evaluates a line and a plane through one model."""
        s, settings = self.trained, self.settings
        model, masks = s.models[name].model, s.masks(name)
        lines = self._line(name, span, norm, directions)
        # given directions follow from the weights and the seed
        how = {"span": span} if directions else {"span": span, "norm": norm}
        rows = self._rows(name, "plane", str(how))
        surface = plane(
            model,
            s.images,
            s.labels,
            masks=masks,
            span=span,
            points=settings.grid,
            seed=settings.seed,
            norm=norm,
            directions=directions,
            progress=self._reporter(f"{name} plane"),
            on_row=rows.add,
            finished=rows.finished,
        )
        self._keep(f"{name}-line", lines)
        self._keep(f"{name}-plane", surface)
        rows.remove()
        return {"line": lines.to_dict(), "plane": surface.to_dict()}

    def _line(
        self, name: str, span: float, norm: Norm, directions: Sequence[Direction] | None
    ) -> LineResult:
        s, settings = self.trained, self.settings
        return line(
            s.models[name].model,
            s.images,
            s.labels,
            masks=s.masks(name),
            span=span,
            points=settings.points,
            seeds=settings.directions,
            seed=settings.seed,
            norm=norm,
            directions=directions,
            progress=self._reporter(f"{name} line"),
        )

    def _between(self) -> None:
        names = list(self.trained.models)
        if len(names) < 2:
            raise InputError(f"--directions between needs two models or more, got {len(names)}")
        first = names[0]
        for other in names[1:]:
            label = f"{first}--{other}"
            found = between(
                self.trained.models[first].model,
                self.trained.models[other].model,
                self.trained.images,
                self.trained.labels,
                masks=(self.trained.masks(first), self.trained.masks(other)),
                statistics=self._statistics,
                progress=self._reporter(label),
            )
            self._keep_alone(label, found)

    def _three(self) -> None:
        s = self.trained
        if len(s.models) != 3:
            raise InputError(f"--directions plane needs three models, got {len(s.models)}")
        rows = self._rows("models", "plane", str(list(s.models)))
        found = three_models(
            {name: one.model for name, one in s.models.items()},
            s.images,
            s.labels,
            masks={name: s.masks(name) for name in s.models},
            grid=self._grid("models", rows),
        )
        self._keep_alone("models-plane", found)
        rows.remove()

    def _training(self) -> None:
        s = self.trained
        rows = self._rows("models", "pca", str(list(s.models)))
        found = trajectory(
            next(iter(s.models.values())).model,
            {name: weights_of(one.model) for name, one in s.models.items()},
            s.images,
            s.labels,
            grid=self._grid("training", rows),
            own_losses={
                name: own_loss(one.model, weights_of(one.model), Data(s.images, s.labels), 64)
                for name, one in s.models.items()
            },
        )
        self._keep_alone("training-pca", found)
        rows.remove()

    @cached_property
    def _statistics(self) -> Tensor:
        return self.trained.statistics_images(self.statistics_images)

    def _grid(self, what: str, rows: RowFile) -> Grid:
        return Grid(
            points=self.settings.grid,
            statistics=self._statistics,
            progress=self._reporter(what),
            on_row=rows.add,
            finished=rows.finished,
        )

    def _rows(self, name: str, kind: str, how: str) -> RowFile:
        weights = [weights_of(one.model) for one in self.trained.models.values()]
        sums = [[v.double().sum().item() for v in state.values()] for state in weights]
        settings = canonical_json(self.settings)
        key = json.dumps([
            settings,
            image_hash(self.trained),
            how,
            name,
            sums,
            self.statistics_images,
        ])
        return RowFile(self.out / f".{name}-{kind}-rows.npz", key, self.settings.grid)

    def _reporter(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self.on_progress(what, done, total)

    def _keep(self, name: str, found: Slice) -> None:
        export(found, self.out / name)

    def _keep_alone(self, name: str, found: PathResult | MapResult) -> None:
        self._keep(name, found)
        self.slices[name] = found.to_dict()


def _is_sharp(facts: ModelSlices) -> bool:
    """Whether hardly any cell of the plane lies within half a nat of its centre."""
    centre = facts["plane"]["summary"].get("centre")
    losses = [loss for row in facts["plane"]["losses"] for loss in row if loss is not None]
    return centre is not None and sum(x < centre + LEVEL for x in losses) < _FEWEST_CELLS
