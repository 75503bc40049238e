"""The limitations that the verdict notes."""

from robustbench_zosam.report.run import load_run
from robustbench_zosam.report.verdict import verdict


def test_collapsed_layers_are_named(make, write, tmp_path):
    results = make(kinds=2, corruptions=2, flat=False, slices=False)
    results["cells"][-1]["sparsity"]["collapsed"] = ["fc.weight", "conv1.weight"]
    label = results["methods"][-1]["label"]
    said = verdict(load_run(write(tmp_path, results)))[-1].replace("\u00a0", " ")
    assert f"{label} has a single weight left in conv1.weight and fc.weight" in said
