"""Where a claim was made and where a run tests it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from robustbench_zosam.analysis.planned import setting
from robustbench_zosam.schema import ClaimScope, Results


@dataclass(frozen=True)
class PaperSetting:
    """Where a paper's numbers were measured.

    Attributes:
        words: the setting, for a reader.
        data: names of the data sets here; none where any will do.
        models: names of the architectures here.
        settings: sparsifiers with their sparsity, as methods say them ("rigl 90 %").
        corruptions: how many the mean is over; 0 where the claim is about clean images.
        gpu: whether the numbers are of a GPU, which those of a CPU do not refute.
    """

    words: str
    data: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    corruptions: int = 0
    gpu: bool = False

    def against(self, results: Results) -> ClaimScope:
        """Returns how a run's setting differs from the paper's."""
        return {
            "paper": self.words,
            "here": _here(results, self),
            "differs": [*self._gaps(results)],
        }

    def _gaps(self, results: Results) -> Iterator[str]:
        if self.data and results["data"]["name"] not in self.data:
            yield "data"
        if self.models and _model(results) not in self.models:
            yield "network"
        if self.settings and not set(self.settings) & _settings(results):
            yield "sparsity"
        if self.corruptions and len(results["suite"]["corruptions"]) != self.corruptions:
            yield "number of corruptions"
        if self.gpu and not _on_gpu(results):
            yield "hardware"


ANY = PaperSetting("")  # no numbers of a setting were published


def _model(results: Results) -> str:
    return str((results["config"].get("model") or {}).get("name", ""))


def _settings(results: Results) -> set[str]:
    return {setting(m) for m in results["methods"] if m["kind"] == "trained" and m["sparsity"] > 0}


def _on_gpu(results: Results) -> bool:
    return any("cpu" not in device for device in results["provenance"]["hardware"]["devices"])


def _here(results: Results, paper: PaperSetting) -> str:
    parts = [results["data"]["title"], _model(results), *sorted(_settings(results))]
    if paper.corruptions:
        parts.append(f"{len(results['suite']['corruptions'])} corruptions")
    if paper.gpu:
        parts.append("GPU" if _on_gpu(results) else "CPU")
    return ", ".join(filter(None, parts))
