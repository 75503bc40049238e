"""The example of the page on data."""

import re
from pathlib import Path

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.checks import checked

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def test_the_reader_on_the_page_is_one():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    names = {}
    exec(code, names)
    assert len(checked("noise", names["info"].load()(DataConfig(name="digits"))).train) == 20
