from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from robustbench_zosam import fetching
from robustbench_zosam.cli import main
from robustbench_zosam.fetching import Fetched, FileProgress


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["zosam-robust", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_the_list_says_what_can_be_fetched_and_what_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert run(monkeypatch, "fetch", "--list", "--json", "--data-root", str(tmp_path)) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["cifar10-c"]["download_bytes"] == 2_918_471_680
    assert rows["cifar10-c"]["licence"] == "CC BY 4.0"
    assert not any(row["here"] for row in rows.values())
    assert run(monkeypatch, "fetch", "--list", "--data-root", str(tmp_path)) == 0
    text = capsys.readouterr().out
    assert "170 MB" in text
    assert "1.8 GB+" in text  # the extra part of Tiny-ImageNet-C has no published size


def test_a_download_prints_folder_licence_and_what_to_type_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def pretend(name, root, *, allow_unverified, offline, on_progress) -> Fetched:
        assert (name, root, allow_unverified) == ("frost-textures", tmp_path, True)
        assert not offline
        on_progress(FileProgress("downloading", "frost1.png", 5, 10))
        on_progress(FileProgress("downloading", "frost1.png", 10, 10))
        on_progress(FileProgress("downloading", "frost2.png", 10, None))
        return Fetched((tmp_path / "frost",), new=True)

    monkeypatch.setattr(fetching, "fetch", pretend)
    arguments = ("fetch", "frost-textures", "--data-root", str(tmp_path), "--allow-unverified")
    assert run(monkeypatch, *arguments) == 0
    out, error = capsys.readouterr()
    assert out.split() == [str(tmp_path / "frost")]
    assert "frost-textures is downloaded (licence: Apache-2.0" in error
    assert f"next: export CORRUPTIONS_FROST_DIR={tmp_path / 'frost'}" in error
    assert error.count("downloading frost1.png") == 1
    assert error.count("downloading frost2.png") == 1


def test_an_interrupted_download_says_how_to_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupted(*arguments: object, **options: object) -> Fetched:
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "fetch", interrupted)
    assert run(monkeypatch, "fetch", "cifar10", "--data-root", str(tmp_path)) == 130
    assert "the same command resumes the download" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (("fetch",), "fetch needs a name"),
        (("fetch", "cifar10c"), "unknown download 'cifar10c': did you mean cifar10-c"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: tuple[str, ...],
    needle: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    assert run(monkeypatch, *arguments) == 2
    assert needle in capsys.readouterr().err


def test_doctor_says_which_data_is_here_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "CIFAR-10-C").mkdir()
    frost = tmp_path / "frost"
    frost.mkdir()
    for item in fetching.DOWNLOADS["frost-textures"].load().folders[0].items:
        (frost / item.path).write_bytes(bytes(item.size or 0))
    assert run(monkeypatch, "doctor", "--data-root", str(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines if line.strip()}
    assert rows["frost-textures"].split()[1:] == [str(frost)]
    assert "INCOMPLETE, it lacks gaussian_noise.npy" in rows["cifar10-c"]
    assert "imagenet-c" in rows["not"]
    assert "cifar10-c" not in rows["not"]
