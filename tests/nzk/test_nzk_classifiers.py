"""Several outputs and trained classifiers, from the problem to the page; older results."""

import copy
import re

import numpy as np
import pytest
import torch

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.data.digits import load
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import write_json
from robustbench_zosam.models import build_model, save_checkpoint
from robustbench_zosam.nzk import StudyConfig, Subject, build_page, run_study
from robustbench_zosam.nzk.classifiers import choose_classes, classifier_problems
from robustbench_zosam.nzk.page import render
from robustbench_zosam.nzk.problems import digits, make_problems
from robustbench_zosam.nzk.views import load as load_results

NAMES = tuple("0123456789")
CLASSES = ("7", "1", "4")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A sparse residual network of about 900 weights."""
    file = tmp_path_factory.mktemp("model") / "small.safetensors"
    config = ModelConfig(name="digits-resnet", width=0.1)
    model = build_model(config, 10, (0.5,) * 3, (0.25,) * 3).eval()
    name, weight = max(model.named_parameters(), key=lambda pair: pair[1].numel())
    mask = torch.rand(weight.shape, generator=torch.Generator().manual_seed(0)) < 0.2
    with torch.no_grad():
        weight.mul_(mask)
    save_checkpoint(file, model, config, masks={name: mask}, classes=NAMES, image_size=32)
    return file, model, int((~mask).sum())


@pytest.fixture(scope="module")
def of_classifier(checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    subject = Subject((checkpoint[0],), CLASSES, images=6)
    return run_study(StudyConfig(subject=subject, seeds=(0, 1), steps=10, draws=100), out), out


@pytest.fixture(scope="module")
def of_digits(tmp_path_factory):
    out = tmp_path_factory.mktemp("several")
    return run_study(
        StudyConfig(data="digits", classes=(3, 5, 8), seeds=(0, 1), steps=10, draws=400), out
    )


def test_a_classifier_is_a_regression_on_one_hot_targets_of_the_chosen_classes(checkpoint):
    file, model, pruned = checkpoint
    (problem,) = classifier_problems(Subject((file,), CLASSES, images=6))
    task = problem.regression
    assert problem.outputs == CLASSES
    assert task.targets.sum(dim=0).tolist() == [2, 2, 2]
    size = sum(p.numel() for p in model.parameters())
    assert task.model.dimension == size - pruned
    outputs = task.model.outputs(problem.starts([0, 1]), task.inputs)
    logits = copy.deepcopy(model).double()(task.inputs)[:, [7, 1, 4]]
    assert torch.allclose(outputs, logits.expand(2, -1, -1))
    # the images are those of the labels
    data = load_digits_of(task.inputs)
    assert [CLASSES[row.argmax()] for row in task.targets] == data


def load_digits_of(inputs):
    """Returns the classes of images, found again among the training images."""
    from robustbench_zosam.config import DataConfig

    train = load(DataConfig()).train
    stored = train.images[:].reshape(len(train), -1).astype(np.int64)
    wanted = (inputs * 255).round().long().flatten(1).numpy()
    return [NAMES[train.labels[(stored == row).all(axis=1).argmax()]] for row in wanted]


def test_the_study_of_a_classifier_is_tuned_in_theory_and_starts_from_its_weights(of_classifier):
    results, _ = of_classifier
    (problem,) = results["problems"]
    assert results["tuning"]["seeds"] == 0
    assert results["tuning"]["rates"] == len(problem["relative_rates"])
    assert (problem["n"], problem["outputs"], problem["linear"]) == (6, 3, False)
    for search in problem["tuning"].values():
        assert set(search["losses"]) == {None}  # nothing was measured
        assert search["theory"][search["chosen"]] == min(
            value for value in search["theory"] if value is not None
        ) or search["theory"][search["chosen"]] <= problem["target"]  # fmt: skip
    first = {curve["mean"][0] for curve in problem["tuned"].values()}
    assert len(first) == 1
    for curve in (*problem["tuned"].values(), *problem["equal"].values()):
        assert curve["expected_loss"][0] == pytest.approx(curve["mean"][0])
        assert curve["expected_outputs"][0] == pytest.approx(curve["mean"][0])
    assert problem["tuned"]["first-order"]["mean"][-1] < next(iter(first))
    assert problem["coupling"]["names"] == list(CLASSES)
    assert 0 < problem["coupling"]["between"] < 1
    for kernel in ("shared", "independent"):
        assert problem["coupling"][kernel]["largest_deviation"] < 6
        found = problem["kernel"][kernel]
        rows = zip(found["measured"], found["se"], found["theory"], strict=True)
        assert all(abs(measured - theory) < 6 * se for measured, se, theory in rows)


def test_a_linear_model_has_no_kernel_between_outputs(of_digits):
    linear, network = of_digits["problems"]
    found = linear["coupling"]
    assert np.allclose(found["theory"], np.eye(3))  # unit rows: all outputs have the same kernel
    assert found["between"] == pytest.approx(0, abs=1e-12)
    # 3 × 3 correlated entries; 4.5 standard errors of heavy-tailed means
    assert max(found[k]["largest_deviation"] for k in ("shared", "independent")) < 4.5
    assert network["coupling"]["between"] > 0.1
    assert (linear["outputs"], linear["dimension"]) == (3, 3 * 64)
    assert network["dimension"] == 64 * 10 + 10 + 10 * 5 + 5 + 5 * 3 + 3


def test_the_page_shows_the_kernels_between_outputs(of_classifier, of_digits):
    page = render(of_classifier[0])
    figure = re.search(r'<section id="coupling".*?</section>', page, re.DOTALL)[0]
    assert figure.count("<use") >= 2 * 3 * 3  # one marker for each pair and kernel
    assert "7" in re.search(r"<th scope=\"col\">output</th>(.*?)</tr>", figure)[1]
    assert "chosen in theory, without training" in page
    assert "exact derivatives" in page
    several = render(of_digits)
    assert "forward passes" in several
    assert several.count("<figure>") == 6
    assert "Digits, network, C = 3" in several


def test_the_page_of_single_outputs_is_as_it_was(results):
    page = render(results)
    assert 'id="coupling"' not in page
    assert all(problem["coupling"] is None for problem in results["problems"])


def test_results_of_version_1_are_read(results, tmp_path):
    old = copy.deepcopy(results)
    old["schema"] = 1
    old["config"] = {
        key: old["config"][key] for key in ("data", "classes", "seeds", "steps", "draws")
    }
    old["config"]["classes"] = [3, 5]
    for problem in old["problems"]:
        del problem["outputs"], problem["coupling"]
    write_json(tmp_path / "nzk.json", old)
    found = load_results(tmp_path)
    assert found == {**results, "config": {**results["config"], "outputs": 1}}
    assert build_page(tmp_path).is_file()


def test_problems_have_the_outputs_that_are_asked_for():
    linear, network = digits((0, 1, 6), per_class=4)
    assert linear.regression.targets.tolist() == np.repeat(np.eye(3), 4, axis=0).tolist()
    assert network.regression.outputs == 3
    pair = digits((0, 1), per_class=4, outputs=2)[0]
    assert pair.regression.targets.tolist() == np.repeat(np.eye(2), 4, axis=0).tolist()
    (synthetic,) = make_problems("synthetic", outputs=4)
    assert synthetic.regression.targets.shape == (100, 4)
    assert [p.regression.outputs for p in make_problems("both", (1, 2, 3))] == [3, 3, 3]


def test_classes_are_chosen_by_name_or_number():
    names = ("cat", "dog", "3")
    assert choose_classes((), names) == (0, 1, 2)
    assert choose_classes(("dog", "0"), names) == (1, 0)
    assert choose_classes(("3", "1"), names) == (2, 1)  # a name comes before a number
    for wanted, needle in (
        (("dog", "cow"), "--classes names 'cow': the data has cat, dog, 3"),
        (("dog", "1"), "each once"),
        (("dog",), "two or more"),
    ):
        with pytest.raises(InputError, match=needle):
            choose_classes(wanted, names)
    with pytest.raises(InputError, match="30 outputs are more than the 20"):
        choose_classes((), tuple(map(str, range(30))))
