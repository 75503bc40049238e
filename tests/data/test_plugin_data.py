"""Data sets of other packages: their code is part of the key, what they give is checked."""

import sys
import types
from dataclasses import replace

import numpy as np
import pytest

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data import DATASETS, Split, load_dataset, load_prepared, prepare
from robustbench_zosam.data.registry import DatasetInfo
from robustbench_zosam.errors import InputError

CODE = """
import numpy as np
from robustbench_zosam.data import Dataset, Split

def load(config):
    images = np.full((4, 3, 16, 16), LEVEL, dtype=np.uint8)
    split = Split(images, np.array([0, 1, 0, 1]))
    return Dataset("outside", "Outside", ("a", "b"), split, split, split, horizontal_flip=False)
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Registers a data set; called again, with other code, as in another process."""
    monkeypatch.setattr(DATASETS, "_entries", dict(DATASETS._entries))
    monkeypatch.setitem(DATASETS._origins, "outside", "other 1.0")
    monkeypatch.syspath_prepend(tmp_path)

    def write(code):
        (tmp_path / "outside.py").write_text(code)
        module = types.ModuleType("outside")
        module.__file__ = str(tmp_path / "outside.py")
        exec(compile(code, module.__file__, "exec"), vars(module))
        monkeypatch.setitem(sys.modules, "outside", module)
        DATASETS._entries.pop("outside", None)
        DATASETS.add(DatasetInfo("outside", "of a package", "outside:load", root="not needed"))

    return write


def test_changed_code_is_noticed(plugin, tmp_path):
    config = DataConfig(name="outside")
    levels = []
    for level in (1, 1, 2):
        plugin(CODE.replace("LEVEL", str(level)))
        prepared = prepare(config, tmp_path / "cache")
        levels.append(int(load_prepared(prepared.file).train.images[0, 0, 0, 0]))
    assert levels == [1, 1, 2]
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_what_a_package_raises_is_one_sentence(plugin):
    plugin("def load(config): raise RuntimeError('no network\\nat all')")
    said = r"'outside' of other 1.0 cannot be read \(RuntimeError: no network\): repair"
    with pytest.raises(InputError, match=said):
        load_dataset(DataConfig(name="outside"))


def labelled(split, labels):
    return Split(split.images, labels)


def narrow(split):
    return Split(split.images[..., :8].copy(), split.labels)


WRONG = {
    "labels from 0 to 2 where 0..1": lambda d: {"train": labelled(d.train, d.train.labels * 2)},
    "labels from -1 to 0": lambda d: {"test": labelled(d.test, d.test.labels - 1)},
    "no validation images": lambda d: {"validation": d.train.take(np.array([], dtype=int))},
    "1 classes, 1 of them": lambda d: {"classes": ("a",)},
    "2 classes, 1 of them": lambda d: {"classes": ("a", "a")},
    "no tuple of texts": lambda d: {"classes": [0, 1]},
    "images of 16×8, 16×16 pixels": lambda d: {"test": narrow(d.test)},
    "no training image of the class 'b'": lambda d: {"train": d.train.take(np.array([0, 2]))},
}


@pytest.mark.parametrize("said", WRONG)
def test_what_is_no_classification_task_is_refused_at_once(plugin, said):
    plugin(CODE.replace("LEVEL", "1"))
    right = load_dataset(DataConfig(name="outside"))
    sys.modules["outside"].load = lambda config: replace(right, **WRONG[said](right))
    with pytest.raises(InputError, match=f"the data set 'outside' gives .*{said}"):
        load_dataset(DataConfig(name="outside"))


def test_something_else_is_refused(plugin):
    plugin("def load(config): return {}")
    with pytest.raises(InputError, match="gives a dict where"):
        load_dataset(DataConfig(name="outside"))


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (np.zeros((2, 3, 4, 4)), np.zeros(2, int), "images are float64"),
        (np.zeros((2, 4, 4), np.uint8), np.zeros(2, int), r"of shape \(2, 4, 4\)"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(2, int), r"of shape \(2, 1, 4, 4\)"),
        (np.zeros((2, 3, 4, 4), np.uint8), np.zeros(3, int), r"labels are int64 of shape \(3,\)"),
        (np.zeros((2, 3, 4, 4), np.uint8), np.zeros(2), "labels are float64"),
        (np.zeros((2, 3, 4, 4), np.uint8), [0, 1], "labels are list"),
    ],
)
def test_arrays_of_other_types_and_shapes_are_refused(images, labels, said):
    with pytest.raises(InputError, match=said):
        Split(images, labels)
