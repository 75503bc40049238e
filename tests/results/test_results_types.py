"""The types of the stored results refuse a misspelt look-up; nothing else would."""

import pytest

api = pytest.importorskip("mypy.api", reason="installed by the nox session `types`")

LOOK_UPS = """
from robustbench_zosam.schema import Cell, Results

def read(results: Results, cell: Cell) -> object:
    rows = cell["robustness"]["rows"] if cell["robustness"] else []
    return results["summary"], [row["accuracy"] for row in rows]
"""


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    folder = tmp_path_factory.mktemp("types")
    file = folder / "look_ups.py"

    def run(code):
        file.write_text(code, encoding="utf-8")
        options = ["--strict", "--config-file=", f"--cache-dir={folder / 'cache'}"]
        out, err, status = api.run([*options, str(file)])
        assert not err
        return status, out

    return run


def test_right_look_ups_pass(check):
    status, out = check(LOOK_UPS)
    assert status == 0, out


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('["robustness"]["rows"]', '["robustnes"]["rows"]'),
        ('["rows"]', '["row"]'),
        ('results["summary"]', 'results["sumary"]'),
        ('row["accuracy"]', 'row["acuracy"]'),
    ],
)
def test_a_misspelt_key_is_refused(check, right, wrong):
    assert right in LOOK_UPS
    status, out = check(LOOK_UPS.replace(right, wrong))
    assert status == 1
    assert "has no key" in out
