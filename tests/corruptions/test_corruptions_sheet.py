"""`python -m corruptions`: the picture of all corruptions at all severities."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corruptions import SEVERITIES, corrupt, names
from corruptions.__main__ import contact_sheet, main

PACKAGES = Path(__file__).parents[2]


def test_sheet_holds_the_clean_image_and_every_severity(crops):
    (image,) = crops(1, 24)
    sheet = contact_sheet(image, "cifar", 3, blocks=1)
    left, top, pitch = 110, 16, 26
    assert sheet.shape == (top + 19 * pitch, left + 6 * pitch, 3)
    for row, name in enumerate(names("all")):
        y = top + row * pitch
        expected = [image] + [corrupt(image[None], name, s, seed=3)[0] for s in SEVERITIES]
        for column, tile in enumerate(expected):
            x = left + column * pitch
            np.testing.assert_array_equal(sheet[y : y + 24, x : x + 24], tile)
        assert (sheet[y : y + 24, :left] < 128).any()  # its name


def test_command_writes_the_sample_picture_without_warnings(tmp_path):
    out = tmp_path / "sheet.png"
    command = [sys.executable, "-W", "error", "-m", "corruptions", str(out), "--size", "16"]
    done = subprocess.run(command, cwd=PACKAGES, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with Image.open(out) as sheet:
        assert sheet.size == (2 * (110 + 6 * 18), 16 + 10 * 18)


def test_middle_of_a_given_picture(tmp_path):
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, 20:40] = 200
    Image.fromarray(picture).save(tmp_path / "wide.png")
    out = tmp_path / "sheet.png"
    assert main([str(out), "--image", str(tmp_path / "wide.png"), "--size", "20"]) == 0
    sheet = np.array(Image.open(out))
    assert (sheet[16:36, 110:130] == 200).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--size", "8"], "sides need at least 16"),
        (["--size", "0"], "give the side"),
        (["--image", "absent.png"], "absent.png"),
    ],
)
def test_mistakes_end_in_one_sentence(tmp_path, capsys, options, said):
    assert main([str(tmp_path / "sheet.png"), *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_without_scikit_learn_a_picture_must_be_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets.images", None)
    assert main([str(tmp_path / "sheet.png")]) == 2
    assert "name one with --image" in capsys.readouterr().err
