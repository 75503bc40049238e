"""Augmentations of torchvision: draws of a step are its own, whatever came before."""

import pytest
import torch

from robustbench_zosam.config import TrainingConfig
from robustbench_zosam.runs.identity import _recipe
from robustbench_zosam.training import Batches, learning_rate
from robustbench_zosam.training.augmentation import Augmentation, Mixing
from robustbench_zosam.training.losses import training_losses

KINDS = ("resized-crop", "randaugment", "augmix")


def batches(data, kind="crop", mixing="none", *, flip=True):
    return Batches(
        data.train,
        batch_size=24,
        seed=3,
        device=torch.device("cpu"),
        augment=True,
        flip=flip,
        augmentation=Augmentation(kind, flip, 16),
        mixing=Mixing(mixing, 1.0, 3),
    )


@pytest.mark.parametrize("mixing", ["none", "mixup", "cutmix"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_depends_on_seed_and_step_alone(kind, mixing, stripes):
    one, other = batches(stripes, kind, mixing), batches(stripes, kind, mixing)
    state = torch.get_rng_state()
    whole = [one[step] for step in range(6)]
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    for step in (4, 5, 1):  # as a resumed run
        assert all(torch.equal(a, b) for a, b in zip(other[step], whole[step], strict=True))
    assert not torch.equal(whole[0][0], whole[4][0])


@pytest.mark.parametrize("kind", KINDS)
def test_every_image_has_draws_of_its_own(kind):
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(8, 3, 16, 16)
    found = Augmentation(kind, flip=True, image_size=16)(images, seed=0)
    assert found.shape == images.shape
    assert found.dtype == torch.uint8
    assert len({tuple(image.flatten().tolist()) for image in found}) > 4


def test_resized_crops_are_mirrored_only_where_that_keeps_the_class():
    ramp = torch.linspace(0, 255, 16).to(torch.uint8).expand(40, 3, 16, 16).contiguous()

    def mirrored(flip):
        found = Augmentation("resized-crop", flip, 16)(ramp, seed=0).float()
        return int((found[:, 0, :, 0] > found[:, 0, :, -1]).all(1).sum())

    assert mirrored(flip=False) == 0
    assert 10 <= mirrored(flip=True) <= 30


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixed_labels_are_the_shares_of_the_images(kind, stripes):
    images, labels = batches(stripes, mixing=kind)[0]
    _, plain = batches(stripes)[0]
    assert labels.shape == (24, 3)
    assert torch.allclose(labels.sum(1), torch.ones(24))
    share = labels.gather(1, plain[:, None])
    assert (share > 0).all()
    assert 0 <= images.min() <= images.max() <= 1
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 3))
    losses = training_losses(model, TrainingConfig())(images, labels)
    by_hand = -(labels * model(images).log_softmax(1)).sum(1)
    assert torch.allclose(losses, by_hand, atol=1e-6)


def test_the_factor_at_milestones_is_a_setting():
    config = TrainingConfig(
        epochs=10, lr=1.0, schedule="multistep", milestone_factor=0.2, warmup_epochs=0
    )
    rates = [learning_rate(config, step, 1) for step in (0, 5, 8)]
    assert rates == pytest.approx([1, 0.2, 0.04])


def test_unused_settings_leave_identities_as_they_were():
    assert not {"nesterov", "mixing"} & _recipe(TrainingConfig()).keys()
    assert _recipe(TrainingConfig(augmentation="augmix"))["augmentation"] == "augmix"


def test_augmentation_without_augment_is_refused():
    with pytest.raises(ValueError, match="need augment = true"):
        TrainingConfig(augment=False, mixing="mixup")
