"""The recipe of training, as a section of the configuration."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, model_validator

from robustbench_zosam.config_fields import Float, Fraction, Positive, Section


class TrainingConfig(Section):
    """Training settings that all methods share: nothing here depends on the optimizer."""

    epochs: Positive = 20
    batch_size: Positive = 64
    lr: Annotated[Float, Field(gt=0)] = 0.1
    momentum: Annotated[Float, Field(ge=0, lt=1)] = 0.9
    nesterov: StrictBool = False
    """Nesterov's form of the momentum, where the base optimizer has one."""
    weight_decay: Annotated[Float, Field(ge=0)] = 5e-4
    warmup_epochs: Annotated[Float, Field(ge=0)] = 1.0
    schedule: Literal["cosine", "multistep", "one-cycle", "constant"] = "cosine"
    """After the warm-up; one-cycle has none: it rises for a fifth of the training, then falls."""
    min_lr: Annotated[Float, Field(ge=0)] = 0.0
    """Final learning rate of the cosine schedule."""
    milestones: tuple[Fraction, ...] = (0.5, 0.75)
    """Of multistep: fractions of the training after which the rate is multiplied by
    milestone_factor."""
    milestone_factor: Fraction = 0.1
    label_smoothing: Annotated[Float, Field(ge=0, lt=1)] = 0.0
    augment: StrictBool = True
    augmentation: Literal["crop", "resized-crop", "randaugment", "augmix"] = "crop"
    """Shifted crops; or random crops of 8 to 100 % of the area (resized-crop); or, after shifted
    crops, RandAugment or AugMix. All with flips where they preserve the class."""
    mixing: Literal["none", "mixup", "cutmix"] = "none"
    """Mixes pairs of images and their labels within each mini-batch."""
    mixing_alpha: Annotated[Float, Field(gt=0)] = 1.0
    """Of the Beta distribution that the share of an image is drawn from."""
    clip_norm: Annotated[Float, Field(gt=0)] | None = None
    """Maximum norm of the base optimizer's gradient, over the active weights."""
    ema_decay: Fraction | None = None
    """Makes the exponential moving average of the weights the trained model; decay per step."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of passes with gradients; loss probes and measurements stay in fp32."""
    channels_last: StrictBool = False
    """Memory layout of weights and images: the same numbers up to rounding, often faster."""
    compile: StrictBool = False
    """Runs the training passes through torch.compile, which needs a C++ compiler."""
    recalibrate: StrictBool = False
    """Recomputes the batch-norm statistics at the final weights, in one pass over the data."""
    diagnostics: StrictBool = False
    """Measures gradients and perturbations at about ten epochs, without changing the training."""

    @model_validator(mode="after")
    def _augmented(self) -> Self:
        if not self.augment and (self.augmentation, self.mixing) != ("crop", "none"):
            raise ValueError("augmentation and mixing need augment = true")
        return self
