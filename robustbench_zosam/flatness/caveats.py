"""Limitations of the measures of flatness, with sources; printed once beside results."""

from __future__ import annotations

from robustbench_zosam.schema import Caveat

_TEXT_AND_SOURCE = (
    (
        "Rescaling weights before a ReLU or a batch norm leaves the function alone and changes the "
        "trace, the eigenvalues, SAM and LPF sharpness at will; the adaptive measures and "
        "Fisher-Rao do not change.",
        "Dinh et al., Sharp minima can generalize for deep nets, 2017",
    ),
    (
        "Curvature shrinks with the training loss: compare models at equal loss, or by the "
        "logit-normalised column.",
        "Granziol, Flatness is a false friend, arXiv 2006.09091",
    ),
    (
        "Flatter is not the same as better: across modern trainings sharpness correlates little "
        "with generalisation, and sometimes negatively with accuracy under distribution shift.",
        "Andriushchenko et al., A modern look at the relationship between sharpness and "
        "generalization, arXiv 2302.07011",
    ),
    (
        "Regularised models, among them those trained with SAM, can sit in sharper minima and be "
        "more robust and better calibrated.",
        "Mason-Williams et al., arXiv 2510.12451",
    ),
    (
        "A worst case is the largest loss an ascent found, a lower bound of the true maximum. The "
        "adaptive one in l2 is not comparable with published values: this search finds higher "
        "losses than the published code.",
        "Andriushchenko et al., arXiv 2302.07011",
    ),
)
CAVEATS = tuple(Caveat(text=text, source=source) for text, source in _TEXT_AND_SOURCE)
