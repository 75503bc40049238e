"""Written suites: the published layouts, the bytes of `corrupt`, and a record of how they came."""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from corruptions import SEVERITIES, CorruptionError, corrupt
from corruptions.suites import (
    Recipe,
    open_array_suite,
    open_folder_suite,
    write_array_suite,
    write_arrays,
    write_folder_suite,
    write_folders,
)
from corruptions.suites import manifest as manifest_module

LABELS = np.array([3, 0, 9, 1, 3, 7, 2], np.int64)
FILES = tuple(f"n0{number % 3}/val_{number}.JPEG" for number in range(7))
TWO = Recipe(("fog", "contrast"), seed=5)


@pytest.fixture
def images(crops):
    return crops(7, 32)


def tree(folder):
    """Every file of a suite with its bytes, except the record and the lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in {"manifest.json", ".writing.lock"}
    }


def test_arrays_have_the_published_layout(images, tmp_path):
    folder = write_array_suite(tmp_path / "out", images, LABELS, TWO)
    assert sorted(tree(folder)) == ["contrast.npy", "fog.npy", "labels.npy"]
    for name in TWO.corruptions:
        array = np.load(folder / f"{name}.npy")
        assert array.dtype == np.uint8
        assert array.shape == (35, 32, 32, 3)
        for severity in SEVERITIES:
            block = array[(severity - 1) * 7 : severity * 7]
            np.testing.assert_array_equal(block, corrupt(images, name, severity, seed=5))
    labels = np.load(folder / "labels.npy")
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, np.tile(LABELS, 5))


def test_labels_above_255_keep_their_values(images, tmp_path):
    write_array_suite(tmp_path, images, LABELS + 300, Recipe(("contrast",)))
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy")[:7], LABELS + 300)


def test_folders_have_the_published_layout(images, tmp_path):
    recipe = Recipe(("fog", "contrast"), preset="tiny-imagenet", seed=5)
    folder = write_folder_suite(tmp_path / "out", images, FILES, recipe)
    expected = [
        f"{name}/{s}/{file}" for name in recipe.corruptions for s in SEVERITIES for file in FILES
    ]
    assert sorted(tree(folder)) == sorted(expected)
    corrupted = corrupt(images, "fog", 4, preset="tiny-imagenet", seed=5)
    for image, file in zip(corrupted, FILES, strict=True):
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=85, optimize=True)
        assert (folder / "fog" / "4" / file).read_bytes() == stream.getvalue()


def test_default_recipe_is_all_nineteen(images, tmp_path):
    folder = write_array_suite(tmp_path, images[:1], LABELS[:1])
    assert len(list(folder.glob("*.npy"))) == 20
    assert json.loads((folder / "manifest.json").read_text())["identity"]["preset"] == "cifar"


def test_manifest_says_what_is_needed_to_make_it_again(images, tmp_path):
    write_array_suite(tmp_path, images, LABELS, TWO)
    record = json.loads((tmp_path / "manifest.json").read_text())
    assert record["identity"] | {"clean_sha256": ""} == {
        "layout": "cifar-c",
        "results_version": 2,
        "preset": "cifar",
        "seed": 5,
        "frost": "synthetic",
        "images": 7,
        "shape": [32, 32, 3],
        "clean_sha256": "",
    }
    assert set(record["versions"]) == {"python", "numpy", "torch", "pillow", "machine"}
    assert record["partial"] == {}
    for name, sha256 in record["finished"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == sha256


@pytest.mark.parametrize("size", [1, 3, 100])
def test_bytes_do_not_depend_on_the_size_of_blocks(images, tmp_path, monkeypatch, size):
    expected = tree(write_array_suite(tmp_path / "a", images, LABELS, TWO))
    expected_files = tree(write_folder_suite(tmp_path / "b", images, FILES, TWO))
    monkeypatch.setattr(write_arrays, "_BLOCK", size)
    monkeypatch.setattr(write_folders, "_BLOCK", size)
    assert tree(write_array_suite(tmp_path / "c", images, LABELS, TWO)) == expected
    assert tree(write_folder_suite(tmp_path / "d", images, FILES, TWO)) == expected_files


def test_second_run_has_nothing_to_do_and_more_can_be_added(images, tmp_path):
    progress = []
    for recipe in (Recipe(("fog",)), Recipe(("fog",)), Recipe(("fog", "contrast"))):
        write_array_suite(tmp_path, images, LABELS, recipe, lambda *at: progress.append(at))
    assert progress == [(7 * s, 35) for s in SEVERITIES] * 2
    assert open_array_suite(tmp_path, classes=10).corruptions == ("fog", "contrast")


def test_intact_files_are_not_written_again(images, tmp_path):
    write_array_suite(tmp_path, images, LABELS, TWO)
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    write_array_suite(tmp_path, images, LABELS, TWO)
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before
    (tmp_path / "labels.npy").write_bytes(b"")
    write_array_suite(tmp_path, images, LABELS, TWO)
    assert len(np.load(tmp_path / "labels.npy")) == 5 * len(images)


def test_files_that_were_deleted_are_made_again(images, tmp_path):
    for write, labels, lost in (
        (write_array_suite, LABELS, "fog.npy"),
        (write_folder_suite, FILES, "fog/2"),
    ):
        folder = tmp_path / write.__name__
        expected = tree(write(folder, images, labels, TWO))
        (folder / lost).rename(tmp_path / "elsewhere")
        write(folder, images, labels, TWO)
        assert tree(folder) == expected
        if (tmp_path / "elsewhere").is_file():
            (tmp_path / "elsewhere").unlink()


def test_written_suites_are_read_back(images, tmp_path):
    arrays = open_array_suite(
        write_array_suite(tmp_path / "a", images, LABELS, TWO), classes=10, clean_labels=LABELS
    )
    got = [batch for batch, _ in arrays.batches("fog", 2, 3)]
    assert [len(batch) for batch in got] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(got), corrupt(images, "fog", 2, seed=5))
    folders = open_folder_suite(write_folder_suite(tmp_path / "b", images, FILES, TWO))
    ((batch, labels),) = folders.batches("contrast", 1, 100)
    order = np.argsort(FILES)
    difference = batch.astype(int) - corrupt(images, "contrast", 1, seed=5)[order]
    assert np.abs(difference).mean() < 6  # JPEG of quality 85
    assert labels.tolist() == [0, 0, 0, 1, 1, 2, 2]
    for suite in (arrays, folders):
        assert suite.notes[0].startswith("rebuilt with preset cifar and seed 5")
        assert not any("frost" in note for note in suite.notes[:-1])


# ---------------------------------------------------------------------------------- refusals


def refused(match, write=write_array_suite):
    def call(*arguments):
        with pytest.raises(CorruptionError, match=match):
            write(*arguments)

    return call


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (Recipe(("fog",), seed=6), "seed 5, not 6"),
        (Recipe(("fog",), seed=5, preset="imagenet"), "preset 'cifar', not 'imagenet'"),
    ],
)
def test_folder_of_another_recipe(images, tmp_path, other, what):
    write_array_suite(tmp_path, images, LABELS, TWO)
    refused(f"holds a suite with {what}; choose another folder")(tmp_path, images, LABELS, other)


def test_folder_of_other_images_labels_or_layout(images, tmp_path):
    write_array_suite(tmp_path, images, LABELS, TWO)
    refused("clean_sha256")(tmp_path, 255 - images, LABELS, TWO)
    refused("clean_sha256")(tmp_path, images, LABELS[::-1], TWO)
    refused("layout 'cifar-c', not 'imagenet-c'", write_folder_suite)(tmp_path, images, FILES, TWO)


def test_published_suite_is_not_written_over(images, tmp_path):
    (tmp_path / "snow.npy").write_bytes(b"")
    refused("holds snow.npy but no manifest.json; choose an empty folder")(
        tmp_path, images, LABELS, TWO
    )


@pytest.mark.parametrize("content", ["{", "[]", '{"identity": {}}'])
def test_manifest_of_something_else(images, tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    refused("manifest.json is not the manifest of a suite")(tmp_path, images, LABELS, TWO)


def test_path_that_is_a_file(images, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    refused("cannot be written .*; choose another folder")(tmp_path / "file", images, LABELS, TWO)


def test_disk_that_is_too_small(images, tmp_path, monkeypatch):
    monkeypatch.setattr(
        manifest_module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})
    )
    refused("needs 0.0 GB in .*; make room")(tmp_path, images, LABELS, TWO)
    refused("make room", write_folder_suite)(tmp_path / "b", images, FILES, TWO)


@pytest.mark.parametrize("write", [write_array_suite, write_folder_suite])
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda x: x.astype(np.float32) / 255, "dtype float32; give uint8"),
        (lambda x: np.moveaxis(x, 3, 1), r"shape \(7, 3, 32, 32\); give at least one"),
        (lambda x: x[..., :1], r"shape \(7, 32, 32, 1\)"),
        (lambda x: x[:0], r"shape \(0, 32, 32, 3\)"),
        (lambda x: x[:, :8], "8 x 32 pixels; sides need at least 16"),
    ],
)
def test_images_of_another_form_leave_nothing_behind(images, tmp_path, write, change, match):
    labels = LABELS if write is write_array_suite else FILES
    refused(match, write)(tmp_path / "out", change(images), labels, TWO)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("labels", [LABELS[:6], LABELS / 2, LABELS[:, None]])
def test_labels_of_another_form(images, tmp_path, labels):
    refused("give one integer for each of the 7 images")(tmp_path, images, labels, TWO)


@pytest.mark.parametrize("file", ["a.JPEG", "a/b/c.JPEG", "../a.JPEG", "a/b.png"])
def test_files_of_another_form(images, tmp_path, file):
    refused("is not of the form class/name.JPEG", write_folder_suite)(
        tmp_path, images, (*FILES[:6], file), TWO
    )


def test_files_that_are_not_one_for_each_image(images, tmp_path):
    refused("6 different files for 7 images", write_folder_suite)(
        tmp_path, images, (*FILES[:6], FILES[0]), TWO
    )


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"corruptions": ("fog", "rain")}, "there is no corruption 'rain'"),
        ({"corruptions": ()}, "give at least one name"),
        ({"corruptions": "fog"}, "in a tuple"),
        ({"corruptions": ("fog", "fog")}, "name each of them once"),
        ({"preset": "svhn"}, "choose one of cifar"),
    ],
)
def test_recipes_that_cannot_be(options, match):
    with pytest.raises(CorruptionError, match=match):
        Recipe(**options)


def test_frost_textures_are_looked_for_first(images, tmp_path):
    recipe = Recipe(("contrast", "frost"), textures=tmp_path / "nowhere")
    refused("has no frost1.png")(tmp_path / "out", images, LABELS, recipe)
    assert not (tmp_path / "out").exists()
