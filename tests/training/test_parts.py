from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from robustbench_zosam.config import TrainingConfig
from robustbench_zosam.data.dataset import Dataset
from robustbench_zosam.errors import DamagedFileWarning
from robustbench_zosam.training import Batches, learning_rate
from robustbench_zosam.training.batches import crop_and_flip
from robustbench_zosam.training.state import load_state, save_state


def batches(data: Dataset, **options: object) -> Batches:
    settings = {"batch_size": 40, "seed": 0, "augment": False, "flip": False} | options
    return Batches(data.train, device=torch.device("cpu"), **settings)


@given(st.integers(1, 50), st.integers(1, 60), st.floats(0, 5))
def test_the_rate_peaks_at_its_base_and_ends_near_zero(steps, epochs, warmup):
    config = TrainingConfig(epochs=epochs, lr=0.5, warmup_epochs=warmup)
    rates = [learning_rate(config, step, steps) for step in range(steps * epochs)]
    assert all(0 <= rate <= 0.5 for rate in rates)
    warm = round(warmup * steps)
    assert rates[:warm] == sorted(rates[:warm])
    assert rates[warm:] == sorted(rates[warm:], reverse=True)


def test_a_constant_rate_stays():
    config = TrainingConfig(epochs=3, lr=0.2, schedule="constant", warmup_epochs=1)
    assert [learning_rate(config, step, 2) for step in range(6)] == [0.1, 0.2, 0.2, 0.2, 0.2, 0.2]


def test_steps_come_after_parts_of_the_training():
    config = TrainingConfig(
        epochs=4, lr=1.0, schedule="multistep", milestones=(0.5, 0.75), warmup_epochs=0
    )
    rates = [learning_rate(config, step, 2) for step in range(8)]
    assert rates == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


@given(st.integers(1, 50), st.integers(1, 60))
def test_one_cycle_rises_for_a_fifth_and_falls_to_nothing(steps: int, epochs: int):
    config = TrainingConfig(epochs=epochs, lr=0.5, schedule="one-cycle", warmup_epochs=3)
    total = steps * epochs
    rates = [learning_rate(config, step, steps) for step in range(total)]
    peak = max(round(total / 5), 1)
    assert rates[peak - 1] == pytest.approx(0.5)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert all(0 < rate <= 0.5 for rate in rates)
    assert learning_rate(config, total, steps) == 0


def test_a_cosine_can_end_above_zero():
    config = TrainingConfig(epochs=2, lr=0.5, min_lr=0.1, warmup_epochs=0)
    assert learning_rate(config, 10, 5) == pytest.approx(0.1)
    assert learning_rate(config, 5, 5) == pytest.approx(0.3)


def test_an_epoch_shows_no_image_twice_and_another_order_follows(stripes: Dataset):
    feed = batches(stripes)
    assert feed.steps_per_epoch == 2
    first, second = (
        Counter(bytes(image.numpy()) for step in steps for image in feed[step][0])
        for steps in ((0, 1), (2, 3))
    )
    assert set(first.values()) == {1}
    assert first != second
    assert all(torch.equal(feed[1][0], batches(stripes)[1][0]) for _ in range(2))


def test_images_and_labels_stay_together(stripes: Dataset):
    images, labels = batches(stripes, augment=True, flip=True)[0]
    assert images.dtype == torch.float32
    assert torch.equal(images.mean(dim=(2, 3)).argmax(1), labels)
    assert float(images.max()) <= 1


def test_a_batch_larger_than_the_data_is_the_data(stripes: Dataset):
    assert batches(stripes, batch_size=1000).steps_per_epoch == 1


def test_cropping_equals_a_loop_over_images():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, 3, 16, 16), generator=generator, dtype=torch.uint8)
    rows, columns = torch.randint(5, (2, 6), generator=generator)
    flip = torch.rand(6, generator=generator) < 0.5
    found = crop_and_flip(images, rows, columns, flip)
    for image, y, x, mirrored, result in zip(images, rows, columns, flip, found, strict=True):
        padded = torch.zeros(3, 20, 20, dtype=torch.uint8)
        padded[:, 2:18, 2:18] = image
        expected = padded[:, y : y + 16, x : x + 16]
        assert torch.equal(result, expected.flip(2) if mirrored else expected)


def test_the_centre_crop_without_flip_is_the_identity():
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    centre = torch.full((2,), 4)
    assert torch.equal(crop_and_flip(images, centre, centre, torch.zeros(2).bool()), images)


states = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.integers(0, 9) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(states)
def test_states_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, state: object):
    file = tmp_path_factory.mktemp("state") / "state.safetensors"
    save_state(file, state)
    assert load_state(file) == state


def test_shared_and_strided_tensors_come_back(tmp_path: Path):
    matrix = torch.arange(6.0).view(2, 3)
    state = {
        "a": matrix.t(),
        3: [matrix, matrix],
        "empty": torch.zeros(0),
        "flag": torch.ones(()).bool(),
    }
    save_state(tmp_path / "s", state)
    found = load_state(tmp_path / "s")
    assert torch.equal(found["a"], matrix.t())
    assert torch.equal(found[3][1], matrix)
    assert found["empty"].shape == (0,)
    assert found["flag"].item() is True


def test_a_damaged_state_means_starting_over(tmp_path: Path):
    file = tmp_path / "s"
    assert load_state(file) is None
    save_state(file, {"a": torch.ones(100)})
    whole = file.read_bytes()
    for damaged in (whole[:200], whole[:-1] + b"\1", b""):  # cut, a changed weight, nothing
        file.write_bytes(damaged)
        with pytest.warns(DamagedFileWarning, match="training state"):
            assert load_state(file) is None
