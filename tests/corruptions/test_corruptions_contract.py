"""What every corruption promises, run for every entry of the registry."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import corruptions
from corruptions import PRESETS, SEVERITIES, corrupt, registry

ALL = registry.names("all")
RANDOM = [name for name in ALL if registry.get(name).random]
CALM = [name for name in ALL if not registry.get(name).random]
# Those whose published constants move strictly away from the clean image.
MONOTONE = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "speckle_noise",
    "gaussian_blur",
    "defocus_blur",
    "zoom_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg_compression",
)
each_corruption = pytest.mark.parametrize("name", ALL)


@each_corruption
@pytest.mark.parametrize("preset", PRESETS)
def test_every_severity_of_every_preset_runs_and_changes_the_image(name, preset, crops):
    clean = crops(2, 48)
    for severity in SEVERITIES:
        result = corrupt(clean, name, severity, preset=preset)
        assert result.shape == clean.shape
        assert result.dtype == np.uint8
        assert (result != clean).any()


@each_corruption
def test_same_kind_and_layout_and_the_same_values_in_each(name, crops):
    last = crops(3, 24, 20)
    first = np.ascontiguousarray(np.moveaxis(last, 3, 1))
    expected = corrupt(last, name, 3)
    assert isinstance(expected, np.ndarray)
    np.testing.assert_array_equal(np.moveaxis(corrupt(first, name, 3), 1, 3), expected)
    for array, axis in ((last, 3), (first, 1)):
        result = corrupt(torch.from_numpy(array), name, 3)
        assert isinstance(result, torch.Tensor)
        np.testing.assert_array_equal(np.moveaxis(result.numpy(), axis, 3), expected)


@each_corruption
@settings(
    deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.integers(0, 40), max_size=3), start=st.integers(0, 2**40))
def test_bytes_do_not_depend_on_the_split_into_batches(name, crops, cuts, start):
    clean = crops(40, 32)
    whole = corrupt(clean, name, 5, start=start)
    edges = [0, *sorted(cuts), 40]
    for low, high in itertools.pairwise(edges):
        part = corrupt(clean[low:high], name, 5, start=start + low)
        np.testing.assert_array_equal(part, whole[low:high])


@each_corruption
def test_bytes_do_not_depend_on_the_number_of_threads(name, crops):
    clean = crops(4, 96)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(corrupt(clean, name, 4))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@each_corruption
def test_image_does_not_depend_on_its_neighbours(name, crops):
    clean = crops(3, 32)
    other = clean.copy()
    other[[0, 2]] = 255 - other[[0, 2]]
    np.testing.assert_array_equal(corrupt(clean, name, 4)[1], corrupt(other, name, 4)[1])


@pytest.mark.parametrize("name", RANDOM)
def test_index_seed_and_severity_give_independent_draws(name, crops):
    clean = np.repeat(crops(1, 32), 2, 0)
    result = corrupt(clean, name, 3)
    assert (result[0] != result[1]).any()
    assert (corrupt(clean, name, 3, seed=1) != result).any()
    np.testing.assert_array_equal(corrupt(clean[:1], name, 3, start=1)[0], result[1])


@pytest.mark.parametrize("name", CALM)
def test_what_draws_nothing_ignores_seed_and_start(name, crops):
    clean = crops(2, 32)
    np.testing.assert_array_equal(
        corrupt(clean, name, 3), corrupt(clean, name, 3, seed=7, start=99)
    )


@each_corruption
def test_input_and_global_generators_are_left_alone(name, crops):
    clean = crops(2, 32)
    copy = clean.copy()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    corrupt(torch.from_numpy(clean), name, 5)
    np.testing.assert_array_equal(clean, copy)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)


@each_corruption
def test_strided_read_only_and_empty_batches(name, crops):
    clean = crops(6, 32)
    expected = corrupt(np.ascontiguousarray(clean[::2, :, ::-1]), name, 2)
    np.testing.assert_array_equal(corrupt(clean[::2, :, ::-1], name, 2), expected)
    frozen = clean[::2, :, ::-1].copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(corrupt(frozen, name, 2), expected)
    assert corrupt(clean[:0], name, 2).shape == (0, 32, 32, 3)


@each_corruption
@pytest.mark.parametrize("shape", [(16, 16), (17, 40), (33, 16), (65, 31)])
def test_any_size_and_grey_scale(name, shape, crops):
    clean = crops(2, *shape)
    for preset in ("cifar", "inception"):
        assert corrupt(clean, name, 5, preset=preset).shape == clean.shape
    grey = clean[..., :1]
    result = corrupt(grey, name, 5)
    assert result.shape == grey.shape
    assert (result != grey).any()


@pytest.mark.parametrize("name", MONOTONE)
@pytest.mark.parametrize("preset", ["cifar", "tiny-imagenet", "imagenet"])
def test_severity_moves_away_from_the_clean_image(name, preset, crops):
    clean = crops(8, 64)
    distance = [
        np.square(corrupt(clean, name, severity, preset=preset).astype(float) - clean).mean()
        for severity in SEVERITIES
    ]
    assert distance == sorted(distance)
    assert distance[0] > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@each_corruption
def test_cuda_gives_the_bytes_of_the_cpu(name, crops):
    clean = torch.from_numpy(crops(8, 64)).permute(0, 3, 1, 2).contiguous()
    for severity in SEVERITIES:
        on_device = corrupt(clean.cuda(), name, severity)
        assert on_device.is_cuda
        assert torch.equal(on_device.cpu(), corrupt(clean, name, severity))


def test_facts_are_listed_without_torch():
    code = (
        "import sys, corruptions, corruptions.registry as r; r.names('all'); r.get('fog');"
        "sys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'robustbench_zosam')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_and_order_are_those_of_the_published_suites():
    assert corruptions.names() == (
        *("gaussian_noise", "shot_noise", "impulse_noise"),
        *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
        *("snow", "frost", "fog", "brightness"),
        *("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    )
    assert corruptions.names("extra") == ("speckle_noise", "gaussian_blur", "spatter", "saturate")
    assert corruptions.names("all") == corruptions.names("common") + corruptions.names("extra")


def test_categories_of_the_common_corruptions():
    categories = [corruptions.category(name) for name in corruptions.names()]
    assert categories == ["noise"] * 3 + ["blur"] * 4 + ["weather"] * 4 + ["digital"] * 4


@each_corruption
def test_facts_are_complete(name):
    facts = registry.get(name)
    assert facts.summary.endswith(".")
    assert tuple(facts.constants) == PRESETS
    for rows in facts.constants.values():
        assert [len(row) for row in rows] == [len(facts.columns)] * 5
