"""What models predict: scores compared image by image, reliability, confusion and agreement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.analysis.scores import (
    CellPredictions,
    CellScores,
    Floats,
    Weights,
    families,
    weighted,
)
from robustbench_zosam.metrics import BINS
from robustbench_zosam.schema import (
    Agreement,
    Comparison,
    MethodPredictions,
    PairedDifference,
    PredictionFacts,
    ReliabilityBin,
    ScoreRow,
)
from robustbench_zosam.statistics import holm

_MOST = 30  # classes whose confusion is stored
Runs = Sequence[CellScores]
Test = Callable[..., PairedDifference]


def score_rows(
    mine: Runs, theirs: Runs, test: Test, covered: Callable[[PairedDifference], str]
) -> list[ScoreRow]:
    """Compares negative log-likelihood, Brier score and overconfidence, image by image.

    Overconfidence is the probability of the predicted class minus whether it is right: its mean is
    by how much a model is too sure. Calibration errors are sums of its sizes over bins, which no
    single image has.

    Args:
        test: of two tables of scores.
        covered: what an interval covers, in words.

    Returns:
        Clean and mean rows of each score, method minus baseline; none where an early release
        measured.
    """
    if any(cell.predictions is None for cell in (*mine, *theirs)):
        return []
    kinds = dict(families(mine[0].conditions))
    found = []
    for name, read in _SCORES.items():
        for row in [row for row in ("clean", "mean") if row in kinds]:
            tables = (np.stack([read(c, kinds[row]) for c in side]) for side in (mine, theirs))
            found.append((name, row, test(*tables)))
    adjusted = holm([paired["p"] for *_, paired in found])
    return [
        {**paired, "detail": covered(paired), "metric": name, "corruption": row, "p_holm": p}
        for (name, row, paired), p in zip(found, adjusted, strict=True)
    ]


def prediction_facts(
    comparisons: Sequence[Comparison], scores: Mapping[str, Runs], classes: int
) -> PredictionFacts | None:
    """Returns reliability and confusion of all methods, and the agreement of those compared.

    Args:
        comparisons: of the run.
        scores: method id to finished cells.
        classes: of the data.

    Returns:
        None where no cell has predictions.
    """
    known = {
        name: [(cell, cell.predictions) for cell in cells if cell.predictions is not None]
        for name, cells in scores.items()
    }
    known = {name: cells for name, cells in known.items() if cells}
    if not known:
        return None
    pairs = [(c["method"], c["baseline"]) for c in comparisons]
    agreed = (_agreement(a, b, known) for a, b in pairs if a in known and b in known)
    return {
        "methods": [_method(name, cells, classes) for name, cells in known.items()],
        "agreement": [found for found in agreed if found is not None],
    }


Said = Sequence[tuple[CellScores, CellPredictions]]


def _method(name: str, cells: Said, classes: int) -> MethodPredictions:
    corrupted = slice(1, None)
    confusion = np.zeros((classes, classes))
    for _, said in cells if classes <= _MOST else ():
        for predicted in said.predicted[corrupted]:
            true, taken = (np.asarray(x, dtype=np.int64) for x in (said.labels[1], predicted))
            np.add.at(confusion, (true, taken), 1)
    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.zeros_like(confusion), where=totals > 0)
    return {
        "method": name,
        "clean": list(_reliability(cells, slice(0, 1))),
        "corrupted": list(_reliability(cells, corrupted)),
        "confusion": np.round(shares, 5).tolist() if totals.any() else [],
    }


def _reliability(cells: Said, conditions: slice) -> Iterator[ReliabilityBin]:
    """Yields mean confidence and accuracy of the bins of `calibration_error` that are not empty."""
    sure, right = (
        np.concatenate([np.ravel(x) for part in parts for x in part] or [np.zeros(0)])
        for parts in (
            [said.confidence[conditions] for _, said in cells],
            [cell.correct[conditions] for cell, _ in cells],
        )
    )
    confidence = sure.astype(np.float64)
    index = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    for place in range(BINS):
        chosen = index == place
        if chosen.any():
            yield {
                "confidence": float(confidence[chosen].mean()),
                "accuracy": float(right[chosen].mean()),
                "n": int(chosen.sum()),
            }


def _agreement(method: str, baseline: str, known: Mapping[str, Said]) -> Agreement | None:
    mine, theirs = ({cell.seed: said for cell, said in known[name]} for name in (method, baseline))
    pairs = [(mine[seed], theirs[seed]) for seed in mine if seed in theirs]
    if not pairs:
        return None
    own = list(combinations(theirs.values(), 2))
    clean, corrupted = _share(pairs)
    own_clean, own_corrupted = _share(own) if own else (None, None)
    return {
        "method": method,
        "baseline": baseline,
        "clean": clean,
        "corrupted": corrupted,
        "own_clean": own_clean,
        "own_corrupted": own_corrupted,
    }


def _share(pairs: Sequence[tuple[CellPredictions, CellPredictions]]) -> tuple[float, float]:
    """Returns the shares of clean and of corrupted images on which two models agree."""
    same = [
        [np.mean(np.asarray(a) == np.asarray(b)) for a, b in zip(one, other, strict=True)]
        for one, other in ((x.predicted, y.predicted) for x, y in pairs)
    ]
    clean = float(np.mean([each[0] for each in same]))
    corrupted = [value for each in same for value in each[1:]]
    return clean, float(np.mean(corrupted)) if corrupted else clean


def _nll(cell: CellScores, weights: Weights) -> Floats:
    assert cell.predictions is not None
    return weighted(cell.predictions.nll, weights)


def _brier(cell: CellScores, weights: Weights) -> Floats:
    assert cell.predictions is not None
    return weighted(cell.predictions.brier, weights)


def _overconfidence(cell: CellScores, weights: Weights) -> NDArray[np.float64]:
    assert cell.predictions is not None
    return weighted(cell.predictions.confidence, weights) - weighted(cell.correct, weights)


_SCORES: dict[str, Callable[[CellScores, Weights], Floats]] = {
    "nll": _nll,
    "brier": _brier,
    "overconfidence": _overconfidence,
}
