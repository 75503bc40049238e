"""Checks of the project; `nox` runs those that every change must pass."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
AXE = "axe-core@4.14.1"
SHORT = ("evaluate", "--data", "digits", "--epochs", "1", "--seeds", "1", "--out")
TRIAL = """
import numpy, corruptions
images = numpy.zeros((2, 32, 32, 3), numpy.uint8)
assert corruptions.corrupt(images, "fog", 3, preset="cifar").shape == images.shape
"""
PYTHONS = ["3.11", "3.12", "3.13"]

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "types", "tests", "browser", "build"]
nox.options.error_on_missing_interpreters = False


def install(session: nox.Session, *groups: str, project: bool = True) -> None:
    """Installs dependency groups, and the project itself as users get it, but editable."""
    needed = nox.project.dependency_groups(PROJECT, *groups)
    session.install(*needed, *(["-e", "."] if project else []))


@nox.session
def lint(session: nox.Session) -> None:
    """Style and formatting."""
    install(session, "lint", project=False)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Strict typing, and proof that it sees a misspelt key of the stored results."""
    install(session, "types", "tests", "engines")
    session.run("mypy")
    run_pytest(session, "tests/results/test_results_types.py", "-n", "0")


@nox.session
def tests(session: nox.Session) -> None:
    """The suite, on as many processes as there are cores."""
    install(session, "tests", "oracles", "loops", "engines")
    run_pytest(session, "-m", "not slow and not browser")


@nox.session(python=PYTHONS, name="tests-all")
def tests_all(session: nox.Session) -> None:
    """The suite on every supported Python that is installed."""
    install(session, "tests", "oracles", "loops", "engines")
    run_pytest(session, "-m", "not slow and not browser")


@nox.session
def minimums(session: nox.Session) -> None:
    """The suite with the oldest versions that pyproject.toml allows."""
    needed = nox.project.dependency_groups(PROJECT, "tests")
    session.install("--resolution=lowest-direct", *needed, "-e", ".")
    run_pytest(session, "-m", "not slow and not browser", "-W", "default")


@nox.session
def slow(session: nox.Session) -> None:
    """What takes minutes: whole runs that are killed, resumed and compared."""
    install(session, "tests", "oracles", "loops", "engines")
    run_pytest(session, "-m", "slow", "-n", "0")


@nox.session
def chaos(session: nox.Session) -> None:
    """Forty kills of runs, cells, servers, parents and Dask workers: no number changes."""
    install(session, "tests", "engines")
    env = {"ZOSAM_KILLS": "40"}
    run_pytest(session, "tests/runs/test_chaos.py", "-m", "slow", "-n", "0", env=env)


@nox.session
def soak(session: nox.Session) -> None:
    """A run that is stopped, killed, out of disk and out of time for 20 minutes: same numbers."""
    install(session, "tests")
    env = {"ZOSAM_SOAK_MINUTES": os.environ.get("ZOSAM_SOAK_MINUTES", "20")}
    run_pytest(session, "tests/runs/test_soak.py", "-m", "slow", "-n", "0", env=env)


@nox.session
def browser(session: nox.Session) -> None:
    """The report in headless Chromium (Debian: chromium), with the rules of axe-core from npm."""
    if not any(shutil.which(name) for name in CHROMIUM):
        session.skip(f"none of {', '.join(CHROMIUM)} is installed")
    install(session, "tests")
    folder = Path(session.create_tmp()).resolve()
    axe = folder / "node_modules" / "axe-core" / "axe.min.js"
    if shutil.which("npm"):
        session.run(
            "npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", str(folder), AXE,
            external=True, silent=True, success_codes=range(256),
        )  # fmt: skip
    if not axe.is_file():
        session.warn(f"npm is missing or did not bring {AXE}: its checks are skipped")
    run_pytest(session, "-m", "browser", "-n", "0", "tests/browser", env={"ZOSAM_AXE": str(axe)})


@nox.session
def trackers(session: nox.Session) -> None:
    """The writers for TensorBoard and MLflow, whose packages are large."""
    install(session, "tests", "trackers")
    run_pytest(session, "tests/results", "-n", "0", "-W", "default")


@nox.session
def simulations(session: nox.Session) -> None:
    """Coverage of the intervals and error rates of the verdicts, where the truth is known."""
    install(session, "tests")
    session.run("python", "tests/helpers/simulating.py", env={"OMP_NUM_THREADS": "1"})


@nox.session
def fuzz(session: nox.Session) -> None:
    """Every malformed input of the corpus, each in a process of bounded time and memory."""
    install(session, "tests")
    settings = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": "tests/helpers"}
    session.run("python", "-W", "ignore", "-m", "malformed", *session.posargs, env=settings)


@nox.session
def mutation(session: nox.Session) -> None:
    """A sample of mutants of the numerical core, of which the tests must notice 85 %."""
    install(session, "tests", "mutation")
    settings = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    session.run("python", "tests/mutation/run.py", *session.posargs, env=settings)


@nox.session
def bench(session: nox.Session) -> None:
    """Ratios against what a user would otherwise pick."""
    install(session, "tests")
    for file in sorted(Path("benchmarks").glob("*.py")):
        session.run("python", str(file), *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The site in build/site, with every warning and every dead link or anchor an error."""
    install(session, "docs")
    session.run("mkdocs", "build", "--strict", *session.posargs, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def pictures(session: nox.Session) -> None:
    """The pictures of the README, from the published report, by headless Chromium."""
    session.install("pillow>=11")
    session.run("python", "docs/generate/picture.py", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Wheel and sdist of the project and of `corruptions` alone: what is in them, and metadata."""
    session.install("twine>=6.1")
    folder = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    wanted = {".": {"robustbench_zosam", "corruptions"}, "corruptions": {"corruptions"}}
    for source, packages in wanted.items():
        target = folder / source
        session.run("uv", "build", "--out-dir", str(target), source, external=True, silent=True)
        (wheel,) = target.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            tops = {name.split("/")[0] for name in archive.namelist()}
        if {top for top in tops if not top.endswith(".dist-info")} != packages:
            session.error(f"{wheel.name} holds {sorted(tops)}")
        session.run("twine", "check", "--strict", *map(str, target.glob("*.[wt]*")))


@nox.session(name="install-check")
def install_check(session: nox.Session) -> None:
    """Wheel and sdist of both packages in empty environments, and the main job with the first."""
    folder = Path(session.create_tmp()).resolve()
    for source in (".", "corruptions"):
        target = folder / "dist" / source
        shutil.rmtree(target, ignore_errors=True)
        session.run("uv", "build", "--out-dir", str(target), source, external=True, silent=True)
        for archive in (*target.glob("*.whl"), *target.glob("*.tar.gz")):
            place = folder / "empty"
            session.run("uv", "venv", "--clear", str(place), external=True, silent=True)
            python = next(place.glob("[bS]*/python*"))
            session.run(
                "uv", "pip", "install", "--python", str(python), str(archive), external=True
            )
            with session.chdir(folder):
                session.run(str(python), "-c", TRIAL, external=True)
                if source == ".":
                    out = str(folder / "trial")
                    shutil.rmtree(out, ignore_errors=True)
                    session.run(str(python), "-m", "robustbench_zosam", *SHORT, out, external=True)


def run_pytest(session: nox.Session, *arguments: str, env: Mapping[str, str] | None = None) -> None:
    """Runs pytest, one thread to a process so that the processes do not fight over the cores."""
    parallel = [] if "-n" in arguments else ["-n", "auto"]
    settings = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **(env or {})}
    data = os.environ.get("ZOSAM_TEST_DATA")
    if data is not None:
        settings["ZOSAM_TEST_DATA"] = data
    session.run("pytest", *parallel, *arguments, *session.posargs, env=settings)
