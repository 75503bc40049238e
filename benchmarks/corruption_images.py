"""Speed of every corruption beside `imagecorruptions-imaug`, in images per CPU second.

Single thread, severity 3, crops of scikit-learn's sample images. Ours gets a batch, theirs one
image after the other, as their functions are called by users. Both take turns within one run, so
that other load on the machine meets both; only processor time counts, and of each side its best
turn. Their package has the constants of ImageNet alone; ours is measured with those of the size at
hand, and with theirs for comparison.

    python benchmarks/corruption_images.py [--json FILE] [--rounds N]
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve()
PEER = "imagecorruptions-imaug"
PEER_FOLDER = Path(tempfile.gettempdir()) / f"zosam-robust-peer-{PEER}-py{sys.version_info.minor}"
PRESET_OF_SIDE = {32: "cifar", 64: "tiny-imagenet"}
GOAL_OF_SIDE = {32: 12.0, 64: 7.0}
SEVERITY = 3
SLICE = 0.1  # CPU seconds of one turn
BUILD_GOAL = 30.0  # CPU seconds
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class Peer:
    """Their functions, in a process and environment of their own."""

    def __init__(self, python: Path, crops: Path) -> None:
        self._process = subprocess.Popen(
            [python, "-W", "ignore", HERE, "--serve-peer", crops],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | ONE_THREAD,
        )

    def rate(self, name: str) -> float:
        """Images per CPU second."""
        assert self._process.stdin
        assert self._process.stdout
        print(name, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def serve_peer(crops: str) -> None:
    """Answers each name on standard input with a rate; runs in the environment of the peer."""
    import cv2
    import numpy as np
    from imagecorruptions import corrupt

    cv2.setNumThreads(1)
    images = np.load(crops)

    def run(name: str, count: int) -> None:
        for number in range(count):
            corrupt(images[number % len(images)], corruption_name=name, severity=SEVERITY)

    for line in sys.stdin:
        print(rate(functools.partial(run, line.strip()), 4), flush=True)


def rate(run, count: int) -> float:
    """Images per CPU second of `run(count)`, after a first call that fills caches."""
    run(count)
    done = 0
    begin = time.process_time()
    while (spent := time.process_time() - begin) < SLICE:
        run(count)
        done += count
    return done / spent


def crops(side: int, count: int):
    """Random crops of both sample images, uint8 `(count, side, side, 3)`."""
    import numpy as np
    from sklearn.datasets import load_sample_images

    generator, photos = np.random.default_rng(side), load_sample_images().images
    out = np.empty((count, side, side, 3), np.uint8)
    for number in range(count):
        photo = photos[number % 2]
        top, left = (generator.integers(n - side) for n in photo.shape[:2])
        out[number] = photo[top : top + side, left : left + side]
    return out


def peer_python() -> Path | str:
    """Interpreter of an environment with the peer, or why there is none."""
    python = PEER_FOLDER / "bin" / "python"
    check = [python, "-W", "ignore", "-c", "import imagecorruptions"]
    if python.exists() and subprocess.run(check, check=False, capture_output=True).returncode == 0:
        return python
    uv = shutil.which("uv")
    if uv:
        steps = [
            [uv, "venv", "--clear", "--python", sys.executable, PEER_FOLDER],
            [uv, "pip", "install", "--python", python, PEER],
        ]
    else:
        venv.create(PEER_FOLDER, clear=True, with_pip=True)
        steps = [[python, "-m", "pip", "install", PEER]]
    for step in [*steps, check]:
        done = subprocess.run(step, check=False, capture_output=True, text=True)
        if done.returncode:
            return f"{PEER} cannot be installed: {done.stderr.strip().splitlines()[-1]}"
    return python


def measure_side(side: int, rounds: int, python: Path | None) -> dict[str, dict[str, float]]:
    """Best rates of each corruption: ours, ours with the constants of ImageNet, theirs."""
    from corruptions import corrupt, names

    images = crops(side, 2**20 // side**2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "crops.npy"
        import numpy as np

        np.save(path, images)
        peer = Peer(python, path) if python else None
        table = {}
        for name in names("all"):
            turns: dict[str, list[float]] = {"ours": [], "ours_imagenet": [], "theirs": []}
            for _ in range(rounds):
                for key, preset in (("ours", PRESET_OF_SIDE[side]), ("ours_imagenet", "imagenet")):

                    def run(_: int, name: str = name, preset: str = preset) -> None:
                        corrupt(images, name, SEVERITY, preset=preset)

                    turns[key].append(rate(run, len(images)))
                if peer:
                    turns["theirs"].append(peer.rate(name))
            table[name] = {key: max(values) for key, values in turns.items() if values}
        if peer:
            peer.close()
    return table


def report_side(side: int, table: dict[str, dict[str, float]]) -> dict[str, float]:
    """Prints the table of one size, and returns its summary."""
    from corruptions import names

    print(f"\n{side} x {side} pixels, severity {SEVERITY}, images per CPU second, one thread")
    print(f"{'corruption':18}{'ours':>10}{'theirs':>10}{'ratio':>8}{'same constants':>16}")
    for name, row in table.items():
        theirs = row.get("theirs", math.nan)
        same = row["ours_imagenet"] / theirs
        print(f"{name:18}{row['ours']:10.0f}{theirs:10.0f}{row['ours'] / theirs:8.1f}{same:16.1f}")
    if not all("theirs" in row for row in table.values()):
        return {}
    ratio = {name: row["ours"] / row["theirs"] for name, row in table.items()}
    common = statistics.geometric_mean(ratio[name] for name in names())
    same = statistics.geometric_mean(
        table[name]["ours_imagenet"] / table[name]["theirs"] for name in names()
    )
    slowest = min(ratio, key=lambda name: ratio[name])
    print(
        f"geometric mean over the common 15: {common:.1f} (goal {GOAL_OF_SIDE[side]:.0f}; "
        f"{same:.1f} with the same constants); slowest: {slowest} {ratio[slowest]:.2f}"
    )
    return {"geometric_mean": common, "same_constants": same, "slowest": ratio[slowest]}


def measure_build() -> float:
    """CPU seconds to corrupt 10,000 images of 32 x 32 pixels by 15 corruptions, 5 severities."""
    from corruptions import SEVERITIES, corrupt, names

    images = crops(32, 10_000)
    begin = time.process_time()
    for name in names():
        for severity in SEVERITIES:
            for low in range(0, len(images), 1000):
                corrupt(images[low : low + 1000], name, severity, start=low)
    return time.process_time() - begin


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the measurements to this file")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side")
    chosen = parser.parse_args()
    # Run as a script, this folder comes first in the search path, and this file has the name of
    # the package it measures.
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != HERE.parent]
    import torch

    torch.set_num_threads(1)
    python = peer_python()
    if isinstance(python, str):
        print(f"skipped the comparison: {python}")
    usable = python if isinstance(python, Path) else None
    results: dict[str, object] = {"severity": SEVERITY, "torch": torch.__version__}
    for side in PRESET_OF_SIDE:
        table = measure_side(side, chosen.rounds, usable)
        results[str(side)] = {"rates": table, "summary": report_side(side, table)}
    spent = measure_build()
    results["build_cpu_seconds"] = spent
    print(
        f"\nCIFAR-10-C from 10,000 images (15 x 5): {spent:.1f} CPU seconds (goal {BUILD_GOAL:.0f})"
    )
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1), "utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve-peer"]:
        serve_peer(sys.argv[2])
    else:
        main()
