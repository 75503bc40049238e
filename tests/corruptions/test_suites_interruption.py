"""A writer that is killed, a second one meanwhile, and the package on its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from corruptions import CorruptionError
from corruptions.suites import Recipe, write_array_suite, write_folder_suite

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)
LABELS = np.arange(6)
FILES = [f"c{number % 2}/{number}.JPEG" for number in range(6)]
RECIPE = Recipe(("contrast", "fog", "snow"))
PACKAGES = Path(__file__).parents[2]

# Stops in the middle of a severity, says so, and waits to be killed.
WRITER = """
import sys, time
import numpy as np
from corruptions.suites import *
from corruptions.suites import write_arrays, write_folders
calls, corrupt = 0, Recipe.corrupt
def stopping(*arguments):
    global calls
    calls += 1
    if calls == int(sys.argv[3]):
        print("stopped", flush=True)
        time.sleep(600)
    return corrupt(*arguments)
Recipe.corrupt = stopping
write_arrays._BLOCK = write_folders._BLOCK = 2
images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)
recipe = Recipe(("contrast", "fog", "snow"))
if sys.argv[1] == "arrays":
    write_array_suite(sys.argv[2], images, np.arange(6), recipe)
else:
    write_folder_suite(sys.argv[2], images, [f"c{i % 2}/{i}.JPEG" for i in range(6)], recipe)
"""


def write(layout, folder):
    if layout == "arrays":
        return write_array_suite(folder, IMAGES, LABELS, RECIPE)
    return write_folder_suite(folder, IMAGES, FILES, RECIPE)


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".writing.lock"
    }


@pytest.mark.parametrize("layout", ["arrays", "folders"])
def test_killed_and_resumed_gives_the_same_bytes_and_nobody_else_may_write(layout, tmp_path):
    expected = files(write(layout, tmp_path / "whole"))
    folder = tmp_path / "killed"
    stop = 3 + 15 + 3 * 2 + 2  # rehearsal, first corruption, two severities, and into a third
    command = [sys.executable, "-c", WRITER, layout, str(folder), str(stop)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PACKAGES) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "stopped\n"
        with pytest.raises(CorruptionError, match="another process is writing"):
            write(layout, folder)
        writer.send_signal(signal.SIGKILL)
    unfinished = files(folder)
    assert set(unfinished) - {"contrast.npy", "labels.npy", "manifest.json"}
    assert not any(name.startswith("snow") for name in unfinished)
    write(layout, folder)
    assert files(folder) == expected


ALONE = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "robustbench_zosam":
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
import numpy as np
import corruptions
from corruptions.suites import *
images = np.random.default_rng(0).integers(0, 256, (3, 32, 24, 3), np.uint8)
for name in corruptions.names("all"):
    corruptions.corrupt(images, name, 3)
recipe = Recipe(("frost", "contrast"))
arrays = write_array_suite(sys.argv[1] + "/a", images, np.arange(3), recipe)
files = ["a/0.JPEG", "a/1.JPEG", "b/2.JPEG"]
folders = write_folder_suite(sys.argv[1] + "/b", images, files, recipe)
for suite in open_array_suite(arrays, classes=3), open_folder_suite(folders):
    for name in recipe.corruptions:
        (batch, labels), = suite.batches(name, 3, 10)
        assert batch.shape == images.shape, batch.shape
assert not any(name.startswith("robustbench_zosam") for name in sys.modules)
"""


def test_package_works_alone_and_without_warnings(tmp_path):
    command = [sys.executable, "-W", "error", "-c", ALONE, str(tmp_path)]
    done = subprocess.run(command, cwd=PACKAGES, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
