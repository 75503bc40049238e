"""Published suites in class folders, and all that can ail them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from corruptions import SEVERITIES, CorruptionError
from corruptions.suites import open_folder_suite

CLASSES = ("n01443537", "n01629819", "n02056570")


def write_cell(cell, classes=CLASSES, side=24, count=2):
    for number, label in enumerate(classes):
        (cell / label).mkdir(parents=True)
        for image in range(count):
            level = np.full((side, side, 3), 40 * number + image, np.uint8)
            Image.fromarray(level).save(cell / label / f"val_{image}.JPEG", quality=95)


@pytest.fixture
def folders(tmp_path):
    for name in ("gaussian_noise", "brightness"):
        for severity in SEVERITIES:
            write_cell(tmp_path / name / str(severity))
    return tmp_path


def test_folder_suite(folders):
    suite = open_folder_suite(folders)
    assert suite.corruptions == ("gaussian_noise", "brightness")
    assert len(suite.missing) == 17
    assert suite.classes == CLASSES
    ((images, labels),) = suite.batches("brightness", 5, 10)
    assert images.shape == (6, 24, 24, 3)
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_allclose(images[:, 5, 5, 0], [0, 1, 40, 41, 80, 81], atol=1)


def test_folders_of_224_pixels_with_grey_files(folders):
    for name in ("gaussian_noise", "brightness"):
        for severity in SEVERITIES:
            for path in (folders / name / str(severity)).rglob("*.JPEG"):
                mode = "L" if path.stem == "val_1" else "RGB"
                Image.new(mode, (224, 224), 90 if mode == "L" else (90, 90, 90)).save(path)
    ((images, _),) = open_folder_suite(folders).batches("brightness", 3, 10)
    assert images.shape == (6, 224, 224, 3)
    assert (images == 90).all()


def test_parts_in_several_folders_and_classes_in_another_order(folders, tmp_path):
    extra = tmp_path / "extra"
    for severity in SEVERITIES:
        write_cell(extra / "saturate" / str(severity))
    suite = open_folder_suite([folders, extra], classes=CLASSES[::-1], name="both")
    assert suite.name == "both"
    assert suite.corruptions == ("gaussian_noise", "brightness", "saturate")
    ((images, labels),) = suite.batches("saturate", 1, 10)
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_allclose(images[::2, 5, 5, 0], [80, 40, 0], atol=1)


def test_superfluous_class_folders_are_ignored_and_said(folders):
    for severity in SEVERITIES:
        write_cell(folders / "frost" / str(severity), (*CLASSES, "n09999999", "n09999998"))
    suite = open_folder_suite(folders)
    assert suite.corruptions == ("gaussian_noise", "frost", "brightness")
    assert len(suite) == 6
    assert "ignored 2 class folders that the test set does not have, in frost" in suite.notes


def test_folder_without_corruptions(tmp_path, refused):
    refused(lambda: open_folder_suite(tmp_path), f"{tmp_path} holds no <corruption>/<severity>")


def remove(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def test_missing_severity_class_or_file(folders, refused):
    (folders / "brightness" / "4" / CLASSES[1] / "val_0.JPEG").unlink()
    refused(lambda: open_folder_suite(folders), "brightness/4 has 5 images where 6 are expected")
    remove(folders / "brightness" / "4" / CLASSES[1])
    refused(lambda: open_folder_suite(folders), "brightness/4 lacks 1 of 3", CLASSES[1])
    remove(folders / "brightness" / "4")
    refused(lambda: open_folder_suite(folders), "brightness/4 is missing")


def test_cell_without_images(tmp_path, refused):
    for severity in SEVERITIES:
        (tmp_path / "fog" / str(severity) / "a").mkdir(parents=True)
    refused(lambda: open_folder_suite(tmp_path), "0 images")
    (tmp_path / "fog" / "1" / "a").rmdir()
    refused(lambda: open_folder_suite(tmp_path), "fog/1 lacks 0 of 0 class folders")


@pytest.mark.parametrize("kept", [0, 3, 100, 0.5])
@pytest.mark.parametrize("which", [0, 1])
def test_corrupt_jpeg(folders, kept, which, refused):
    path = folders / "brightness" / "1" / CLASSES[0] / f"val_{which}.JPEG"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept == 0.5 else kept])

    def read():
        list(open_folder_suite(folders).batches("brightness", 1, 10))

    refused(read, f"{path} is damaged", "unpack or write it again")


def test_jpeg_of_another_size_or_gone(folders, refused):
    suite = open_folder_suite(folders)
    path = folders / "brightness" / "2" / CLASSES[2] / "val_1.JPEG"
    Image.new("RGB", (30, 24)).save(path)
    refused(
        lambda: list(suite.batches("brightness", 2, 10)),
        f"{path} is 30 x 24 pixels where others are 24 x 24",
    )
    path.unlink()
    refused(lambda: list(suite.batches("brightness", 2, 10)), f"{path} has gone")


def test_messages_have_no_repeated_paths(folders):
    path = folders / "brightness" / "1" / CLASSES[0] / "val_0.JPEG"
    path.write_bytes(b"nothing")
    with pytest.raises(CorruptionError) as caught:
        open_folder_suite(folders)
    assert len(re.findall(re.escape(str(path)), str(caught.value))) == 1
