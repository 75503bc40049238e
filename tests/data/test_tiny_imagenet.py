from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data import DATASETS, Dataset
from robustbench_zosam.data import source as sources
from robustbench_zosam.errors import InputError

WNIDS = ("n03444034", "n01443537", "n02124075", "n09999999")  # as published: not sorted
TRAINED = ("n01443537", "n02124075", "n03444034")


def load(root: Path, **options: object) -> Dataset:
    return DATASETS["tiny-imagenet"].load()(
        DataConfig(name="tiny-imagenet", root=str(root), **options)
    )


def jpeg(number: int, grey: bool = False) -> bytes:
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 256, (64, 64) if grey else (64, 64, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small tree in the layout of the published zip; one class has no training images."""
    top = tmp_path / "tiny-imagenet-200"
    for index, wnid in enumerate(TRAINED):
        folder = top / "train" / wnid / "images"
        folder.mkdir(parents=True)
        (top / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t10\t63\t58\n")
        for number in range(4):
            content = jpeg(100 * index + number, grey=number == 3)
            (folder / f"{wnid}_{number}.JPEG").write_bytes(content)
    (top / "val" / "images").mkdir(parents=True)
    lines = []
    for number in range(8):
        (top / "val" / "images" / f"val_{number}.JPEG").write_bytes(jpeg(1000 + number))
        lines.append(f"val_{number}.JPEG\t{WNIDS[number % 4]}\t0\t32\t44\t62\n")
    (top / "val" / "val_annotations.txt").write_text("".join(lines))
    (top / "test" / "images").mkdir(parents=True)
    (top / "test" / "images" / "test_0.JPEG").write_bytes(jpeg(5000))
    (top / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in WNIDS))
    (top / "words.txt").write_text("n01443537\tgoldfish, Carassius auratus\n")
    return tmp_path


def zipped(root: Path, name: str = "tiny.zip") -> Path:
    archive = root / name
    with zipfile.ZipFile(archive, "w") as stream:
        for file in sorted((root / "tiny-imagenet-200").rglob("*")):
            stream.write(file, file.relative_to(root))
    return archive


def pixels(file: Path) -> np.ndarray:
    return np.moveaxis(np.asarray(Image.open(file).convert("RGB")), 2, 0)


def test_the_classes_are_the_sorted_wnids_with_training_images(root: Path):
    data = load(root)
    assert data.classes == TRAINED
    assert [len(split) for split in data.splits.values()] == [9, 3, 6]
    assert data.train.images.shape[1:] == (3, 64, 64)
    assert data.partial == (
        "3 of 200 classes, those with training images; 4 of 500 training images of each class"
    )


def test_the_test_split_is_the_annotated_validation_images_unchanged(root: Path):
    data = load(root)
    top = root / "tiny-imagenet-200"
    expected = {
        pixels(top / "val" / "images" / f"val_{n}.JPEG").tobytes(): TRAINED.index(WNIDS[n % 4])
        for n in range(8)
        if n % 4 != 3
    }
    found = zip(data.test.images, data.test.labels, strict=True)
    assert {image.tobytes(): label for image, label in found} == expected


def test_training_and_validation_share_out_the_training_images(root: Path):
    data = load(root)
    found = {
        image.tobytes(): TRAINED[label]
        for split in (data.train, data.validation)
        for image, label in zip(split.images, split.labels, strict=True)
    }
    files = (root / "tiny-imagenet-200" / "train").rglob("*.JPEG")
    assert found == {pixels(file).tobytes(): file.parts[-3] for file in files}


def test_grey_images_have_three_equal_channels(root: Path):
    data = load(root)
    together = np.concatenate([data.train.images, data.validation.images])
    grey = (together == together[:, :1]).all(axis=(1, 2, 3))
    assert grey.sum() == 3


def test_zip_folder_and_the_folder_around_them_give_the_same(root: Path):
    plain = load(root)
    for other in (root / "tiny-imagenet-200", zipped(root)):
        assert load(other).facts()["fingerprint"] == plain.facts()["fingerprint"]
    zipped(root, "tiny-imagenet-200.zip")
    (root / "tiny-imagenet-200").rename(root / "elsewhere")
    assert load(root).facts()["fingerprint"] == plain.facts()["fingerprint"]
    assert load(root / "elsewhere").facts()["fingerprint"] == plain.facts()["fingerprint"]


def test_images_are_resized_on_request(root: Path):
    data = load(root, image_size=32)
    assert data.test.images.shape[1:] == (3, 32, 32)
    full = load(root).test.images.astype(float)
    assert abs(data.test.images.mean() - full.mean()) < 2


def test_what_a_limit_drops_is_never_decoded(root: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    decode = sources.decode
    monkeypatch.setattr(
        sources, "decode", lambda *given: asked.append(len(given[2])) or decode(*given)
    )
    data = load(root, limit=3)
    assert asked == [3, 3, 3]
    np.testing.assert_array_equal(np.bincount(data.test.labels), [1, 1, 1])
    assert data.partial.endswith("at most 3 images per split")


def lose_annotations(top: Path) -> None:
    (top / "val" / "val_annotations.txt").unlink()


def cut_annotation(top: Path) -> None:
    file = top / "val" / "val_annotations.txt"
    file.write_text(file.read_text() + "val_8.JPEG\n")


def annotate_twice(top: Path) -> None:
    file = top / "val" / "val_annotations.txt"
    file.write_text(file.read_text() + file.read_text().splitlines()[0] + "\n")


def lose_validation_image(top: Path) -> None:
    (top / "val" / "images" / "val_2.JPEG").unlink()


def add_validation_image(top: Path) -> None:
    (top / "val" / "images" / "val_99.JPEG").write_bytes(jpeg(0))


def annotate_unknown_class(top: Path) -> None:
    file = top / "val" / "val_annotations.txt"
    file.write_text(file.read_text().replace(WNIDS[3], "n00000000"))


def train_unknown_class(top: Path) -> None:
    (top / "train" / WNIDS[0]).rename(top / "train" / "n00000000")


def lose_training_image(top: Path) -> None:
    (top / "train" / WNIDS[2] / "images" / f"{WNIDS[2]}_1.JPEG").unlink()


def lose_all_of_a_class_in_val(top: Path) -> None:
    file = top / "val" / "val_annotations.txt"
    file.write_text(file.read_text().replace(WNIDS[0], WNIDS[1]))


def keep_one_class(top: Path) -> None:
    for wnid in TRAINED[1:]:
        (top / "train" / wnid).rename(top / wnid)


def cut_a_jpeg(top: Path) -> None:
    file = top / "train" / WNIDS[2] / "images" / f"{WNIDS[2]}_1.JPEG"
    file.write_bytes(file.read_bytes()[:300])


def lose_wnids(top: Path) -> None:
    (top / "wnids.txt").unlink()


def repeat_wnids(top: Path) -> None:
    (top / "wnids.txt").write_text("n1\nn1\n")


def lose_everything(top: Path) -> None:
    top.rename(top.with_name("x"))


@pytest.mark.parametrize(
    ("damage", "needle"),
    [
        (lose_annotations, r"val_annotations\.txt cannot be read"),
        (cut_annotation, r"line 9, is 'val_8\.JPEG' where an image name, a tab and a wnid"),
        (annotate_twice, r"names val_0\.JPEG twice"),
        (lose_validation_image, r"val_2\.JPEG twice, or val/images does not hold it"),
        (add_validation_image, r"does not name 1 of the images in val/images, such as val_99"),
        (annotate_unknown_class, r"has the class n00000000, which wnids\.txt does not name"),
        (train_unknown_class, r"train has the class n00000000, which wnids"),
        (lose_training_image, r"3 training images of class n02124075, .* than the 4"),
        (lose_all_of_a_class_in_val, r"0 validation images of class n03444034"),
        (keep_one_class, r"training images of 1 class\(es\)"),
        (cut_a_jpeg, r"n02124075_1\.JPEG is not a readable image"),
        (lose_wnids, r"holds no wnids\.txt"),
        (repeat_wnids, r"names 2 classes, 1 of them different"),
        (lose_everything, r"tiny-imagenet-200 does not exist: .*fetch tiny-imagenet"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_damage_is_one_sentence(damage: Callable[[Path], None], needle: str, root: Path):
    damage(root / "tiny-imagenet-200")
    with pytest.raises(InputError, match=needle) as failure:
        load(root)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("name", ["../evil.JPEG", "/etc/evil.JPEG", "a\\..\\..\\evil.JPEG"])
def test_a_zip_whose_paths_climb_out_is_refused(name: str, root: Path):
    archive = zipped(root)
    with zipfile.ZipFile(archive, "a") as stream:
        stream.writestr(zipfile.ZipInfo(name), b"")
    with pytest.raises(InputError, match="leads out of it"):
        load(archive)


def test_the_published_images_load(real_data: Path):
    data = load(real_data / "tiny-imagenet-val-and-train20.zip", limit=40)
    assert len(data.classes) == 20
    assert data.classes[0] == "n01443537"
    assert data.partial == (
        "20 of 200 classes, those with training images; at most 40 images per split"
    )
    np.testing.assert_array_equal(np.bincount(data.test.labels), np.full(20, 2))
    assert data.train.images.shape == (40, 3, 64, 64)
