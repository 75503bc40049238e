"""Pictures of a report's first screen, light and dark, for the README.

python docs/generate/picture.py [REPORT] [--chromium PROGRAM]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
REPORT = ROOT / "reports/memorised-labels/report.html"
SIZE = (1200, 800)


def draw(program: str, report: Path, mode: str, out: Path) -> None:
    """Writes the first screen of a report in the colours of a mode."""
    from PIL import Image

    preference = "1" if mode == "light" else "0"  # what pages see as prefers-color-scheme
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        subprocess.run(
            [
                program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--blink-settings=preferredColorScheme={preference}",
                f"--window-size={SIZE[0]},{SIZE[1]}", "--virtual-time-budget=4000",
                f"--user-data-dir={folder}/profile", f"--screenshot={shot}", report.as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        with Image.open(shot) as picture:
            picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(
                out, optimize=True
            )


def main() -> int:
    """Writes both pictures beside the documentation."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("report", nargs="?", type=Path, default=REPORT)
    parser.add_argument("--chromium", help="program [default: the first one that is installed]")
    chosen = parser.parse_args()
    program = chosen.chromium or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        sys.stderr.write(f"none of {', '.join(PROGRAMS)} is installed\n")
        return 2
    folder = ROOT / "docs" / "pictures"
    folder.mkdir(exist_ok=True)
    for mode in ("light", "dark"):
        draw(program, chosen.report.resolve(), mode, folder / f"report-{mode}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
