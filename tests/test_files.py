from __future__ import annotations

from pathlib import Path

import pytest

from robustbench_zosam.errors import InputError
from robustbench_zosam.files import atomic_path, read_json, require_writable, write_json


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path):
    file = tmp_path / "result.json"
    write_json(file, {"a": 1})

    def write_half() -> None:
        with atomic_path(file) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert read_json(file) == {"a": 1}
    assert list(tmp_path.iterdir()) == [file]


def test_numbers_that_json_cannot_hold_are_refused_and_nothing_is_lost(tmp_path: Path):
    file = tmp_path / "result.json"
    write_json(file, [1])
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(file, [float("inf")])
    assert read_json(file) == [1]


def test_unreadable_json_is_named(tmp_path: Path):
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / "absent.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match=r"bad\.json is not valid JSON"):
        read_json(tmp_path / "bad.json")


def test_an_output_folder_below_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written to"):
        require_writable(tmp_path / "file" / "out")
    require_writable(tmp_path / "new" / "out")
    assert (tmp_path / "new" / "out").is_dir()
